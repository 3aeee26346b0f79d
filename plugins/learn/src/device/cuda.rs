//! Whether networks can be trained on a CUDA device: all that Burn's backend needs is loaded at run time, and it panics
//! where it is missing.

use std::path::{Path, PathBuf};

use cudarc::{
    driver::{self, CudaContext},
    nvrtc,
};

use crate::error::LearnError;

/// A header that every kernel of Burn's begins with.
const HEADER: &str = "include/cuda_runtime.h";
/// Where CubeCL 0.10 looks for headers if `CUDA_PATH` is not set.
const FOLDERS: [&str; 2] = ["/usr/local/cuda", "/opt/cuda"];

/// Refuses a device that cannot be used, and says what is missing.
pub fn check(index: u32) -> Result<(), LearnError> {
    let missing = |reason: &str| LearnError::NoDevice { index, reason: reason.to_owned() };
    // SAFETY: loads NVIDIA's driver by its name and runs its initialiser, as every CUDA program does.
    #[allow(unsafe_code)]
    let has_driver = unsafe { driver::sys::is_culib_present() };
    if !has_driver {
        return Err(missing("CUDA's driver (libcuda.so.1) is not here: install NVIDIA's driver"));
    }
    let failed = |error: driver::DriverError| missing(&format!("CUDA's driver says {error:?}"));
    driver::result::init().map_err(failed)?;
    let count = CudaContext::device_count().map_err(failed)?;
    if i64::from(index) >= i64::from(count) {
        return Err(missing(&format!("there is no device cuda:{index}, this machine has {count}")));
    }
    // SAFETY: loads NVIDIA's compiler by its name, as every program that uses it does.
    #[allow(unsafe_code)]
    let has_compiler = unsafe { nvrtc::sys::is_culib_present() };
    if !has_compiler {
        return Err(missing(
            "CUDA's run-time compiler (libnvrtc.so) is not here: install the Python package nvidia-cuda-nvrtc or the CUDA toolkit and put its folder \
             of libraries on LD_LIBRARY_PATH",
        ));
    }
    let folder = headers(std::env::var_os("CUDA_PATH").map(PathBuf::from));
    if !folder.as_deref().is_some_and(has_headers) {
        return Err(missing(&format!(
            "CUDA's headers ({HEADER}) are not in {}: install the CUDA toolkit or the Python package nvidia-cuda-runtime and set CUDA_PATH to \
             the folder that holds `include`",
            folder.unwrap_or_else(|| PathBuf::from(FOLDERS[0])).display()
        )));
    }
    Ok(())
}

/// Where CubeCL will look for headers, given `CUDA_PATH`.
fn headers(cuda_path: Option<PathBuf>) -> Option<PathBuf> {
    let exists = |folder: &&&str| Path::new(folder).exists();
    let of_compiler = || Path::new("/usr/bin/nvcc").exists().then(|| PathBuf::from("/usr"));
    cuda_path.or_else(|| FOLDERS.iter().find(exists).map(PathBuf::from)).or_else(of_compiler)
}

fn has_headers(folder: &Path) -> bool {
    folder.join(HEADER).is_file()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn headers_are_looked_for_where_cuda_path_says() {
        let folder = tempfile::tempdir().unwrap();
        let found = headers(Some(folder.path().to_owned())).unwrap();
        assert_eq!(found, folder.path());
        assert!(!has_headers(&found));
        std::fs::create_dir(folder.path().join("include")).unwrap();
        std::fs::write(folder.path().join(HEADER), "").unwrap();
        assert!(has_headers(&found));
    }
}
