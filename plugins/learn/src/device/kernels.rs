//! Where the kernels of a CUDA device are kept once they are compiled, and which of them were the fastest: finding both out
//! takes minutes, which is spent once.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};

/// Has Burn keep them below `folder`, in one of their own for this model of device and this compiler, as CubeCL's own names
/// tell neither. Gives whether there were any. Of several devices in one process the first decides.
pub fn keep(index: u32, folder: &Path) -> bool {
    let Some(name) = name(index) else { return false };
    let folder = folder.join(name);
    let were_there = folder.is_dir();
    // Where nothing can be written, training compiles anew each time, as without this.
    if fs::create_dir_all(&folder).is_err() {
        return false;
    }
    CubeClRuntimeConfig::storage().lock().get_or_insert_with(|| {
        let mut config = CubeClRuntimeConfig::default().override_from_env();
        config.compilation.cache = Some(CacheConfig::File(folder.clone()));
        config.autotune.cache = CacheConfig::File(folder);
        Arc::new(config)
    });
    were_there
}

/// As a folder is called: `nvidia-h100-80gb-hbm3-nvrtc-13.0`.
fn name(index: u32) -> Option<String> {
    let device = ferroflow_cuda::device_name(index).ok()?;
    let (major, minor) = ferroflow_cuda::compiler().ok()?;
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    Some(format!("{}-nvrtc-{major}.{minor}", device.chars().map(plain).collect::<String>()))
}
