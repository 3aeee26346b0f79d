//! The structural similarity is that of the field's libraries.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use ferroflow_learn::ssim::Ssim;

/// A face-like picture in -1..1: smooth, with some texture.
fn picture(height: usize, width: usize, phase: f64, contrast: f64) -> Vec<f32> {
    let pixel = |at: usize| {
        let (y, x) = ((at / width) as f64, (at % width) as f64);
        contrast * ((x * 0.37 + phase).sin() * (y * 0.23 - phase).cos() + 0.3 * (x * y * 0.05 + phase).sin())
            / 1.3
    };
    (0..height * width).map(|at| pixel(at) as f32).collect()
}

fn tensor<const N: usize>(pictures: [Vec<f32>; N], height: usize, width: usize) -> Tensor<Flex, 4> {
    let values = pictures.concat();
    Tensor::from_data(TensorData::new(values, [N, 1, height, width]), &Default::default())
}

fn index(x: Tensor<Flex, 4>, y: Tensor<Flex, 4>) -> f32 {
    let [_, _, height, width] = x.dims();
    Ssim::new(height, width, 2.0, &Default::default()).index(x, y).into_scalar()
}

/// The values are those of scikit-image 0.26 on the same pictures:
/// `structural_similarity(x, y, data_range=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
/// `benches/ssim.py` makes them, and compares real faces.
#[test]
fn it_is_scikit_images() {
    let cases = [
        (48, 48, 0.8, 0.7, 0.035_952_9),
        (48, 48, 0.1, 1.0, 0.866_565_3),
        (32, 20, 2.5, 0.4, 0.033_146_7),
        (11, 11, 0.3, 0.9, 0.851_548_6),
        (64, 48, 3.1, 1.0, 0.248_494f32),
    ];
    for (height, width, phase, contrast, expected) in cases {
        let x = tensor([picture(height, width, 0.0, 1.0)], height, width);
        let y = tensor([picture(height, width, phase, contrast)], height, width);
        let found = index(x, y);
        assert!(
            (found - expected).abs() < 1e-5,
            "{height}x{width} {phase} {contrast}: {found} for {expected}"
        );
    }
}

#[test]
fn equal_pictures_are_wholly_similar_and_several_are_averaged() {
    let (a, b) = (picture(48, 48, 0.0, 1.0), picture(48, 48, 0.8, 0.7));
    let one = |x: &Vec<f32>, y: &Vec<f32>| index(tensor([x.clone()], 48, 48), tensor([y.clone()], 48, 48));
    assert!((one(&a, &a) - 1.0).abs() < 1e-6);
    let both = index(tensor([a.clone(), b.clone()], 48, 48), tensor([b.clone(), b.clone()], 48, 48));
    assert!((both - (one(&a, &b) + 1.0) / 2.0).abs() < 1e-6);
}

#[test]
fn its_gradient_is_that_of_differences() {
    type Train = Autodiff<Flex>;
    let device = Default::default();
    let (x, y) = (picture(16, 14, 0.0, 1.0), picture(16, 14, 0.5, 0.8));
    let shape = [1, 1, 16, 14];
    let ssim = Ssim::<Train>::new(16, 14, 2.0, &device);
    let constant = Tensor::<Train, 4>::from_data(TensorData::new(y.clone(), shape), &device);
    let moving = Tensor::<Train, 4>::from_data(TensorData::new(x.clone(), shape), &device).require_grad();
    let gradients = ssim.index(moving.clone(), constant).backward();
    let gradient = moving.grad(&gradients).unwrap().into_data().to_vec::<f32>().unwrap();
    for at in [0, 37, 100, 150, 223] {
        let value = |step: f32| {
            let mut x = x.clone();
            x[at] += step;
            f64::from(index(tensor([x], 16, 14), tensor([y.clone()], 16, 14)))
        };
        let expected = (value(0.01) - value(-0.01)) / 0.02;
        assert!((f64::from(gradient[at]) - expected).abs() < 1e-4, "{at}: {} for {expected}", gradient[at]);
    }
}
