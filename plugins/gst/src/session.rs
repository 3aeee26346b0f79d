//! What elements that ask a network have in common.

use std::{path::PathBuf, time::Duration};

use ferroflow_vision::{
    inference::{InferenceError, SessionOptions},
    model::ModelError,
};

/// The options of a session, of the element's properties; the batch timeout in milliseconds.
pub fn options(
    device: Option<&str>,
    threads: u32,
    model_instance_id: Option<&str>,
    batch_size: u32,
    batch_timeout: u32,
) -> Result<SessionOptions, InferenceError> {
    Ok(SessionOptions {
        device: device.unwrap_or_default().parse()?,
        threads: threads as usize,
        instance_id: model_instance_id.unwrap_or_default().to_owned(),
        batch_size: batch_size as usize,
        batch_timeout: Duration::from_millis(batch_timeout.into()),
    })
}

/// The private part of an element with a property `model`.
pub trait UsesModels {
    /// The files of the models that it would open as it is set now, with their cards.
    fn model_files(&self) -> Result<Vec<PathBuf>, ModelError>;
}
