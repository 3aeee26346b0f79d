//! Against Burn's own convolutions and normalisation, and their gradients.

use burn::backend::{Autodiff, Flex};
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Tensor, TensorPrimitive, backend::Backend};
use proptest::prelude::*;

use super::PlaneKernels;
use super::norm::Over;
use super::window::{Border, Window};
use crate::random::Random;

type Train = Autodiff<Flex>;
type Maps = Tensor<Train, 4>;

fn maps(shape: [usize; 4], random: &mut Random) -> Maps {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.normal()).collect();
    Maps::from_data(burn::tensor::TensorData::new(values, shape), &Default::default()).require_grad()
}

fn primitive<const D: usize>(
    tensor: &Tensor<Train, D>,
) -> <Train as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive {
    tensor.clone().into_primitive().tensor()
}

fn wrap(primitive: <Train as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive) -> Maps {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn close<const D: usize, B: Backend>(a: Tensor<B, D>, b: Tensor<B, D>) {
    let (a, b) = (a.into_data().to_vec::<f32>().unwrap(), b.into_data().to_vec::<f32>().unwrap());
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-4 * scale, "{worst} apart where values reach {scale}");
}

/// Compares two results and, for a random weighting of them, the gradients of what they were made of.
fn alike<const N: usize>(ours: Maps, theirs: Maps, of: [&Maps; N], random: &mut Random) {
    assert_eq!(ours.dims(), theirs.dims());
    let weighting = maps(ours.dims(), random).detach();
    close(ours.clone(), theirs.clone());
    let ours = (ours * weighting.clone()).sum().backward();
    let theirs = (theirs * weighting).sum().backward();
    for tensor in of {
        close(tensor.grad(&ours).unwrap(), tensor.grad(&theirs).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn convolutions_are_burns(
        seed in 0u64..1000, count in 1usize..3, inputs in 1usize..4, outputs in 1usize..4,
        height in 7usize..12, width in 7usize..12, kernel in 1usize..6, stride in 1usize..3,
        padding in 0usize..4, reflection: bool,
    ) {
        let mut random = Random::new(&[seed]);
        let x = maps([count, inputs, height, width], &mut random);
        let weights = maps([outputs, inputs, kernel, kernel], &mut random);
        let border = if reflection { Border::Reflection } else { Border::Zeros };
        let window = Window { kernel, stride, padding, border };
        let ours = wrap(Train::maps_convolution(primitive(&x), primitive(&weights), window));
        let theirs = if reflection && padding > 0 {
            let padded = x.clone().pad([(padding, padding), (padding, padding)], PadMode::Reflect);
            conv2d(padded, weights.clone(), None, ConvOptions::new([stride; 2], [0; 2], [1; 2], 1))
        } else {
            conv2d(x.clone(), weights.clone(), None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
        };
        alike(ours, theirs, [&x, &weights], &mut random);
    }

    #[test]
    fn transposed_convolutions_are_burns(
        seed in 0u64..1000, count in 1usize..3, inputs in 1usize..4, outputs in 1usize..4,
        side in 3usize..8, kernel in 2usize..5, stride in 1usize..3,
    ) {
        let mut random = Random::new(&[seed]);
        let x = maps([count, inputs, side, side + 1], &mut random);
        let weights = maps([inputs, outputs, kernel, kernel], &mut random);
        let window = Window::new(kernel, stride, 1);
        // As large as it can be: one more and there would be another place.
        let more = stride - 1;
        let out = |side: usize| (side - 1) * stride + kernel - 2 + more;
        let ours =
            wrap(Train::maps_transposed(primitive(&x), primitive(&weights), window, (out(side), out(side + 1))));
        let options = ConvTransposeOptions::new([stride; 2], [1; 2], [more; 2], [1; 2], 1);
        let theirs = conv_transpose2d(x.clone(), weights.clone(), None, options);
        alike(ours, theirs, [&x, &weights], &mut random);
    }

    #[test]
    fn normalisation_is_what_its_formula_says(
        seed in 0u64..1000, count in 1usize..4, channels in 1usize..4, side in 3usize..7,
        instance: bool, slope in prop::sample::select(vec![0.0f32, 0.2, 1.0]),
    ) {
        let mut random = Random::new(&[seed]);
        let x = maps([count, channels, side, side], &mut random);
        let gain = maps([1, channels, 1, 1], &mut random);
        let bias = maps([1, channels, 1, 1], &mut random);
        let flat = |tensor: &Maps| primitive(&tensor.clone().reshape([channels]));
        let over = if instance { Over::Instance } else { Over::Batch };
        let (ours, _) = Train::maps_norm(primitive(&x), flat(&gain), flat(&bias), None, over, slope);
        let mean = |tensor: Maps| {
            let tensor = tensor.mean_dim(2).mean_dim(3);
            if instance { tensor } else { tensor.mean_dim(0) }
        };
        let centred = x.clone() - mean(x.clone());
        let variance = mean(centred.clone() * centred.clone());
        let y = centred / (variance + 1e-5).sqrt() * gain.clone() + bias.clone();
        let theirs = y.clone().clamp_min(0.0) + y.clamp_max(0.0) * slope;
        alike(wrap(ours), theirs, [&x, &gain, &bias], &mut random);
    }
}
