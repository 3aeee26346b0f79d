//! A trained generator as ONNX.

use burn::backend::Flex;
use burn::module::Param;
use burn::tensor::Tensor;
use ferroflow_onnx::{AttributeProto, GraphBuilder, Side, float, ints, text};

use super::canvas::Canvas;
use super::layers::NormedWeights;
use super::settings::Normalisation;
use super::translator::Translator;
use crate::error::LearnError;
use crate::kernels::norm::{EPSILON, Moments};
use crate::kernels::planes::window::{Border, Window};

const INPUT: &str = "faces";
const OUTPUT: &str = "translated";

impl Translator {
    /// The network as an ONNX file (operator set 13) with this name.
    ///
    /// Its input `faces` is float (N, 1, height, width), N free, gray values in -1..1 (pixel / 127.5 - 1); its output
    /// `translated` is of the same shape and range. The metadata say under a card's names how the input is
    /// made, and what the caller has to add.
    ///
    /// # Errors
    /// If the network has not got the moments that single faces are normalised with.
    pub fn to_onnx(&self, name: &str, metadata: &[(&str, String)]) -> Result<Vec<u8>, LearnError> {
        let moments = match self.normalisation {
            Normalisation::Instance => None,
            Normalisation::Batch => Some(self.moments.as_deref().unwrap_or_default()),
        };
        let mut sketch = Sketch { builder: GraphBuilder::default(), moments, nodes: 0, normed: 0 };
        let shape = [Side::Free("faces"), Side::Fixed(1), Side::Fixed(self.height), Side::Fixed(self.width)];
        sketch.builder.input(INPUT, &shape);
        let output = self.generator.draw(INPUT.to_owned(), &mut sketch);
        if let Some(moments) = moments.filter(|moments| moments.len() != sketch.normed) {
            let (found, needed) = (moments.len(), sketch.normed);
            return Err(LearnError::Export(format!("moments of {found} layers, {needed} are needed")));
        }
        let mut builder = sketch.builder;
        builder.output(&output, &shape);
        for (key, value) in [("color", "gray"), ("layout", "nchw")] {
            builder.metadata(key, value);
        }
        builder.metadata("scale", 1.0f32 / 127.5);
        builder.metadata("mean", 1);
        metadata.iter().for_each(|(key, value)| builder.metadata(key, value));
        Ok(builder.finish(name))
    }
}

/// Draws layers as nodes of a graph.
struct Sketch<'a> {
    builder: GraphBuilder,
    /// Those to normalise with, in the order of the layers; none where each face is normalised for itself.
    moments: Option<&'a [Moments]>,
    /// Nodes so far.
    nodes: usize,
    /// Normalisations so far.
    normed: usize,
}

impl Sketch<'_> {
    /// Adds a node and answers its name.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.name(op);
        self.nodes += 1;
        self.builder.node(op, &name, inputs, attributes)
    }

    /// The name of the next node.
    fn name(&self, op: &str) -> String {
        format!("{}.{op}", self.nodes)
    }

    /// Adds a constant of the next node.
    fn constant<const D: usize>(&mut self, kind: &str, values: &Param<Tensor<Flex, D>>) -> String {
        let values = values.val();
        let dims = values.dims();
        let values: Vec<f32> = values.into_data().iter::<f32>().collect();
        self.builder.floats(&self.name(kind), &dims, &values)
    }

    /// Multiplies what is negative by `slope`.
    fn leak(&mut self, x: String, slope: f32) -> String {
        match slope {
            0.0 => self.node("Relu", &[&x], vec![]),
            1.0 => x,
            _ => self.node("LeakyRelu", &[&x], vec![float("alpha", slope)]),
        }
    }

    /// Mirrors maps at their outermost pixels, which are not repeated.
    fn reflect(&mut self, x: &str, border: usize) -> String {
        let border = border as i64;
        let pads = self.builder.ints(&self.name("pads"), &[0, 0, border, border, 0, 0, border, border]);
        self.node("Pad", &[x, &pads], vec![text("mode", "reflect")])
    }
}

impl Canvas<Flex> for Sketch<'_> {
    /// The name of a value.
    type Maps = String;

    fn convolve(&mut self, x: String, weights: &Param<Tensor<Flex, 4>>, window: Window) -> String {
        let (x, padding) = match window.border {
            Border::Zeros => (x, window.padding),
            Border::Reflection => (self.reflect(&x, window.padding), 0),
        };
        let weights = self.constant("weights", weights);
        self.node("Conv", &[&x, &weights], sides(window, padding))
    }

    fn transpose(
        &mut self,
        x: String,
        weights: &Param<Tensor<Flex, 4>>,
        border: usize,
        window: Window,
    ) -> String {
        let Window { kernel, stride, padding, .. } = window;
        let x = if border == 0 { x } else { self.reflect(&x, border) };
        let weights = self.constant("weights", weights);
        let mut attributes = sides(window, padding);
        // What a side of (side - 1 + 2 * border) * stride + kernel - 2 * padding lacks to side * stride.
        let missing = (stride + 2 * padding).saturating_sub(kernel + 2 * border * stride);
        attributes.push(ints("output_padding", &[missing; 2]));
        self.node("ConvTranspose", &[&x, &weights], attributes)
    }

    fn norm(&mut self, x: String, layer: &NormedWeights<Flex>, slope: f32) -> String {
        let gain = self.constant("gain", &layer.gain);
        let bias = self.constant("bias", &layer.bias);
        let moments = self.moments.and_then(|moments| moments.get(self.normed));
        self.normed += 1;
        let epsilon = vec![float("epsilon", EPSILON)];
        let y = if let Some(Moments { mean, variance }) = moments {
            let mean = self.builder.floats(&self.name("mean"), &[mean.len()], mean);
            let variance = self.builder.floats(&self.name("variance"), &[variance.len()], variance);
            self.node("BatchNormalization", &[&x, &gain, &bias, &mean, &variance], epsilon)
        } else {
            self.node("InstanceNormalization", &[&x, &gain, &bias], epsilon)
        };
        self.leak(y, slope)
    }

    fn drop(&mut self, x: String) -> String {
        x
    }

    fn add(&mut self, x: String, y: String) -> String {
        self.node("Add", &[&x, &y], vec![])
    }

    fn shift(&mut self, x: String, bias: &Param<Tensor<Flex, 1>>, slope: f32) -> String {
        let values: Vec<f32> = bias.val().into_data().iter::<f32>().collect();
        let bias = self.builder.floats(&self.name("bias"), &[values.len(), 1, 1], &values);
        let y = self.node("Add", &[&x, &bias], vec![]);
        self.leak(y, slope)
    }

    fn squash(&mut self, x: String) -> String {
        self.builder.node("Tanh", OUTPUT, &[&x], vec![])
    }
}

/// How a window lies on maps with borders of zeros.
fn sides(window: Window, padding: usize) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &[window.kernel; 2]),
        ints("strides", &[window.stride; 2]),
        ints("pads", &[padding; 4]),
    ]
}
