//! The parameter `device` of nodes: where their networks run, or are trained.

use ferroflow_learn::Device;

use crate::batch::Context;

/// Where they do unless something else is asked for.
pub fn cpu() -> String {
    "cpu".to_owned()
}

/// For parameters that nodes had not always: the CPU is left out of what a result is found by.
pub fn is_cpu(device: &str) -> bool {
    device == "cpu"
}

/// The device that a node keeps others from.
pub fn needed(device: &str) -> Option<String> {
    (!is_cpu(device)).then(|| device.to_owned())
}

/// The device to train on, which is there.
pub fn for_training(asked: &str, context: &Context) -> anyhow::Result<Device> {
    let asked: Device = asked.parse()?;
    let device = asked.resolve()?;
    if device != asked {
        context.progress.message(format!("device=auto: training on {device}"));
    }
    Ok(device)
}
