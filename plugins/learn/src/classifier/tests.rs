//! What sets trainings apart.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{Examples, Settings, fingerprint};
use crate::faces::Faces;
use crate::run::Split;
use ferroflow_cuda::Device;

#[test]
fn a_checkpoint_belongs_to_one_kind_of_device() {
    let faces = Faces { pixels: &[0; 3 * 64], width: 8, height: 8 };
    let examples = Examples { faces, targets: &[0.5; 6], weights: None, classes: 2 };
    let split = Split { learn: &[0, 1], validate: &[2] };
    let of = |device| fingerprint(device, examples, split, &Settings::default(), None).unwrap();
    assert_ne!(of(Device::Cpu), of(Device::Cuda(0)));
    assert_eq!(of(Device::Cuda(0)), of(Device::Cuda(1)));
}
