//! What a training is given besides what it learns from.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::error::LearnError;
use ferroflow_cuda::Device;

/// Where a training runs, and what stops it. What comes out depends on none of this, but for the last digits
/// on the device.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where networks are trained.
    pub device: Device,
    /// A folder that outlives a kill: the same call goes on from there to the same bytes.
    pub checkpoints: &'a Path,
    /// Threads of the CPU that may work.
    pub workers: usize,
    /// Set, it stops the training within a step.
    pub cancelled: &'a AtomicBool,
}

/// Which rows a training takes for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Split<'a> {
    /// To learn from.
    pub learn: &'a [usize],
    /// To say after each epoch how good the network is; may be none.
    pub validate: &'a [usize],
}

impl Split<'_> {
    /// Refuses rows that are not among so many.
    pub(crate) fn check(&self, what: &'static str, rows: usize) -> Result<(), LearnError> {
        match self.learn.iter().chain(self.validate).find(|row| **row >= rows) {
            Some(row) => Err(LearnError::Length { what, found: rows, expected: row + 1 }),
            None => Ok(()),
        }
    }
}
