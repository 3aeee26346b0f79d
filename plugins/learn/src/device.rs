//! Where networks are trained.

use std::fmt;
use std::str::FromStr;

use crate::error::LearnError;

/// Where networks are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(u32),
    /// The first CUDA device where there is one and all that it needs, else the CPU.
    Auto,
}

impl Device {
    /// The device that is meant, which is there: never [`Device::Auto`].
    ///
    /// # Errors
    /// If a CUDA device is asked for and the driver, the compiler or the device are missing.
    pub fn resolve(self) -> Result<Self, LearnError> {
        match self {
            Self::Cpu => Ok(self),
            Self::Cuda(index) => check(index).map(|()| self),
            Self::Auto => Ok(if check(0).is_ok() { Self::Cuda(0) } else { Self::Cpu }),
        }
    }
}

/// Refuses a device that cannot be used, and says what is missing.
fn check(index: u32) -> Result<(), LearnError> {
    let ready = ferroflow_cuda::ready(index);
    ready.map(|_| ()).map_err(|error| LearnError::NoDevice { index, reason: error.to_string() })
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Device {
    type Err = LearnError;

    fn from_str(text: &str) -> Result<Self, LearnError> {
        let unknown = || LearnError::UnknownDevice(text.to_owned());
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn devices_are_read_as_everywhere_else() {
        let read = |text: &str| text.parse::<Device>().unwrap();
        assert_eq!([read("cpu"), read("CUDA"), read("auto")], [Device::Cpu, Device::Cuda(0), Device::Auto]);
        assert_eq!(read("cuda:1"), Device::Cuda(1));
        assert_eq!(read("cuda:1").to_string(), "cuda:1");
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:one", ""] {
            let error = wrong.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("auto, cpu, cuda or cuda:N"), "{error}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_auto_takes_what_is() {
        assert_eq!(Device::Cpu.resolve().unwrap(), Device::Cpu);
        // No machine has that many.
        let error = Device::Cuda(60_000).resolve().unwrap_err().to_string();
        assert!(error.contains("device=cpu") || error.contains("there is no device cuda:60000"), "{error}");
        let found = Device::Auto.resolve().unwrap();
        assert_eq!(found == Device::Cpu, Device::Cuda(0).resolve().is_err());
    }
}
