//! What turns a tensor into tensors, and what these are.

use std::fmt;

use ort::{
    session::Session,
    value::{DynValue, TensorRef},
};

/// Name and shape of a model's input or output; -1 stands for a free dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<i64>,
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {:?}", self.name, self.shape)
    }
}

/// Inputs or outputs in a row, as messages name what they found.
pub fn listed(tensors: &[TensorInfo]) -> String {
    tensors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What turns a tensor into tensors.
pub(super) trait Network: Send {
    /// Runs the only input and appends the outputs, in the model's order. An error is in ONNX Runtime's words.
    fn run(&mut self, shape: [usize; 4], input: &[f32], outputs: &mut Vec<DynValue>) -> Result<(), String>;
}

impl Network for Session {
    fn run(&mut self, shape: [usize; 4], input: &[f32], outputs: &mut Vec<DynValue>) -> Result<(), String> {
        let input = TensorRef::from_array_view((shape, input)).map_err(|error| error.to_string())?;
        let answer = Session::run(self, ort::inputs![input]).map_err(|error| error.to_string())?;
        outputs.extend(answer.into_iter().map(|(_, value)| value));
        Ok(())
    }
}
