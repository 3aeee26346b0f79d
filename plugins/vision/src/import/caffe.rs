//! Caffe's SSD detectors (`deploy.prototxt` and `.caffemodel`) as ONNX.
//!
//! The graph ends in `confidences` [N, priors], the probability of a face, and `boxes` [N, priors, 4],
//! corners as shares of the frame (x_min, y_min, x_max, y_max). Priors are computed here, decoding happens in
//! the graph; what Caffe's `DetectionOutput` does beyond that (threshold, suppression, limits) is left to who
//! runs it, and its settings are written into the file's metadata. Layers follow the SSD branch of Caffe (Liu
//! et al. 2016).

use std::{collections::HashMap, path::Path};

use ferroflow_onnx::{AttributeProto, GraphBuilder, Side, float, int, ints};
use prost::Message as _;

use super::{ImportError, about, caffe_settings, prototxt::Message, read};

#[derive(Clone, PartialEq, prost::Message)]
struct NetParameter {
    #[prost(message, repeated, tag = "100")]
    layer: Vec<LayerParameter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LayerParameter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "7")]
    blobs: Vec<BlobProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BlobProto {
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
}

/// Reads network and weights and answers an ONNX file.
pub fn import(prototxt: &Path, caffemodel: &Path) -> Result<Vec<u8>, ImportError> {
    let network = network(&read(prototxt)?).map_err(about(prototxt))?;
    let weights = weights(&read(caffemodel)?).map_err(about(caffemodel))?;
    convert(&network, weights).map_err(about(prototxt))
}

/// The same for files that have been read.
pub fn import_bytes(prototxt: &[u8], caffemodel: &[u8]) -> Result<Vec<u8>, String> {
    convert(&network(prototxt)?, weights(caffemodel)?)
}

fn network(prototxt: &[u8]) -> Result<Message, String> {
    Message::parse(str::from_utf8(prototxt).map_err(|_| "not a text file")?)
}

fn weights(caffemodel: &[u8]) -> Result<HashMap<String, Vec<BlobProto>>, String> {
    let weights = NetParameter::decode(caffemodel)
        .map_err(|error| format!("not a caffemodel, or cut short ({error})"))?;
    if weights.layer.is_empty() {
        return Err("no layers found: not a caffemodel, or of Caffe before 2014".into());
    }
    Ok(weights.layer.into_iter().map(|layer| (layer.name, layer.blobs)).collect())
}

fn convert(network: &Message, weights: HashMap<String, Vec<BlobProto>>) -> Result<Vec<u8>, String> {
    let mut converter = Converter { weights, ..Converter::default() };
    converter.convert(network)?;
    Ok(converter.builder.finish("ssd"))
}

/// A value on its way through the graph.
#[derive(Clone, Debug)]
struct Blob {
    /// Its name in the ONNX graph.
    value: String,
    channels: usize,
    height: usize,
    width: usize,
}

/// Weights of a convolution or a scaling that later layers may still be folded into.
enum Open {
    Convolution {
        weights: Vec<f32>,
        bias: Vec<f32>,
        dims: [usize; 4],
        input: String,
        attributes: Vec<AttributeProto>,
    },
    Affine {
        scale: Vec<f32>,
        bias: Vec<f32>,
        input: String,
    },
}

#[derive(Default)]
struct Converter {
    weights: HashMap<String, Vec<BlobProto>>,
    builder: GraphBuilder,
    blobs: HashMap<String, Blob>,
    /// Nodes that are not yet written because a following layer in place may change their weights, by blob.
    open: HashMap<String, Open>,
    priors: HashMap<String, Vec<[f32; 4]>>,
    image: (usize, usize),
}

impl Converter {
    fn convert(&mut self, network: &Message) -> Result<(), String> {
        let input = network.word("input").ok_or("no `input`: only deploy files can be imported")?.to_owned();
        let dims =
            network.message("input_shape").words("dim").map(str::parse).collect::<Result<Vec<usize>, _>>();
        let Ok(&[_, channels, height, width]) = dims.as_deref() else {
            return Err("`input_shape` must have four dims".into());
        };
        if channels == 0 || !(1..=4096).contains(&height) || !(1..=4096).contains(&width) {
            return Err(format!("an input of {channels}x{height}x{width} cannot be meant"));
        }
        self.image = (width, height);
        let shape = [Side::Free("batch"), Side::Fixed(channels), Side::Fixed(height), Side::Fixed(width)];
        self.builder.input(&input, &shape);
        self.blobs.insert(input.clone(), Blob { value: input, channels, height, width });
        for layer in network.messages("layer") {
            let name = layer.word("name").unwrap_or_default();
            self.layer(name, layer).map_err(|reason| format!("layer `{name}`: {reason}"))?;
        }
        if self.blobs.contains_key(DETECTIONS) {
            Ok(())
        } else {
            Err("no `DetectionOutput` layer: this is not an SSD".into())
        }
    }

    fn layer(&mut self, name: &str, layer: &Message) -> Result<(), String> {
        let bottoms: Vec<&str> = layer.words("bottom").collect();
        let bottom = *bottoms.first().ok_or("no `bottom`")?;
        let top = layer.word("top").ok_or("no `top`")?;
        caffe_settings::check(layer)?;
        match layer.word("type").unwrap_or_default() {
            "BatchNorm" => self.batch_norm(name, layer, bottom, top),
            "Scale" => self.scale(name, bottom, top),
            "Convolution" => self.convolution(name, layer, bottom, top),
            "ReLU" => {
                let from = self.close(bottom)?;
                let value = self.builder.node("Relu", name, &[&from.value], vec![]);
                self.put(top, Blob { value, ..from })
            }
            "Pooling" => self.pooling(name, layer, bottom, top),
            "Eltwise" => {
                let [a, b] = bottoms[..] else { return Err("two inputs are needed".into()) };
                if !matches!(layer.message("eltwise_param").word("operation"), None | Some("SUM" | "1")) {
                    return Err("only sums are known".into());
                }
                let (a, b) = (self.close(a)?, self.close(b)?);
                let value = self.builder.node("Add", name, &[&a.value, &b.value], vec![]);
                self.put(top, Blob { value, ..a })
            }
            "Normalize" => self.normalize(name, layer, bottom, top),
            "Permute" => {
                let order: Result<Vec<usize>, _> =
                    layer.message("permute_param").words("order").map(str::parse).collect();
                if order.as_deref() != Ok(&[0, 2, 3, 1]) {
                    return Err("only the order 0 2 3 1 is known".into());
                }
                let from = self.close(bottom)?;
                let value =
                    self.builder.node("Transpose", name, &[&from.value], vec![ints("perm", &[0, 2, 3, 1])]);
                self.put(top, Blob { value, ..from })
            }
            "Flatten" => {
                let from = self.close(bottom)?;
                let value = self.builder.node("Flatten", name, &[&from.value], vec![int("axis", 1)]);
                self.put(top, Blob { value, ..from })
            }
            "Concat" => self.concat(name, &bottoms, top),
            // Rows of two classes, softmax over them, and flat again: written as one when the detections are.
            "Reshape" | "Softmax" => {
                let from = self.close(bottom)?;
                self.put(top, from)
            }
            "PriorBox" => self.prior_box(layer, bottom, top),
            "DetectionOutput" => self.detection_output(layer, &bottoms),
            other => Err(format!("layers of type `{other}` are not known")),
        }
    }

    fn put(&mut self, top: &str, blob: Blob) -> Result<(), String> {
        self.blobs.insert(top.to_owned(), blob);
        Ok(())
    }

    fn blob(&self, name: &str) -> Result<Blob, String> {
        self.blobs
            .get(name)
            .cloned()
            .ok_or_else(|| format!("its input `{name}` has not been made by a layer before it"))
    }

    /// The blob, with the node that makes it written down for good.
    fn close(&mut self, name: &str) -> Result<Blob, String> {
        let blob = self.blob(name)?;
        match self.open.remove(name) {
            Some(Open::Convolution { weights, bias, dims, input, attributes }) => {
                let value = &blob.value;
                let w = self.builder.floats(&format!("{value}.weight"), &dims, &weights);
                let b = self.builder.floats(&format!("{value}.bias"), &[dims[0]], &bias);
                self.builder.node("Conv", value, &[&input, &w, &b], attributes);
            }
            Some(Open::Affine { scale, bias, input }) => {
                let (value, count) = (&blob.value, [scale.len()]);
                let s = self.builder.floats(&format!("{value}.scale"), &count, &scale);
                let b = self.builder.floats(&format!("{value}.shift"), &count, &bias);
                let mean = self.builder.floats(&format!("{value}.mean"), &count, &vec![0.0; scale.len()]);
                let variance =
                    self.builder.floats(&format!("{value}.variance"), &count, &vec![1.0; scale.len()]);
                let inputs = [&*input, &*s, &*b, &*mean, &*variance];
                self.builder.node("BatchNormalization", value, &inputs, vec![float("epsilon", 0.0)]);
            }
            None => {}
        }
        Ok(blob)
    }

    /// The weights of a layer, each of the length it must have.
    fn blobs_of<const N: usize>(&self, name: &str, lengths: [usize; N]) -> Result<[Vec<f32>; N], String> {
        let blobs = self.weights.get(name).ok_or("the caffemodel has no weights for it")?;
        let mut found = [const { Vec::new() }; N];
        for (index, (slot, length)) in found.iter_mut().zip(lengths).enumerate() {
            let data = blobs.get(index).map(|blob| blob.data.as_slice()).unwrap_or_default();
            if data.len() != length {
                return Err(format!("blob {index} has {} values, {length} are needed", data.len()));
            }
            if data.iter().any(|value| !value.is_finite()) {
                return Err(format!("blob {index} has values that are not finite"));
            }
            *slot = data.to_vec();
        }
        Ok(found)
    }

    fn batch_norm(&mut self, name: &str, layer: &Message, bottom: &str, top: &str) -> Result<(), String> {
        let channels = self.blob(bottom)?.channels;
        let [mean, variance, factor] = self.blobs_of(name, [channels, channels, 1])?;
        let epsilon = layer.message("batch_norm_param").number("eps", 1e-5f32)?;
        let factor = if factor[0] == 0.0 { 0.0 } else { 1.0 / factor[0] };
        let scale: Vec<f32> =
            variance.iter().map(|variance| 1.0 / (variance * factor + epsilon).sqrt()).collect();
        let bias: Vec<f32> = mean.iter().zip(&scale).map(|(mean, scale)| -mean * factor * scale).collect();
        self.affine(name, bottom, top, scale, bias)
    }

    fn scale(&mut self, name: &str, bottom: &str, top: &str) -> Result<(), String> {
        let channels = self.blob(bottom)?.channels;
        let [scale, bias] = self.blobs_of(name, [channels, channels])?;
        self.affine(name, bottom, top, scale, bias)
    }

    /// `y = scale·x + bias` for each channel: folded into what makes `bottom` when it works in place on it.
    fn affine(
        &mut self,
        name: &str,
        bottom: &str,
        top: &str,
        scale: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<(), String> {
        if bottom == top {
            match self.open.get_mut(bottom) {
                Some(Open::Convolution { weights, bias: own, dims, .. }) => {
                    let per_filter = dims[1] * dims[2] * dims[3];
                    for (filter, scale) in weights.chunks_exact_mut(per_filter.max(1)).zip(&scale) {
                        filter.iter_mut().for_each(|weight| *weight *= scale);
                    }
                    fold_bias(own, &scale, &bias);
                    return Ok(());
                }
                Some(Open::Affine { scale: own_scale, bias: own, .. }) => {
                    own_scale.iter_mut().zip(&scale).for_each(|(own, scale)| *own *= scale);
                    fold_bias(own, &scale, &bias);
                    return Ok(());
                }
                None => {}
            }
        }
        let from = self.close(bottom)?;
        self.open.insert(top.to_owned(), Open::Affine { scale, bias, input: from.value.clone() });
        self.put(top, Blob { value: name.to_owned(), ..from })
    }

    fn convolution(&mut self, name: &str, layer: &Message, bottom: &str, top: &str) -> Result<(), String> {
        let from = self.close(bottom)?;
        let settings = layer.message("convolution_param");
        let filters: usize = settings.number("num_output", 0)?;
        let kernel: usize = settings.number("kernel_size", 0)?;
        let (stride, pad): (usize, usize) = (settings.number("stride", 1)?, settings.number("pad", 0)?);
        let dilation: usize = settings.number("dilation", 1)?;
        let group: usize = settings.number("group", 1)?;
        if filters == 0
            || kernel == 0
            || stride == 0
            || dilation == 0
            || group != 1
            || kernel > 64
            || dilation > 64
            || pad > 512
            || filters > 65536
        {
            return Err(
                "num_output, kernel_size, stride or dilation cannot be used, or the convolution is grouped"
                    .into(),
            );
        }
        let has_bias = settings.word("bias_term") != Some("false");
        let dims = [filters, from.channels, kernel, kernel];
        let count = dims.iter().product();
        let (weights, bias) = if has_bias {
            let [weights, bias] = self.blobs_of(name, [count, filters])?;
            (weights, bias)
        } else {
            let [weights] = self.blobs_of(name, [count])?;
            (weights, vec![0.0; filters])
        };
        let reach = dilation * (kernel - 1) + 1;
        let side = |length: usize| (length + 2 * pad).checked_sub(reach).map(|room| room / stride + 1);
        let (Some(height), Some(width)) = (side(from.height), side(from.width)) else {
            return Err(format!("a kernel of {reach} does not fit into {}x{}", from.width, from.height));
        };
        let attributes = vec![
            ints("kernel_shape", &[kernel, kernel]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pad; 4]),
            ints("dilations", &[dilation, dilation]),
        ];
        self.open
            .insert(top.to_owned(), Open::Convolution { weights, bias, dims, input: from.value, attributes });
        self.put(top, Blob { value: name.to_owned(), channels: filters, height, width })
    }

    fn pooling(&mut self, name: &str, layer: &Message, bottom: &str, top: &str) -> Result<(), String> {
        let from = self.close(bottom)?;
        let settings = layer.message("pooling_param");
        let (kernel, stride): (usize, usize) =
            (settings.number("kernel_size", 0)?, settings.number("stride", 1)?);
        let pad: usize = settings.number("pad", 0)?;
        if !matches!(settings.word("pool"), None | Some("MAX" | "0"))
            || pad != 0
            || kernel == 0
            || stride == 0
        {
            return Err("only max pooling without padding is known".into());
        }
        // Caffe rounds the number of windows up.
        let side = |length: usize| length.checked_sub(kernel).map(|room| room.div_ceil(stride) + 1);
        let (Some(height), Some(width)) = (side(from.height), side(from.width)) else {
            return Err(format!("a window of {kernel} does not fit into {}x{}", from.width, from.height));
        };
        let attributes = vec![
            ints("kernel_shape", &[kernel, kernel]),
            ints("strides", &[stride, stride]),
            int("ceil_mode", 1),
        ];
        let value = self.builder.node("MaxPool", name, &[&from.value], attributes);
        self.put(top, Blob { value, height, width, ..from })
    }

    /// Each pixel's channels divided by their length, then a factor for each channel.
    fn normalize(&mut self, name: &str, layer: &Message, bottom: &str, top: &str) -> Result<(), String> {
        if layer.message("norm_param").word("across_spatial") != Some("false") {
            return Err("only norms across channels are known".into());
        }
        let from = self.close(bottom)?;
        let [scale] = self.blobs_of(name, [from.channels])?;
        let attributes = vec![ints("axes", &[1]), int("keepdims", 1)];
        let length = self.builder.node("ReduceL2", &format!("{name}.length"), &[&from.value], attributes);
        let least = self.builder.floats(&format!("{name}.least"), &[1], &[1e-10]);
        let length = self.builder.node("Max", &format!("{name}.divisor"), &[&length, &least], vec![]);
        let unit = self.builder.node("Div", &format!("{name}.unit"), &[&from.value, &length], vec![]);
        let scale = self.builder.floats(&format!("{name}.scale"), &[1, from.channels, 1, 1], &scale);
        let value = self.builder.node("Mul", name, &[&unit, &scale], vec![]);
        self.put(top, Blob { value, ..from })
    }

    fn concat(&mut self, name: &str, bottoms: &[&str], top: &str) -> Result<(), String> {
        if bottoms.iter().all(|bottom| self.priors.contains_key(*bottom)) {
            let parts = bottoms.iter().filter_map(|bottom| self.priors.get(*bottom));
            check_priors(parts.clone().map(Vec::len).sum())?;
            let all = parts.flatten().copied().collect();
            self.priors.insert(top.to_owned(), all);
            return Ok(());
        }
        let parts = bottoms.iter().map(|bottom| self.close(bottom)).collect::<Result<Vec<_>, _>>()?;
        let first = parts.first().cloned().ok_or("nothing to join")?;
        let values: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let value = self.builder.node("Concat", name, &values, vec![int("axis", 1)]);
        self.put(top, Blob { value, ..first })
    }

    /// Default boxes of one feature map as centre x, centre y, width and height in shares of the image.
    fn prior_box(&mut self, layer: &Message, bottom: &str, top: &str) -> Result<(), String> {
        let map = self.blob(bottom)?;
        let settings = layer.message("prior_box_param");
        let numbers = |name: &str| -> Result<Vec<f32>, String> {
            let parsed = settings.words(name).map(str::parse).collect::<Result<Vec<f32>, _>>();
            parsed.map_err(|_| format!("`{name}` is not a number"))
        };
        let (least, largest) = (numbers("min_size")?, numbers("max_size")?);
        let mut aspects = Vec::new();
        for aspect in numbers("aspect_ratio")? {
            let is_new = |value: f32, known: &[f32]| {
                known.iter().chain(&[1.0]).all(|known| (known - value).abs() > 1e-6)
            };
            if aspect > 0.0 && is_new(aspect, &aspects) {
                aspects.push(aspect);
                if settings.word("flip") != Some("false") {
                    aspects.push(1.0 / aspect);
                }
            }
        }
        if numbers("variance")? != VARIANCES {
            return Err(format!("variances other than {VARIANCES:?} are not known"));
        }
        if settings.word("clip") == Some("true") {
            return Err("clipped priors are not known".into());
        }
        let (image_width, image_height) = (self.image.0 as f32, self.image.1 as f32);
        let step: f32 = settings.number("step", 0.0)?;
        let step_of = |image: f32, cells: usize| if step > 0.0 { step } else { image / cells as f32 };
        let (step_x, step_y) = (step_of(image_width, map.width), step_of(image_height, map.height));
        let offset: f32 = settings.number("offset", 0.5)?;
        let mut sizes = Vec::new();
        for (index, &min) in least.iter().enumerate() {
            sizes.push((min, min));
            if let Some(&max) = largest.get(index) {
                sizes.push(((min * max).sqrt(), (min * max).sqrt()));
            }
            sizes.extend(aspects.iter().map(|aspect| (min * aspect.sqrt(), min / aspect.sqrt())));
        }
        let count = map.width.saturating_mul(map.height).saturating_mul(sizes.len());
        check_priors(count)?;
        let mut priors = Vec::with_capacity(count);
        for row in 0..map.height {
            for column in 0..map.width {
                let (x, y) = ((column as f32 + offset) * step_x, (row as f32 + offset) * step_y);
                priors.extend(sizes.iter().map(|(width, height)| {
                    [x / image_width, y / image_height, width / image_width, height / image_height]
                }));
            }
        }
        self.priors.insert(top.to_owned(), priors);
        Ok(())
    }

    fn detection_output(&mut self, layer: &Message, bottoms: &[&str]) -> Result<(), String> {
        let [location, confidence, priors] = bottoms[..3.min(bottoms.len())] else {
            return Err("three inputs are needed".into());
        };
        let settings = layer.message("detection_output_param");
        if settings.number("num_classes", 0)? != 2 || settings.number("background_label_id", 0)? != 0 {
            return Err("only two classes, background and face, are known".into());
        }
        let (location, confidence) = (self.close(location)?, self.close(confidence)?);
        let priors = self.priors.remove(priors).ok_or("its third input is no PriorBox")?;
        let count = priors.len();
        let nms = settings.message("nms_param");
        for (key, value) in [
            ("nms_threshold", nms.word("nms_threshold")),
            ("top_k", nms.word("top_k")),
            ("keep_top_k", settings.word("keep_top_k")),
            ("confidence_threshold", settings.word("confidence_threshold")),
        ] {
            if let Some(value) = value {
                self.builder.metadata(key, value);
            }
        }
        let b = &mut self.builder;
        let rows = b.ints("class_rows", &[0, count as i64, 2]);
        let classes = b.node("Reshape", "classes", &[&confidence.value, &rows], vec![]);
        let classes = b.node("Softmax", "probabilities", &[&classes], vec![int("axis", 2)]);
        let face = b.ints("face_index", &[1]);
        let faces = b.node("Gather", "face_column", &[&classes, &face], vec![int("axis", 2)]);
        let flat = b.ints("confidence_rows", &[0, count as i64]);
        b.node("Reshape", "confidences", &[&faces, &flat], vec![]);

        let column = |pick: fn(&[f32; 4]) -> [f32; 2]| priors.iter().flat_map(pick).collect::<Vec<_>>();
        let rows = b.ints("offset_rows", &[0, count as i64, 4]);
        let offsets = b.node("Reshape", "offsets", &[&location.value, &rows], vec![]);
        let axis = b.ints("last_axis", &[2]);
        let (zero, two, four) = (b.ints("zero", &[0]), b.ints("two", &[2]), b.ints("four", &[4]));
        let shift = b.node("Slice", "shift", &[&offsets, &zero, &two, &axis], vec![]);
        let growth = b.node("Slice", "growth", &[&offsets, &two, &four, &axis], vec![]);
        let dims = [1, count, 2];
        let reach = column(|p| [p[2] * VARIANCES[0], p[3] * VARIANCES[1]]);
        let reach = b.floats("prior_reach", &dims, &reach);
        let center = b.floats("prior_center", &dims, &column(|p| [p[0], p[1]]));
        let half = b.floats("prior_half_size", &dims, &column(|p| [p[2] / 2.0, p[3] / 2.0]));
        let variance = b.floats("size_variance", &[1], &[VARIANCES[2]]);
        let shift = b.node("Mul", "shift_in_image", &[&shift, &reach], vec![]);
        let center = b.node("Add", "center", &[&shift, &center], vec![]);
        let growth = b.node("Mul", "log_size", &[&growth, &variance], vec![]);
        let growth = b.node("Exp", "relative_size", &[&growth], vec![]);
        let half = b.node("Mul", "half_size", &[&growth, &half], vec![]);
        let upper = b.node("Sub", "upper_left", &[&center, &half], vec![]);
        let lower = b.node("Add", "lower_right", &[&center, &half], vec![]);
        b.node("Concat", "boxes", &[&upper, &lower], vec![int("axis", 2)]);
        b.output("confidences", &[Side::Free("batch"), Side::Fixed(count)]);
        b.output("boxes", &[Side::Free("batch"), Side::Fixed(count), Side::Fixed(4)]);
        self.put(DETECTIONS, location)
    }
}

/// Stands for the end of the graph among the blobs; no layer can have this name.
const DETECTIONS: &str = "\0detections";

/// SSD's variances of centre and size.
const VARIANCES: [f32; 4] = [0.1, 0.1, 0.2, 0.2];

/// A network looks at this many places of a picture at most: small files could ask for more than memory holds.
const MOST_PRIORS: usize = 1 << 20;

fn check_priors(count: usize) -> Result<(), String> {
    match count > MOST_PRIORS {
        true => {
            Err(format!("it has {count} default boxes, and {MOST_PRIORS} are the most that can be meant"))
        }
        false => Ok(()),
    }
}

fn fold_bias(own: &mut [f32], scale: &[f32], bias: &[f32]) {
    for ((own, scale), bias) in own.iter_mut().zip(scale).zip(bias) {
        *own = *own * scale + bias;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_small_file_cannot_ask_for_all_memory() {
        let mut text = "input: 'data' input_shape { dim: 1 dim: 1 dim: 8 dim: 8 }
            layer { name: 'p' type: 'PriorBox' bottom: 'data' top: 'p'
                prior_box_param { min_size: 4 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }"
            .to_owned();
        for _ in 0..40 {
            text += " layer { name: 'k' type: 'Concat' bottom: 'p' bottom: 'p' top: 'p' }";
        }
        let error = convert(&Message::parse(&text).unwrap(), HashMap::new()).unwrap_err();
        assert_eq!(
            error,
            "layer `k`: it has 2097152 default boxes, and 1048576 are the most that can be meant"
        );
    }
}
