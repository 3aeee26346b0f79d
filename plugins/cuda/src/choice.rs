//! Which device to compute on, by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::ready;

/// Where networks run and are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device where there is one and all that it needs, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(u32),
}

/// Not the name of a device.
#[derive(Clone, Debug, Error)]
#[error("unknown device `{0}`: use auto, cpu, cuda or cuda:N")]
pub struct UnknownDevice(pub String);

/// A device that was asked for cannot be used.
#[derive(Clone, Debug, Error)]
#[error("cuda:{index} cannot be used: {reason}; or use device=cpu")]
pub struct NotReady {
    /// The number of the CUDA device.
    pub index: u32,
    /// What is missing, and what to do.
    pub reason: String,
}

impl Device {
    /// The device for own kernels that is meant, which is there: never [`Device::Auto`].
    ///
    /// # Errors
    /// If a CUDA device is asked for and the driver, the compiler or the device are missing.
    pub fn resolve(self) -> Result<Self, NotReady> {
        match self {
            Self::Cpu => Ok(self),
            Self::Cuda(index) => match ready(index) {
                Ok(_) => Ok(self),
                Err(error) => Err(NotReady { index, reason: error.to_string() }),
            },
            Self::Auto => Ok(if ready(0).is_ok() { Self::Cuda(0) } else { Self::Cpu }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = UnknownDevice;

    /// Nothing is as good as `auto`: so is a property of an element that nobody has set.
    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(text.to_owned());
        match text.to_ascii_lowercase().as_str() {
            "" | "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn devices_are_read_by_name() {
        let read = |text: &str| text.parse::<Device>().unwrap();
        assert_eq!([read("cpu"), read("CUDA"), read("auto")], [Device::Cpu, Device::Cuda(0), Device::Auto]);
        assert_eq!((read("cuda:1"), read("")), (Device::Cuda(1), Device::Auto));
        assert_eq!(read("cuda:1").to_string(), "cuda:1");
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:one"] {
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
