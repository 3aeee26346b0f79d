//! Keras' convolutional classifiers in HDF5 (`model.save`) as ONNX.
//!
//! The graph takes [N, channels, height, width] and answers [N, classes]. Padding `same` is TensorFlow's: what is odd
//! goes to the right and the bottom.

use std::{collections::HashMap, path::Path};

use ferroflow_onnx::{AttributeProto, GraphBuilder, Side, float, int, ints};
use hdf5::Group;
use serde::Deserialize;
use serde_json::Value;

use super::{
    ImportError, about,
    h5::{self, CONFIG, WEIGHTS},
    reorder,
};

#[derive(Deserialize)]
struct Model {
    class_name: String,
    config: ModelConfig,
}

#[derive(Deserialize)]
struct ModelConfig {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    class_name: String,
    #[serde(default)]
    name: String,
    config: Value,
    #[serde(default)]
    inbound_nodes: Vec<Vec<Value>>,
}

/// Reads a Keras model and answers an ONNX file.
pub fn import(path: &Path) -> Result<Vec<u8>, ImportError> {
    let fail = about(path);
    let file = h5::open(path)?;
    let text = h5::attribute(&file, CONFIG).ok_or_else(|| {
        fail(format!("no `{CONFIG}`: weights alone cannot be imported, save the whole model"))
    })?;
    let model: Model =
        serde_json::from_str(&text).map_err(|error| fail(format!("its `{CONFIG}`: {error}")))?;
    if !matches!(model.class_name.as_str(), "Model" | "Functional") {
        return Err(fail(format!("a Keras `{}` is not known, only functional models are", model.class_name)));
    }
    let weights = file.group(WEIGHTS).map_err(|_| fail(format!("no group `{WEIGHTS}`")))?;
    let mut converter =
        Converter { weights, builder: GraphBuilder::default(), values: HashMap::new(), last: None };
    for layer in &model.config.layers {
        let reason =
            |reason: String| fail(format!("layer `{}` ({}): {reason}", layer.name, layer.class_name));
        converter.layer(layer).map_err(reason)?;
    }
    let Some((name, Shape::Vector(classes))) = converter.last else {
        return Err(fail("the last layer does not answer one number a class".into()));
    };
    converter.builder.output(&name, &[Side::Free("batch"), Side::Fixed(classes)]);
    Ok(converter.builder.finish("keras"))
}

/// What a value holds for each image.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Image { channels: usize, height: usize, width: usize },
    Vector(usize),
}

struct Converter {
    weights: Group,
    builder: GraphBuilder,
    values: HashMap<String, (String, Shape)>,
    last: Option<(String, Shape)>,
}

impl Converter {
    fn layer(&mut self, layer: &Layer) -> Result<(), String> {
        let name = if layer.name.is_empty() { text(&layer.config, "name")? } else { layer.name.as_str() };
        if layer.class_name == "InputLayer" {
            return self.input(name, &layer.config);
        }
        let inputs = inbound(layer)?;
        let inputs = inputs
            .iter()
            .map(|input| {
                self.values.get(input).cloned().ok_or_else(|| format!("its input `{input}` is not known"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (input, shape) = inputs.first().cloned().ok_or("it has no input")?;
        let config = &layer.config;
        check_settings(config)?;
        let (value, shape) = match (layer.class_name.as_str(), shape) {
            ("Conv2D", Shape::Image { .. }) => self.convolution(name, config, &input, shape)?,
            ("SeparableConv2D", Shape::Image { .. }) => self.separable(name, config, &input, shape)?,
            ("BatchNormalization", Shape::Image { channels, .. }) => {
                (self.batch_norm(name, config, &input, channels)?, shape)
            }
            ("MaxPooling2D", Shape::Image { .. }) => self.pooling(name, config, &input, shape)?,
            ("Activation", _) => (self.activation(name, text(config, "activation")?, &input)?, shape),
            ("Dropout", _) => (input, shape),
            ("Add", _) => match &inputs[..] {
                [(a, first), (b, second)] if first == second => {
                    (self.builder.node("Add", name, &[a, b], vec![]), shape)
                }
                _ => return Err("two inputs of one shape are needed".into()),
            },
            ("GlobalAveragePooling2D", Shape::Image { channels, .. }) => {
                let pooled =
                    self.builder.node("GlobalAveragePool", &format!("{name}.pool"), &[&input], vec![]);
                (
                    self.builder.node("Flatten", name, &[&pooled], vec![int("axis", 1)]),
                    Shape::Vector(channels),
                )
            }
            (other, _) => return Err(format!("layers of type `{other}` on {shape:?} are not known")),
        };
        // An activation inside another layer.
        let value = match (layer.class_name.as_str(), config.get("activation").and_then(Value::as_str)) {
            ("Activation", _) | (_, None | Some("linear")) => value,
            (_, Some(kind)) => self.activation(&format!("{name}.activation"), kind, &value)?,
        };
        self.last = Some((value.clone(), shape));
        self.values.insert(name.to_owned(), (value, shape));
        Ok(())
    }

    fn input(&mut self, name: &str, config: &Value) -> Result<(), String> {
        let sides =
            config.get("batch_input_shape").or_else(|| config.get("batch_shape")).and_then(Value::as_array);
        let sides: Vec<Option<usize>> = sides
            .ok_or("no input shape")?
            .iter()
            .map(|side| side.as_u64().map(|side| side as usize))
            .collect();
        let [_, Some(height), Some(width), Some(channels)] = sides[..] else {
            return Err(format!("an input of [batch, height, width, channels] is needed, found {sides:?}"));
        };
        let shape = [Side::Free("batch"), Side::Fixed(channels), Side::Fixed(height), Side::Fixed(width)];
        self.builder.input(name, &shape);
        self.values.insert(name.to_owned(), (name.to_owned(), Shape::Image { channels, height, width }));
        Ok(())
    }

    /// Weights of a layer, of the given shape.
    fn tensor(&self, layer: &str, kind: &str, dims: &[usize]) -> Result<Vec<f32>, String> {
        let group = self.weights.group(layer).map_err(|_| "the file has no weights for it".to_owned())?;
        let dataset = find(&group, kind, 3).ok_or_else(|| format!("the file has no `{kind}` for it"))?;
        if dataset.shape() != dims {
            return Err(format!("its `{kind}` is {:?}, {dims:?} is needed", dataset.shape()));
        }
        h5::floats(&dataset).map_err(|reason| format!("its `{kind}` {reason}"))
    }

    fn convolution(
        &mut self,
        name: &str,
        config: &Value,
        input: &str,
        shape: Shape,
    ) -> Result<(String, Shape), String> {
        let Shape::Image { channels, height, width } = shape else { return Err("an image is needed".into()) };
        let filters = number(config, "filters")?;
        let [kernel_height, kernel_width] = pair(config, "kernel_size")?;
        let kernel = self.tensor(name, "kernel:0", &[kernel_height, kernel_width, channels, filters])?;
        let dims = [filters, channels, kernel_height, kernel_width];
        let kernel = reorder(&kernel, [kernel_height, kernel_width, channels, filters], [3, 2, 0, 1]);
        let weight = self.builder.floats(&format!("{name}.weight"), &dims, &kernel);
        let bias = self.bias(name, config, filters)?;
        let window = Window::new(config, [kernel_height, kernel_width], [height, width])?;
        let mut inputs = vec![input, weight.as_str()];
        inputs.extend(bias.as_deref());
        let value = self.builder.node("Conv", name, &inputs, window.attributes(None));
        let [height, width] = window.output;
        Ok((value, Shape::Image { channels: filters, height, width }))
    }

    fn separable(
        &mut self,
        name: &str,
        config: &Value,
        input: &str,
        shape: Shape,
    ) -> Result<(String, Shape), String> {
        let Shape::Image { channels, height, width } = shape else { return Err("an image is needed".into()) };
        let (filters, multiplier) = (number(config, "filters")?, number(config, "depth_multiplier")?);
        if multiplier != 1 {
            return Err(format!("a depth multiplier of {multiplier} is not known"));
        }
        let [kh, kw] = pair(config, "kernel_size")?;
        let depthwise = self.tensor(name, "depthwise_kernel:0", &[kh, kw, channels, 1])?;
        let depthwise = reorder(&depthwise, [kh, kw, channels, 1], [2, 3, 0, 1]);
        let pointwise = self.tensor(name, "pointwise_kernel:0", &[1, 1, channels, filters])?;
        let pointwise = reorder(&pointwise, [1, 1, channels, filters], [3, 2, 0, 1]);
        let depthwise = self.builder.floats(&format!("{name}.depthwise"), &[channels, 1, kh, kw], &depthwise);
        let pointwise =
            self.builder.floats(&format!("{name}.pointwise"), &[filters, channels, 1, 1], &pointwise);
        let bias = self.bias(name, config, filters)?;
        let window = Window::new(config, [kh, kw], [height, width])?;
        let attributes = window.attributes(Some(channels));
        let middle = self.builder.node("Conv", &format!("{name}.spatial"), &[input, &depthwise], attributes);
        let mut inputs = vec![middle.as_str(), pointwise.as_str()];
        inputs.extend(bias.as_deref());
        let value = self.builder.node("Conv", name, &inputs, vec![ints("kernel_shape", &[1, 1])]);
        let [height, width] = window.output;
        Ok((value, Shape::Image { channels: filters, height, width }))
    }

    fn bias(&mut self, name: &str, config: &Value, filters: usize) -> Result<Option<String>, String> {
        if config.get("use_bias").and_then(Value::as_bool) == Some(false) {
            return Ok(None);
        }
        let bias = self.tensor(name, "bias:0", &[filters])?;
        Ok(Some(self.builder.floats(&format!("{name}.bias"), &[filters], &bias)))
    }

    fn batch_norm(
        &mut self,
        name: &str,
        config: &Value,
        input: &str,
        channels: usize,
    ) -> Result<String, String> {
        let epsilon = config.get("epsilon").and_then(Value::as_f64).unwrap_or(1e-3) as f32;
        let mut inputs = vec![input.to_owned()];
        for kind in ["gamma", "beta", "moving_mean", "moving_variance"] {
            let values = self.tensor(name, &format!("{kind}:0"), &[channels])?;
            inputs.push(self.builder.floats(&format!("{name}.{kind}"), &[channels], &values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.builder.node("BatchNormalization", name, &inputs, vec![float("epsilon", epsilon)]))
    }

    fn pooling(
        &mut self,
        name: &str,
        config: &Value,
        input: &str,
        shape: Shape,
    ) -> Result<(String, Shape), String> {
        let Shape::Image { channels, height, width } = shape else { return Err("an image is needed".into()) };
        let window = Window::new(config, pair(config, "pool_size")?, [height, width])?;
        let value = self.builder.node("MaxPool", name, &[input], window.attributes(None));
        let [height, width] = window.output;
        Ok((value, Shape::Image { channels, height, width }))
    }

    fn activation(&mut self, name: &str, kind: &str, input: &str) -> Result<String, String> {
        Ok(match kind {
            "relu" => self.builder.node("Relu", name, &[input], vec![]),
            "softmax" => self.builder.node("Softmax", name, &[input], vec![int("axis", 1)]),
            other => return Err(format!("the activation `{other}` is not known")),
        })
    }
}

/// Refuses settings that would change what a layer computes and are not heeded.
fn check_settings(config: &Value) -> Result<(), String> {
    let ones = serde_json::json!([1, 1]);
    for (key, known) in [
        ("data_format", &[Value::from("channels_last")][..]),
        ("dilation_rate", &[ones, Value::from(1)]),
        ("groups", &[Value::from(1)]),
        // Of normalisation and softmax: the channels, which come last.
        ("axis", &[Value::from(-1), Value::from(3), serde_json::json!([3])]),
        ("keepdims", &[Value::from(false)]),
    ] {
        match config.get(key) {
            None | Some(Value::Null) => {}
            Some(value) if known.contains(value) => {}
            Some(value) => return Err(format!("`{key}` is {value}, and only {} is known", known[0])),
        }
    }
    Ok(())
}

/// A sliding window with TensorFlow's padding.
struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    /// Top, left, bottom, right.
    pads: [usize; 4],
    output: [usize; 2],
}

impl Window {
    fn new(config: &Value, kernel: [usize; 2], input: [usize; 2]) -> Result<Self, String> {
        let strides = pair(config, "strides")?;
        let same = match text(config, "padding")? {
            "same" => true,
            "valid" => false,
            other => return Err(format!("the padding `{other}` is not known")),
        };
        let (mut pads, mut output) = ([0; 4], [0; 2]);
        for axis in 0..2 {
            let (length, size, stride) = (input[axis], kernel[axis], strides[axis]);
            if same {
                output[axis] = length.div_ceil(stride);
                let missing = ((output[axis] - 1) * stride + size).saturating_sub(length);
                pads[axis] = missing / 2;
                pads[axis + 2] = missing - missing / 2;
            } else {
                let room = length
                    .checked_sub(size)
                    .ok_or_else(|| format!("a window of {size} does not fit into {length}"))?;
                output[axis] = room / stride + 1;
            }
        }
        Ok(Self { kernel, strides, pads, output })
    }

    fn attributes(&self, group: Option<usize>) -> Vec<AttributeProto> {
        let mut attributes = vec![
            ints("kernel_shape", &self.kernel),
            ints("strides", &self.strides),
            ints("pads", &self.pads),
        ];
        attributes.extend(group.map(|group| int("group", group as i64)));
        attributes
    }
}

/// The dataset of this name, some groups further down.
fn find(group: &Group, name: &str, depth: usize) -> Option<hdf5::Dataset> {
    if let Ok(dataset) = group.dataset(name) {
        return Some(dataset);
    }
    let depth = depth.checked_sub(1)?;
    group.groups().ok()?.iter().find_map(|inner| find(inner, name, depth))
}

/// The names of the layers that feed this one.
fn inbound(layer: &Layer) -> Result<Vec<String>, String> {
    let nodes = layer.inbound_nodes.first().ok_or("it has no input")?;
    let name = |node: &Value| node.get(0).and_then(Value::as_str).map(str::to_owned);
    nodes
        .iter()
        .map(|node| name(node).ok_or_else(|| "its inputs are written in a way that is not known".to_owned()))
        .collect()
}

fn text<'a>(config: &'a Value, key: &str) -> Result<&'a str, String> {
    config.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is missing"))
}

fn number(config: &Value, key: &str) -> Result<usize, String> {
    let number = config.get(key).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| (1..=1 << 20).contains(number))
        .ok_or_else(|| format!("`{key}` is missing or out of range"))
}

fn pair(config: &Value, key: &str) -> Result<[usize; 2], String> {
    let side = |index: usize| config.get(key).and_then(|pair| pair.get(index)).and_then(Value::as_u64);
    match (side(0), side(1)) {
        (Some(first @ 1..=1024), Some(second @ 1..=1024)) => Ok([first as usize, second as usize]),
        _ => Err(format!("`{key}` is missing or out of range")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_that_are_not_heeded_are_refused() {
        let plain =
            json!({ "data_format": "channels_last", "dilation_rate": [1, 1], "axis": [3], "groups": 1 });
        assert_eq!(check_settings(&plain), Ok(()));
        for (key, value, reason) in [
            ("dilation_rate", json!([2, 2]), "`dilation_rate` is [2,2], and only [1,1] is known"),
            (
                "data_format",
                json!("channels_first"),
                "`data_format` is \"channels_first\", and only \"channels_last\" is known",
            ),
            ("groups", json!(2), "`groups` is 2, and only 1 is known"),
            ("axis", json!(1), "`axis` is 1, and only -1 is known"),
        ] {
            assert_eq!(check_settings(&json!({ key: value })), Err(reason.to_owned()));
        }
    }
}
