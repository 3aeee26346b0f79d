//! Where networks are trained.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(any(feature = "cuda", test))]
pub mod failure;
#[cfg(feature = "cuda")]
mod kernels;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

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
    /// If a CUDA device is asked for and this program was built without the feature `cuda`, or the driver, the
    /// compiler or the device are missing.
    pub fn resolve(self) -> Result<Self, LearnError> {
        self.checked(check)
    }

    /// The same for what is computed by Burn's kernels, which need CUDA's headers as well.
    ///
    /// # Errors
    /// As above, and if the headers are missing.
    pub fn resolve_with_headers(self) -> Result<Self, LearnError> {
        self.checked(check_with_headers)
    }

    fn checked(self, check: impl Fn(u32) -> Result<(), LearnError>) -> Result<Self, LearnError> {
        match self {
            Self::Cpu => Ok(self),
            Self::Cuda(index) => check(index).map(|()| self),
            Self::Auto => Ok(if check(0).is_ok() { Self::Cuda(0) } else { Self::Cpu }),
        }
    }
}

/// Keeps Burn's kernels for a CUDA device below `folder` once they are compiled. Gives whether they may have to be compiled
/// first, which takes minutes: nothing was kept for this model of device. To be called before anything is trained there.
pub fn keep_kernels(device: Device, folder: &Path) -> bool {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(index) = device {
        return !kernels::keep(index, folder);
    }
    let _ = (device, folder);
    false
}

/// A tensor's numbers, once the device has computed them.
///
/// # Errors
/// If the device failed, at this or at anything before.
pub fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<TensorData, LearnError> {
    tensor.try_into_data().map_err(|error| LearnError::DeviceFailed(error.to_string()))
}

/// Whether all of a network's weights are numbers. The device is waited for once.
///
/// # Errors
/// If the device failed.
pub fn is_finite<B: Backend, M: Module<B>>(network: &M) -> Result<bool, LearnError> {
    // One that is no number makes the sum none.
    struct Sums<B: Backend>(Vec<Tensor<B, 1>>);
    impl<B: Backend> ModuleVisitor<B> for Sums<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(param.val().detach().sum());
        }
    }
    let mut sums = Sums::<B>(Vec::new());
    network.visit(&mut sums);
    Ok(read(Tensor::cat(sums.0, 0))?.iter::<f32>().all(f32::is_finite))
}

#[cfg(feature = "cuda")]
use cuda::{check, check_with_headers};

#[cfg(not(feature = "cuda"))]
const fn check(_: u32) -> Result<(), LearnError> {
    Err(LearnError::BuiltWithoutCuda)
}

#[cfg(not(feature = "cuda"))]
use check as check_with_headers;

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

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_built_without_cuda_says_how_to_build_it_with() {
        let error = Device::Cuda(0).resolve().unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
