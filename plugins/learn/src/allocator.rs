//! Memory that the program keeps instead of giving it back to the system.

/// Lets the allocator keep what is freed, in this process from now on.
///
/// A step frees all its maps, and the next takes as much again. glibc gives larger pieces back to the system
/// at once, which clears each page anew when it is next touched: more than a third of the default network's
/// step.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, bytes) in [(libc::M_MMAP_THRESHOLD, LARGEST), (libc::M_TRIM_THRESHOLD, libc::c_int::MAX)] {
        // What it answers is whether it took the setting: without, all is as it was.
        #[allow(unsafe_code, reason = "sets a number, under the allocator's own lock")]
        unsafe {
            libc::mallopt(setting, bytes);
        }
    }
}

/// The greatest threshold that glibc takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST: libc::c_int = 32 << 20;
