//! VGG16 (Simonyan & Zisserman 2015, <https://arxiv.org/abs/1409.1556>, configuration D) without its dense layers, as
//! ONNX: a backbone.
//!
//! The weights come from a Keras file in HDF5, of weights alone or of a whole model, or from a `.safetensors` file.
//! Layers are found by their names in any of the ways that are in use: see [`Naming`]. The graph takes (N, 3, size,
//! size) and answers `block5_pool`, (N, 512, size / 32, size / 32), rounded down. The values inside it have the names
//! of Keras' layers, `block1_conv1` (its ReLU included) to `block5_pool`. Its card is in its metadata.

use std::{path::Path, str::FromStr};

use ferroflow_onnx::{GraphBuilder, Side, ints};

use super::{
    ImportError, h5, reorder,
    weights::{self, Entry, Weights},
};
use crate::{
    align::Alignment,
    model::card::{self, Card, Input, Task},
    sample::{ColorOrder, TensorLayout},
};

/// Channels that the convolutions of each block give.
const BLOCKS: [&[usize]; 5] = [&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]];
/// Convolutions in all.
const CONVOLUTIONS: usize = 13;
/// Sides of the input: five halvings leave a pixel, and no card allows more.
const SIZES: std::ops::RangeInclusive<usize> = 32..=8192;
/// The side of faces in FER2013, which is what the input has unless told otherwise; the published networks
/// were trained with 224.
pub const SIZE: usize = 48;
/// Layers that a message lists at most.
const LISTED: usize = 4;

/// How pixels were fed to the network when it was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// ImageNet's mean, blue first, taken from pixels of 0 to 255: `preprocess_input` of
    /// [Keras' VGG16](https://keras.io/api/applications/vgg/), mode `caffe`.
    ImageNet,
    /// The mean of VGG-Face's faces, blue first, taken from pixels of 0 to 255: `preprocess_input` of
    /// [keras-vggface](https://github.com/rcmalli/keras-vggface), version 1.
    VggFace,
    /// Pixels of 0 to 1, red first, less ImageNet's mean and divided by its deviation: the `transforms` of
    /// [torchvision's VGG16](https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.vgg16.html).
    Torchvision,
}

impl FromStr for Means {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "imagenet" => Ok(Self::ImageNet),
            "vggface" => Ok(Self::VggFace),
            "torchvision" => Ok(Self::Torchvision),
            other => Err(format!("`{other}` is not known: use imagenet, vggface or torchvision")),
        }
    }
}

impl Means {
    /// The input of a network that was trained so.
    fn input(self, size: usize) -> Input {
        let (color, scale, mean, std) = match self {
            Self::ImageNet => (ColorOrder::Bgr, 1.0, [103.939, 116.779, 123.68], [1.0; 3]),
            Self::VggFace => (ColorOrder::Bgr, 1.0, [93.5940, 104.7624, 129.1863], [1.0; 3]),
            Self::Torchvision => (ColorOrder::Rgb, 1.0 / 255.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        };
        Input {
            width: size,
            height: size,
            color,
            layout: TensorLayout::Nchw,
            scale,
            mean: mean.to_vec(),
            std: std.to_vec(),
            crop_padding: 0.0,
            align: Alignment::Level,
        }
    }
}

/// Ways in which the layers are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// `block1_conv1`: Keras' own.
    Keras,
    /// `conv1_1`: VGG-Face's, as keras-vggface has it.
    VggFace,
    /// `conv_1_1`: VGG-Face's, as PyTorch's ports have it.
    Torch,
    /// `features.0`: torchvision's, where activations and maxima count as well.
    Torchvision,
}

impl Naming {
    const ALL: [Self; 4] = [Self::Keras, Self::VggFace, Self::Torch, Self::Torchvision];

    /// The name of a convolution in a block, both from 0.
    fn name(self, block: usize, convolution: usize) -> String {
        let (number, inside) = (block + 1, convolution + 1);
        match self {
            Self::Keras => keras_name(block, convolution),
            Self::VggFace => format!("conv{number}_{inside}"),
            Self::Torch => format!("conv_{number}_{inside}"),
            Self::Torchvision => {
                // Each convolution is followed by a ReLU, each block by a maximum.
                let before: usize = BLOCKS.iter().take(block).map(|block| 2 * block.len() + 1).sum();
                format!("features.{}", before + 2 * convolution)
            }
        }
    }

    /// The names of all convolutions, from the first to the last.
    fn names(self) -> impl Iterator<Item = String> {
        let blocks = BLOCKS.iter().enumerate();
        blocks.flat_map(move |(block, layers)| (0..layers.len()).map(move |layer| self.name(block, layer)))
    }

    const fn means(self) -> Means {
        match self {
            Self::Keras => Means::ImageNet,
            Self::VggFace | Self::Torch => Means::VggFace,
            Self::Torchvision => Means::Torchvision,
        }
    }

    /// How many of the convolutions there are.
    fn found(self, entries: &[Entry]) -> usize {
        self.names().filter(|name| entries.iter().any(|entry| is_kernel(entry) && entry.is_of(name))).count()
    }
}

fn keras_name(block: usize, convolution: usize) -> String {
    format!("block{}_conv{}", block + 1, convolution + 1)
}

const fn is_kernel(entry: &Entry) -> bool {
    entry.dims.len() == 4
}

/// What is asked for besides the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Pixels of the input's sides, 32 or more; [`SIZE`] unless given.
    pub size: Option<usize>,
    /// How the network was fed; unless given it follows from the names of the layers: ImageNet's for Keras'
    /// own, VGG-Face's for `conv1_1`, torchvision's for `features.0`.
    pub means: Option<Means>,
}

/// Whether a Keras file is to be read as VGG16: if it has all its convolutions by one of their names, or
/// weights alone, of which nothing else is known.
///
/// # Errors
/// If the file cannot be read.
pub fn is_in(path: &Path) -> Result<bool, ImportError> {
    let file = h5::open(path)?;
    if h5::attribute(&file, h5::CONFIG).is_none() {
        return Ok(true);
    }
    let is_whole = |naming: &Naming, entries: &[Entry]| naming.found(entries) == CONVOLUTIONS;
    weights::open(path, |weights| Ok(Naming::ALL.iter().any(|naming| is_whole(naming, &weights.entries))))
}

/// Reads the weights and answers an ONNX file. Dense layers are left out.
///
/// # Errors
/// If the file cannot be read or is of another architecture, which says what was expected and what was found, or the
/// size is out of its range.
pub fn import(path: &Path, options: &Options) -> Result<Vec<u8>, ImportError> {
    weights::open(path, |weights| network(weights, options))
}

fn network(weights: &Weights<'_>, options: &Options) -> Result<Vec<u8>, String> {
    let size = options.size.unwrap_or(SIZE);
    if !SIZES.contains(&size) {
        let (least, most) = (SIZES.start(), SIZES.end());
        return Err(format!("an input of {size} pixels a side: {least} to {most} are needed"));
    }
    let naming = naming(&weights.entries)?;
    let means = options.means.unwrap_or(naming.means());
    let mut graph = GraphBuilder::default();
    graph.input("input", &[Side::Free("batch"), Side::Fixed(3), Side::Fixed(size), Side::Fixed(size)]);
    let (mut value, mut channels, mut side) = ("input".to_owned(), 3, size);
    for (block, layers) in BLOCKS.iter().enumerate() {
        for (layer, &outputs) in layers.iter().enumerate() {
            let (kernel, bias) = layer_weights(weights, &naming.name(block, layer), channels, outputs)?;
            let name = keras_name(block, layer);
            let kernel = graph.floats(&format!("{name}.weight"), &[outputs, channels, 3, 3], &kernel);
            let bias = graph.floats(&format!("{name}.bias"), &[outputs], &bias);
            let window = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])];
            let sums = graph.node("Conv", &format!("{name}.sums"), &[&value, &kernel, &bias], window);
            value = graph.node("Relu", &name, &[&sums], vec![]);
            channels = outputs;
        }
        let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        value = graph.node("MaxPool", &format!("block{}_pool", block + 1), &[&value], window);
        side /= 2;
    }
    graph.output(&value, &[Side::Free("batch"), Side::Fixed(channels), Side::Fixed(side), Side::Fixed(side)]);
    let card = Card { task: Task::Embedding, labels: Vec::new(), softmax: false, input: means.input(size) };
    graph.metadata(card::METADATA, toml::to_string(&card).map_err(|error| error.to_string())?);
    Ok(graph.finish("vgg16"))
}

/// How the layers are named, if all convolutions are there and no other layers of another architecture.
fn naming(entries: &[Entry]) -> Result<Naming, String> {
    let wanted = "VGG16 is needed: 13 convolutions of 3x3, from `block1_conv1` (or `conv1_1`, or `features.0`) to `block5_conv3`";
    let separable: Vec<&Entry> =
        entries.iter().filter(|entry| entry.name.contains("depthwise_kernel")).collect();
    if !separable.is_empty() {
        return Err(format!(
            "{wanted}; found separable convolutions, as mini-Xception has: {}; a whole Keras model of such is imported without `--size` and `--means`",
            list(&separable)
        ));
    }
    let found = |naming: &Naming| naming.found(entries);
    let Some(naming) = Naming::ALL.into_iter().max_by_key(found).filter(|naming| found(naming) > 0) else {
        let kernels: Vec<&Entry> = entries.iter().filter(|entry| is_kernel(entry)).collect();
        return Err(format!("{wanted}; found none of these, but {}", list(&kernels)));
    };
    let names: Vec<String> = naming.names().collect();
    let is_known = |entry: &Entry| names.iter().any(|name| entry.is_of(name));
    let kernels: Vec<&Entry> = entries.iter().filter(|entry| is_kernel(entry)).collect();
    let missing: Vec<&str> = names
        .iter()
        .filter(|name| !kernels.iter().any(|entry| entry.is_of(name)))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(format!("{wanted}; missing {}; found {}", missing.join(", "), list(&kernels)));
    }
    let others: Vec<&Entry> = kernels.into_iter().filter(|entry| !is_known(entry)).collect();
    if !others.is_empty() {
        return Err(format!("{wanted}, and no others; found besides these {}", list(&others)));
    }
    let is_norm = |entry: &&Entry| entry.name.contains("moving_mean") || entry.name.contains("running_mean");
    let norms: Vec<&Entry> = entries.iter().filter(is_norm).collect();
    if !norms.is_empty() {
        return Err(format!("{wanted}, without normalisation between them; found {}", list(&norms)));
    }
    Ok(naming)
}

/// Names and sides of some tensors.
fn list(entries: &[&Entry]) -> String {
    let mut text: Vec<String> =
        entries.iter().take(LISTED).map(|entry| format!("`{}` {:?}", entry.name, entry.dims)).collect();
    match entries.len() {
        0 => text.push("no convolution at all".to_owned()),
        count if count > LISTED => text.push(format!("and {} more", count - LISTED)),
        _ => {}
    }
    text.join(", ")
}

/// The kernel (outputs x inputs x 3 x 3) and the bias of a convolution.
fn layer_weights(
    weights: &Weights<'_>,
    name: &str,
    inputs: usize,
    outputs: usize,
) -> Result<(Vec<f32>, Vec<f32>), String> {
    let (keras, torch) = ([3, 3, inputs, outputs], [outputs, inputs, 3, 3]);
    let (at, kernel) = only(weights, name, 4, "4 sides, its kernel")?;
    // PyTorch calls it `weight` and puts outputs first, Keras calls it `kernel`, once `W`, and puts them last.
    let is_torch = kernel.name.ends_with(".weight") || kernel.name.ends_with("/weight");
    let wanted = if is_torch { torch } else { keras };
    if kernel.dims != wanted {
        return Err(format!(
            "VGG16's `{name}` has a kernel of {wanted:?}, found `{}` {:?}",
            kernel.name, kernel.dims
        ));
    }
    let read =
        |at: usize, entry: &Entry| (weights.read)(at).map_err(|reason| format!("`{}` {reason}", entry.name));
    let mut values = read(at, kernel)?;
    if !is_torch {
        values = reorder(&values, keras, [3, 2, 0, 1]);
    }
    let (at, bias) = only(weights, name, 1, "one side, its bias")?;
    if bias.dims != [outputs] {
        return Err(format!(
            "VGG16's `{name}` has a bias of [{outputs}], found `{}` {:?}",
            bias.name, bias.dims
        ));
    }
    Ok((values, read(at, bias)?))
}

/// The only tensor of a layer with so many sides.
fn only<'a>(
    weights: &'a Weights<'_>,
    name: &str,
    sides: usize,
    what: &str,
) -> Result<(usize, &'a Entry), String> {
    let is_it = |entry: &Entry| entry.dims.len() == sides && entry.is_of(name);
    let found: Vec<_> = weights.entries.iter().enumerate().filter(|(_, entry)| is_it(entry)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        several => {
            let several: Vec<&Entry> = several.iter().map(|(_, entry)| *entry).collect();
            let names: Vec<&str> = several.iter().map(|entry| entry.name.as_str()).collect();
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(format!("VGG16's `{name}` needs one tensor of {what}, found {found}"))
        }
    }
}
