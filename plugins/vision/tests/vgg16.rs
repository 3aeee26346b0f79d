//! VGG16 out of the files that others keep it in: each test writes its own, with weights from a small generator.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use ferroflow_vision::{
    embedding::FaceEmbedder,
    frame::Frame,
    import::vgg16::{self, Means, Options},
    inference::SessionOptions,
    model::{card::Task, resolve_model},
    sample::ColorOrder,
};
use hdf5::types::VarLenUnicode;
use safetensors::{Dtype, tensor::TensorView};

/// Block, number in the block, channels that come and go.
const LAYERS: [(usize, usize, usize, usize); 13] = [
    (1, 1, 3, 64),
    (1, 2, 64, 64),
    (2, 1, 64, 128),
    (2, 2, 128, 128),
    (3, 1, 128, 256),
    (3, 2, 256, 256),
    (3, 3, 256, 256),
    (4, 1, 256, 512),
    (4, 2, 512, 512),
    (4, 3, 512, 512),
    (5, 1, 512, 512),
    (5, 2, 512, 512),
    (5, 3, 512, 512),
];
/// Where torchvision puts them.
const FEATURES: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];

/// A tensor to be written: its name, sides and numbers.
#[derive(Clone)]
struct Tensor {
    name: String,
    dims: Vec<usize>,
    values: Vec<f32>,
}

/// Kernels (outputs x inputs x 3 x 3) and biases of all layers.
static WEIGHTS: LazyLock<Vec<(Vec<f32>, Vec<f32>)>> = LazyLock::new(|| {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let layers = LAYERS.iter().map(|(_, _, inputs, outputs)| {
        // So that values neither grow nor vanish from layer to layer.
        let size = (6.0 / (9 * inputs) as f32).sqrt();
        let kernel = (0..9 * inputs * outputs).map(|_| size * noise()).collect();
        (kernel, (0..*outputs).map(|_| 0.1 * noise()).collect())
    });
    layers.collect()
});

/// Outputs x inputs x 3 x 3 as 3 x 3 x inputs x outputs.
fn outputs_last(kernel: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut moved = vec![0.0; kernel.len()];
    for (at, value) in kernel.iter().enumerate() {
        let (output, input, tap) = (at / (9 * inputs), at / 9 % inputs, at % 9);
        moved[(tap * inputs + input) * outputs + output] = *value;
    }
    moved
}

/// All layers with Keras' order of axes; `name` gives the names of a kernel and a bias.
fn keras(name: impl Fn(usize, usize) -> [String; 2]) -> Vec<Tensor> {
    let layers = LAYERS.iter().zip(&*WEIGHTS);
    layers
        .flat_map(|((block, layer, inputs, outputs), (kernel, bias))| {
            let [kernel_name, bias_name] = name(*block, *layer);
            let (dims, values) = (vec![3, 3, *inputs, *outputs], outputs_last(kernel, *inputs, *outputs));
            [
                Tensor { name: kernel_name, dims, values },
                Tensor { name: bias_name, dims: vec![*outputs], values: bias.clone() },
            ]
        })
        .collect()
}

/// As Keras 2 writes its own network.
fn blocks() -> Vec<Tensor> {
    keras(|block, layer| {
        let name = format!("block{block}_conv{layer}");
        ["kernel:0", "bias:0"].map(|kind| format!("{name}/{name}/{kind}"))
    })
}

/// As keras-vggface has them.
fn keras_vggface() -> Vec<Tensor> {
    keras(|block, layer| {
        let name = format!("conv{block}_{layer}");
        ["kernel:0", "bias:0"].map(|kind| format!("{name}/{name}/{kind}"))
    })
}

/// As torchvision has them, with a dense layer behind them.
fn torchvision() -> Vec<Tensor> {
    let layers = LAYERS.iter().zip(&*WEIGHTS).zip(FEATURES);
    let mut all: Vec<Tensor> = layers
        .flat_map(|(((_, _, inputs, outputs), (kernel, bias)), at)| {
            let dims = vec![*outputs, *inputs, 3, 3];
            [
                Tensor { name: format!("features.{at}.weight"), dims, values: kernel.clone() },
                Tensor { name: format!("features.{at}.bias"), dims: vec![*outputs], values: bias.clone() },
            ]
        })
        .collect();
    all.push(tensor("classifier.0.weight", &[2, 4]));
    all.push(tensor("classifier.0.bias", &[2]));
    all
}

fn tensor(name: &str, dims: &[usize]) -> Tensor {
    let values = vec![0.5; dims.iter().product()];
    Tensor { name: name.to_owned(), dims: dims.to_vec(), values }
}

/// A folder that tests write into.
struct House(tempfile::TempDir);

impl House {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// An HDF5 file; of a whole model, where it has such a description.
    fn h5(&self, tensors: &[Tensor], config: Option<&str>) -> PathBuf {
        let path = self.0.path().join("vgg.h5");
        let file = hdf5::File::create(&path).unwrap();
        let mut top = String::new();
        if let Some(config) = config {
            let config: VarLenUnicode = config.parse().unwrap();
            file.new_attr::<VarLenUnicode>().create("model_config").unwrap().write_scalar(&config).unwrap();
            top = "model_weights/".to_owned();
        }
        for Tensor { name, dims, values } in tensors {
            let name = if name.starts_with("optimizer") { name.clone() } else { format!("{top}{name}") };
            let (group, name) = name.rsplit_once('/').unwrap();
            let group = file.group(group).unwrap_or_else(|_| file.create_group(group).unwrap());
            let dataset = group.new_dataset::<f32>().shape(dims.as_slice()).create(name).unwrap();
            dataset.write_raw(values).unwrap();
        }
        path
    }

    fn safetensors(&self, tensors: &[Tensor]) -> PathBuf {
        let path = self.0.path().join("vgg.safetensors");
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
            (tensor.name.clone(), TensorView::new(Dtype::F32, tensor.dims.clone(), bytes).unwrap())
        });
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    }

    /// What a network that was imported answers for a gray picture of its size.
    fn answer(&self, file: &[u8], pixels: &[u8], side: usize) -> Vec<f32> {
        let path = self.0.path().join("vgg16.onnx");
        fs::write(&path, file).unwrap();
        let model = resolve_model(path.to_str().unwrap()).unwrap();
        let options = SessionOptions {
            threads: 1,
            instance_id: self.0.path().display().to_string(),
            ..SessionOptions::default()
        };
        let mut network = FaceEmbedder::backbone(&model, &options, 1).unwrap();
        network.embed(&[Frame::gray(pixels, side, side).unwrap()]).unwrap()
    }
}

fn import(path: &Path) -> Vec<u8> {
    vgg16::import(path, &Options::default()).unwrap()
}

fn refused(path: &Path) -> String {
    vgg16::import(path, &Options::default()).unwrap_err().to_string()
}

const IMAGENET: Options = Options { size: Some(32), means: Some(Means::ImageNet) };

fn picture(side: usize) -> Vec<u8> {
    (0..(side * side) as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// The network in plain loops, as far as the `layers`-th convolution.
fn plain(mut x: Vec<f32>, mut side: usize, layers: usize) -> Vec<f32> {
    let all = LAYERS.iter().zip(&*WEIGHTS).enumerate().take(layers);
    for (at, ((block, _, inputs, outputs), (kernel, bias))) in all {
        let mut y = vec![0.0; outputs * side * side];
        for (output, map) in y.chunks_exact_mut(side * side).enumerate() {
            map.fill(bias[output]);
            for input in 0..*inputs {
                for tap in 0..9 {
                    let weight = kernel[(output * inputs + input) * 9 + tap];
                    for row in 0..side {
                        let from = (row + tap / 3).wrapping_sub(1);
                        for column in 0..side {
                            let left = (column + tap % 3).wrapping_sub(1);
                            if from < side && left < side {
                                map[row * side + column] += weight * x[(input * side + from) * side + left];
                            }
                        }
                    }
                }
            }
        }
        y.iter_mut().for_each(|value| *value = value.max(0.0));
        if LAYERS.get(at + 1).is_none_or(|next| next.0 != *block) {
            let half = side / 2;
            let place = |cell: usize| {
                let (map, row, column) = (cell / (half * half), cell / half % half, cell % half);
                (map * side + 2 * row) * side + 2 * column
            };
            y = (0..outputs * half * half)
                .map(|cell| {
                    let at = place(cell);
                    y[at].max(y[at + 1]).max(y[at + side]).max(y[at + side + 1])
                })
                .collect();
            side = half;
        }
        x = y;
    }
    x
}

fn assert_alike(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
    assert!(greatest > 0.01, "{greatest}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4 * greatest, "{found} {expected}");
    }
}

#[test]
fn an_imported_network_answers_as_plain_loops_do() {
    let house = House::new();
    let options = Options { size: Some(32), means: None };
    let file = vgg16::import(&house.h5(&blocks(), None), &options).unwrap();
    let pixels = picture(32);
    let means = [103.939, 116.779, 123.68];
    let input: Vec<f32> =
        means.iter().flat_map(|mean| pixels.iter().map(move |value| f32::from(*value) - mean)).collect();
    let first = ferroflow_onnx::with_output(&file, "block1_conv1").unwrap();
    assert_alike(&house.answer(&first, &pixels, 32), &plain(input.clone(), 32, 1));
    assert_alike(&house.answer(&file, &pixels, 32), &plain(input, 32, 13));
}

#[test]
fn every_way_of_naming_and_order_of_axes_gives_the_same_network() {
    let house = House::new();
    let import = |path: &Path| vgg16::import(path, &IMAGENET).unwrap();
    let expected = import(&house.h5(&blocks(), None));
    let mut whole = blocks();
    whole.push(tensor("dense_1/dense_1/kernel:0", &[4, 2]));
    whole.push(tensor("optimizer_weights/SGD/moment_0:0", &[3, 3, 4, 4]));
    assert!(import(&house.h5(&whole, Some("{}"))) == expected, "a whole model");
    let nested = keras(|block, layer| {
        ["kernel:0", "bias:0"].map(|kind| format!("vgg16/block{block}_conv{layer}/{kind}"))
    });
    assert!(import(&house.h5(&nested, Some("{}"))) == expected, "a network inside another");
    let first_keras = keras(|block, layer| {
        let name = format!("block{block}_conv{layer}");
        ["W_1:0", "b_1:0"].map(|kind| format!("{name}/{name}_{kind}"))
    });
    assert!(import(&house.h5(&first_keras, None)) == expected, "Keras 1");
    assert!(import(&house.h5(&keras_vggface(), None)) == expected, "keras-vggface");
    assert!(import(&house.safetensors(&torchvision())) == expected, "torchvision");
    let keras =
        keras(|block, layer| ["kernel", "bias"].map(|kind| format!("block{block}_conv{layer}.{kind}")));
    assert!(import(&house.safetensors(&keras)) == expected, "Keras in safetensors");
}

#[test]
fn the_card_says_how_pixels_are_fed_and_values_inside_have_the_names_of_layers() {
    let house = House::new();
    let card = |file: &[u8]| {
        let path = house.0.path().join("card.onnx");
        fs::write(&path, file).unwrap();
        resolve_model(path.to_str().unwrap()).unwrap().card.unwrap()
    };
    let file = import(&house.h5(&blocks(), None));
    let keras = card(&file);
    assert_eq!((keras.task, keras.input.width, keras.input.height), (Task::Embedding, 48, 48));
    assert_eq!((keras.input.color, keras.input.scale), (ColorOrder::Bgr, 1.0));
    assert_eq!(keras.input.mean, [103.939, 116.779, 123.68]);
    let pixels = picture(48);
    for (layer, numbers) in
        [("block4_pool", 512 * 3 * 3), ("block5_conv3", 512 * 3 * 3), ("block5_pool", 512)]
    {
        let inside = ferroflow_onnx::with_output(&file, layer).unwrap();
        assert_eq!(house.answer(&inside, &pixels, 48).len(), numbers, "{layer}");
    }
    assert_eq!(card(&import(&house.h5(&keras_vggface(), None))).input.mean, [93.5940, 104.7624, 129.1863]);
    let torch = house.safetensors(&torchvision());
    let input = card(&import(&torch)).input;
    assert_eq!((input.color, input.mean), (ColorOrder::Rgb, vec![0.485, 0.456, 0.406]));
    assert_eq!((input.scale, input.std), (1.0 / 255.0, vec![0.229, 0.224, 0.225]));
    let asked = Options { size: Some(224), means: Some(Means::VggFace) };
    let input = card(&vgg16::import(&torch, &asked).unwrap()).input;
    assert_eq!((input.width, input.color), (224, ColorOrder::Bgr));
}

#[test]
fn another_architecture_is_refused_with_what_was_expected_and_found() {
    let house = House::new();
    let all = blocks();
    let missing: Vec<Tensor> =
        all.iter().filter(|tensor| !tensor.name.starts_with("block4_conv3")).cloned().collect();
    let error = refused(&house.h5(&missing, None));
    assert!(error.contains("VGG16 is needed: 13 convolutions"), "{error}");
    assert!(error.contains("missing block4_conv3; found `block1_conv1/block1_conv1/kernel:0` [3, 3, 3, 64]"));
    let mut wide = all.clone();
    wide[2] = tensor(&all[2].name, &[3, 3, 64, 96]);
    let error = refused(&house.h5(&wide, None));
    let words = "VGG16's `block1_conv2` has a kernel of [3, 3, 64, 64], found `block1_conv2/block1_conv2/kernel:0` [3, 3, 64, 96]";
    assert!(error.contains(words), "{error}");
    let mut more = all.clone();
    more.push(tensor("block3_conv4/block3_conv4/kernel:0", &[3, 3, 2, 2]));
    let error = refused(&house.h5(&more, Some("{}")));
    assert!(error.contains("and no others; found besides these `block3_conv4/"), "{error}");
    let mut unbiased = all.clone();
    unbiased.remove(1);
    let error = refused(&house.h5(&unbiased, None));
    assert!(error.contains("`block1_conv1` needs one tensor of one side, its bias, found none"), "{error}");
    let mut wild = all.clone();
    wild[3].values[5] = f32::NAN;
    let error = refused(&house.h5(&wild, None));
    assert!(error.contains("`block1_conv2/block1_conv2/bias:0` has values that are not finite"), "{error}");
    let mut normal = torchvision();
    normal.push(tensor("features.1.running_mean", &[64]));
    let error = refused(&house.safetensors(&normal));
    assert!(
        error.contains("without normalisation between them; found `features.1.running_mean` [64]"),
        "{error}"
    );
    let other = [tensor("conv1/7x7_s2/kernel:0", &[7, 7, 3, 4])];
    let error = refused(&house.h5(&other, None));
    assert!(error.contains("found none of these, but `conv1/7x7_s2/kernel:0` [7, 7, 3, 4]"), "{error}");
    let error = refused(&house.h5(&[tensor("dense/kernel:0", &[4, 2])], None));
    assert!(error.contains("but no convolution at all"), "{error}");
    let size = Options { size: Some(31), means: None };
    let error = vgg16::import(&house.h5(&all, None), &size).unwrap_err().to_string();
    assert!(error.contains("an input of 31 pixels a side: 32 to 8192 are needed"), "{error}");
}

#[test]
fn a_mini_xception_is_named_as_such_and_left_to_its_own_importer() {
    let house = House::new();
    let tensors = [
        tensor("conv2d_1/conv2d_1/kernel:0", &[3, 3, 1, 8]),
        tensor("separable_conv2d_1/separable_conv2d_1/depthwise_kernel:0", &[3, 3, 8, 1]),
    ];
    let path = house.h5(&tensors, Some("{}"));
    let error = refused(&path);
    assert!(error.contains("found separable convolutions, as mini-Xception has"), "{error}");
    assert!(!vgg16::is_in(&path).unwrap());
    assert!(vgg16::is_in(&house.h5(&blocks(), Some("{}"))).unwrap());
    // Of weights alone nothing else is known.
    assert!(vgg16::is_in(&house.h5(&tensors, None)).unwrap());
}

#[test]
fn files_that_are_cut_short_are_told() {
    let house = House::new();
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        refused(path)
    };
    let error = cut(&house.h5(&blocks(), None));
    assert!(error.contains("vgg.h5: not an HDF5 file, or cut short"), "{error}");
    let error = cut(&house.safetensors(&torchvision()));
    assert!(error.contains("vgg.safetensors: not a safetensors file, or cut short"), "{error}");
    let error = refused(&house.0.path().join("nowhere.h5"));
    assert!(error.contains("nowhere.h5: cannot be read"), "{error}");
}

#[test]
fn ways_of_feeding_are_told_apart_by_their_names() {
    assert_eq!("vggface".parse(), Ok(Means::VggFace));
    let error = "caffe".parse::<Means>().unwrap_err();
    assert!(error.contains("use imagenet, vggface or torchvision"), "{error}");
}
