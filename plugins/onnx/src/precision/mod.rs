//! Networks of fewer bits: half precision, and whole numbers of eight bits.
//!
//! Both are drop-ins for the network that they are made of: its inputs and outputs stay as they are, and so
//! do its metadata. What is not known here is left as it is, in single precision.

mod draft;
mod fold;
mod half;
mod int8;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::error::OnnxError;

/// What a network computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Half precision (IEEE 754 binary16): weights, and the arithmetic from the first convolution or dense layer on.
    /// What comes before, such as what prepares a picture, stays in single precision, and so does a softmax.
    Half,
    /// Static quantisation as ONNX Runtime's `quantize_static` writes it with `QuantFormat.QDQ`: weights of
    /// convolutions and dense layers are signed whole numbers of eight bits with a scale for each output and no zero
    /// point, what goes into these layers and comes out of convolutions unsigned ones with one scale and zero point,
    /// biases signed ones of 32 bits. Operator set 13 or newer is needed. See
    /// <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>.
    Int8 {
        /// Weights have seven bits: x86 processors without VNNI add products of two neighbours in 16 bits,
        /// which eight can overflow.
        reduce_range: bool,
    },
}

/// What the values of a tensor are between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// None, or few, are less.
    pub least: f32,
    /// None, or few, are greater.
    pub greatest: f32,
}

/// Ranges of tensors by their names in the file.
pub type Ranges = HashMap<String, Range>;

/// A network that was converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The file.
    pub file: Vec<u8>,
    /// Convolutions and dense layers that have fewer bits now.
    pub layers: usize,
    /// Those that were left as they were.
    pub left: usize,
}

impl Precision {
    /// The tensors of floats whose ranges [`Precision::convert`] asks for: graph inputs, and values that nodes make.
    ///
    /// # Errors
    /// As those of [`Precision::convert`].
    pub fn tensors(self, file: &[u8]) -> Result<Vec<String>, OnnxError> {
        match self {
            Self::Half => half::tensors(file),
            Self::Int8 { .. } => int8::tensors(file),
        }
    }

    /// The network in this precision. `metadata` take the place of what the file has under the same keys; all
    /// others stay.
    ///
    /// With `Half`, tensors whose range comes near the greatest number of half precision keep what makes them
    /// and takes them in single precision; one without a range passes for one that fits. With `Int8`, what
    /// goes into a layer must have a range, or the layer is left.
    ///
    /// # Errors
    /// If the bytes are no ONNX file, its operators are too old, or there is no layer that can be converted.
    pub fn convert(
        self,
        file: &[u8],
        ranges: &Ranges,
        metadata: &[(&str, String)],
    ) -> Result<Converted, OnnxError> {
        match self {
            Self::Half => half::convert(file, ranges, metadata),
            Self::Int8 { reduce_range } => int8::convert(file, ranges, reduce_range, metadata),
        }
    }
}
