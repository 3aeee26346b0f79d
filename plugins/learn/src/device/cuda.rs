//! Whether networks can be trained on a CUDA device: all that is needed is loaded at run time, and Burn's backend panics where it is
//! missing.

use std::path::{Path, PathBuf};

use crate::error::LearnError;

/// A header that every kernel of Burn's begins with.
const HEADER: &str = "include/cuda_runtime.h";
/// Where CubeCL 0.10 looks for headers if `CUDA_PATH` is not set.
const FOLDERS: [&str; 2] = ["/usr/local/cuda", "/opt/cuda"];

/// Refuses a device that cannot be used, and says what is missing.
pub fn check(index: u32) -> Result<(), LearnError> {
    let missing = |reason: &str| LearnError::NoDevice { index, reason: reason.to_owned() };
    ferroflow_cuda::device_name(index).map_err(|error| missing(&error.to_string()))?;
    ferroflow_cuda::compiler().map_err(|error| missing(&error.to_string()))?;
    Ok(())
}

/// The same for Burn's kernels.
pub fn check_with_headers(index: u32) -> Result<(), LearnError> {
    check(index)?;
    let folder = headers(std::env::var_os("CUDA_PATH").map(PathBuf::from));
    if !folder.as_deref().is_some_and(has_headers) {
        let folder = folder.unwrap_or_else(|| PathBuf::from(FOLDERS[0]));
        let reason = format!(
            "CUDA's headers ({HEADER}) are not in {}: install the CUDA toolkit or the Python package nvidia-cuda-runtime and set CUDA_PATH to \
             the folder that holds `include`",
            folder.display()
        );
        return Err(LearnError::NoDevice { index, reason });
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
