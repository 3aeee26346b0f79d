//! How much of the machine a run may take, and a stage takes.

use std::str::FromStr;

use super::machine;

/// What a stage takes while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Threads that it can make use of; it is given as many as are free, at least one.
    pub cores: usize,
    /// Memory in bytes for each of these threads, about.
    pub memory_per_core: u64,
    /// The CUDA device of this number, which it wants for itself.
    pub device: Option<u32>,
}

impl Default for Needs {
    fn default() -> Self {
        Self { cores: 1, memory_per_core: 256 << 20, device: None }
    }
}

impl Needs {
    /// All cores, with so many bytes for each.
    pub fn all_cores(memory_per_core: u64) -> Self {
        Self { cores: usize::MAX, memory_per_core, device: None }
    }
}

/// What all running stages together may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Threads.
    pub cores: usize,
    /// Bytes.
    pub memory: u64,
}

impl Default for Limits {
    /// All cores, and four fifths of the memory that is free.
    fn default() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: free_memory().map_or(u64::MAX, |free| free / 5 * 4),
        }
    }
}

/// What is taken at the moment.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Threads.
    pub cores: usize,
    /// Bytes.
    pub memory: u64,
    /// Devices.
    pub devices: Vec<u32>,
}

/// What a stage was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Threads.
    pub cores: usize,
    memory: u64,
    device: Option<u32>,
}

impl Taken {
    /// Takes what a stage needs, as far as there is enough; a stage that runs alone always gets something.
    pub fn take(&mut self, needs: &Needs, limits: &Limits) -> Option<Share> {
        let is_alone = self.cores == 0;
        if needs.device.as_ref().is_some_and(|device| self.devices.contains(device)) {
            return None;
        }
        let free_cores = limits.cores.saturating_sub(self.cores);
        let per_core = needs.memory_per_core.max(1);
        let by_memory = limits.memory.saturating_sub(self.memory) / per_core;
        let cores = needs.cores.min(free_cores).min(usize::try_from(by_memory).unwrap_or(usize::MAX));
        let cores = if is_alone { cores.max(1) } else { cores };
        if cores == 0 {
            return None;
        }
        let share = Share { cores, memory: per_core * cores as u64, device: needs.device };
        self.cores += share.cores;
        self.memory = self.memory.saturating_add(share.memory);
        self.devices.extend(share.device);
        Some(share)
    }

    /// Gives it back.
    pub fn give(&mut self, share: &Share) {
        self.cores = self.cores.saturating_sub(share.cores);
        self.memory = self.memory.saturating_sub(share.memory);
        self.devices.retain(|device| Some(*device) != share.device);
    }
}

/// Memory that could be had without swapping, as Linux tells.
fn free_memory() -> Option<u64> {
    machine::bytes_of("/proc/meminfo", "MemAvailable:")
}

/// A number of bytes as people write it: 3GB, 512MB, 1.5 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor: f64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" | "g" => 1e9,
            "kib" => 1024.0,
            "mib" => 1048576.0,
            "gib" => 1073741824.0,
            _ => return Err(format!("`{unit}` is no unit of memory: write for example 3GB, 512MB or 2GiB")),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number > 0.0 => Ok(Self((number * factor) as u64)),
            _ => Err(format!("`{text}` is no amount of memory: write for example 3GB, 512MB or 2GiB")),
        }
    }
}

/// A number of bytes for people.
pub fn in_words(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    const LIMITS: Limits = Limits { cores: 2, memory: 1000 };

    #[test]
    fn stages_run_side_by_side_as_far_as_cores_and_memory_go() {
        let mut taken = Taken::default();
        let small = Needs { memory_per_core: 400, ..Needs::default() };
        let first = taken.take(&small, &LIMITS).unwrap();
        let second = taken.take(&small, &LIMITS).unwrap();
        assert_eq!((first.cores, second.cores), (1, 1));
        assert_eq!(taken.take(&small, &LIMITS), None);
        taken.give(&first);
        assert!(taken.take(&small, &LIMITS).is_some());
    }

    #[test]
    fn memory_limits_the_threads_of_a_stage() {
        let mut taken = Taken::default();
        assert_eq!(taken.take(&Needs::all_cores(600), &LIMITS).unwrap().cores, 1);
    }

    #[test]
    fn a_stage_that_is_too_big_runs_alone() {
        let mut taken = Taken::default();
        let big = taken.take(&Needs::all_cores(5000), &LIMITS).unwrap();
        assert_eq!(big.cores, 1);
        assert_eq!(taken.take(&Needs::default(), &LIMITS), None);
    }

    #[test]
    fn a_device_serves_one_stage_at_a_time() {
        let mut taken = Taken::default();
        let on_device = Needs { device: Some(0), memory_per_core: 1, ..Needs::default() };
        let share = taken.take(&on_device, &LIMITS).unwrap();
        assert_eq!(taken.take(&on_device, &LIMITS), None);
        taken.give(&share);
        assert!(taken.take(&on_device, &LIMITS).is_some());
    }

    #[test]
    fn memory_is_read_as_people_write_it() {
        assert_eq!("3GB".parse(), Ok(Bytes(3_000_000_000)));
        assert_eq!("1.5 GiB".parse(), Ok(Bytes(1_610_612_736)));
        assert!("many".parse::<Bytes>().is_err() && "-1GB".parse::<Bytes>().is_err());
    }
}
