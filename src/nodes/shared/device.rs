//! The parameter `device` of nodes: where their networks run, or are trained.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use ferroflow_cuda::Device;
use ferroflow_vision::inference::SessionOptions;

use crate::batch::Context;

/// Where they do unless something else is asked for.
pub const fn cpu() -> Device {
    Device::Cpu
}

/// For parameters that nodes had not always: the CPU is left out of what a result is found by.
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::Cpu
}

/// The CUDA device that a node keeps others from; `auto` is the one that it comes to.
pub fn needed(device: Device) -> Option<u32> {
    static AUTO: OnceLock<Option<u32>> = OnceLock::new();
    let number = |device| if let Device::Cuda(index) = device { Some(index) } else { None };
    match device {
        Device::Auto => *AUTO.get_or_init(|| device.resolve().ok().and_then(number)),
        named => number(named),
    }
}

/// Sessions of workers that stand side by side. On the CPU each worker has networks of its own, of one
/// thread, so that none waits for another and no answer depends on how many there are. A device holds each
/// network once.
pub struct WorkerSessions {
    name: &'static str,
    device: Device,
    opened: AtomicUsize,
}

impl WorkerSessions {
    /// For the workers of a stage that is called so.
    pub const fn new(name: &'static str, device: Device) -> Self {
        Self { name, device, opened: AtomicUsize::new(0) }
    }

    /// The options of one more worker.
    pub fn next(&self) -> SessionOptions {
        let worker = self.opened.fetch_add(1, Ordering::Relaxed);
        let is_cpu = self.device == Device::Cpu;
        let instance_id = if is_cpu { format!("{} {worker}", self.name) } else { String::new() };
        SessionOptions { device: self.device, threads: 1, instance_id, ..SessionOptions::default() }
    }
}

/// The device to train on, which is there.
pub fn for_training(asked: Device, context: &Context) -> anyhow::Result<Device> {
    let device = asked.resolve()?;
    if device != asked {
        context.progress.message(format!("device=auto: training on {device}"));
    }
    Ok(device)
}

/// Where a training on a device keeps its checkpoints, in the folder that the stage has for them: no device
/// goes on with what another has begun.
pub fn checkpoints(folder: &Path, device: Device) -> PathBuf {
    match device {
        Device::Cpu => folder.to_owned(),
        other => folder.join(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_keeps_others_from_what_it_comes_to() {
        assert_eq!((needed(Device::Cpu), needed(Device::Cuda(2))), (None, Some(2)));
        let is_there = Device::Cuda(0).resolve().is_ok();
        assert_eq!(needed(Device::Auto), is_there.then_some(0));
    }

    #[test]
    fn each_device_has_checkpoints_of_its_own() {
        let folder = Path::new("checkpoints");
        assert_eq!(checkpoints(folder, Device::Cpu), folder);
        assert_eq!(checkpoints(folder, Device::Cuda(1)), folder.join("cuda:1"));
    }
}
