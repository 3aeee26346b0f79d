//! Structural similarity of pictures (Wang, Bovik, Sheikh & Simoncelli 2004), as a loss can use it.
//!
//! As in their paper: a Gaussian window of 11x11 with deviation 1.5, only where it lies wholly within the
//! picture, K1 = 0.01 and K2 = 0.03. scikit-image gives the same with `gaussian_weights=True, sigma=1.5,
//! use_sample_covariance=False`, TensorFlow with `tf.image.ssim`.

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor, TensorData};

use crate::LearnError;

/// The window's side.
pub const WINDOW: usize = 11;
const DEVIATION: f32 = 1.5;
const K1: f64 = 0.01;
const K2: f64 = 0.03;
/// Pictures that are compared together.
const BATCH: usize = 64;

/// The structural similarity of pictures of one size.
#[derive(Clone, Debug)]
pub struct Ssim<B: Backend> {
    /// The window over the lines: (places, height).
    down: Tensor<B, 3>,
    /// The window over the pixels of a line: (width, places).
    across: Tensor<B, 3>,
    stabilisers: (f64, f64),
}

impl<B: Backend> Ssim<B> {
    /// For pictures of `height` x `width`, each at least [`WINDOW`], whose values span `range`.
    pub fn new(height: usize, width: usize, range: f64, device: &B::Device) -> Self {
        let down = Tensor::<B, 2>::from_data(band(height), device).unsqueeze();
        let across = Tensor::<B, 2>::from_data(band(width), device).transpose().unsqueeze();
        Self { down, across, stabilisers: stabilisers(range) }
    }

    /// The mean over all pictures of `x` and `y` (maps, channels, height, width): 1 where they are equal, -1
    /// at the least.
    pub fn index(&self, x: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 1> {
        self.map(x, y).mean()
    }

    /// The similarity at each place of the window: (pictures, places down, places across).
    fn map(&self, x: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 3> {
        let [maps, channels, height, width] = x.dims();
        let pictures = maps * channels;
        let x = x.reshape([pictures, height, width]);
        let y = y.reshape([pictures, height, width]);
        let means = self.blur(Tensor::cat(
            vec![x.clone(), y.clone(), x.clone() * x.clone() + y.clone() * y.clone(), x * y],
            0,
        ));
        let part = |index: usize| means.clone().narrow(0, index * pictures, pictures);
        let (x, y, squares, product) = (part(0), part(1), part(2), part(3));
        let (c1, c2) = self.stabilisers;
        let of_means = x.clone() * y.clone();
        let squared_means = x.clone() * x + y.clone() * y;
        // Of the two deviations and the covariance only a sum and one value are needed.
        let similar = (of_means.clone() * 2.0 + c1) * ((product - of_means) * 2.0 + c2);
        let bound = (squared_means.clone() + c1) * (squares - squared_means + c2);
        similar / bound
    }

    fn blur(&self, pictures: Tensor<B, 3>) -> Tensor<B, 3> {
        self.down.clone().matmul(pictures).matmul(self.across.clone())
    }
}

/// The structural similarity of each picture in `x` with the one at its place in `y`: gray levels 0 to 255,
/// pictures of `height` x `width` one behind the other. As usual for pictures, over gray levels from 0. A
/// training, whose values go from -1 to 1, makes more of differences in brightness: the two are not to be
/// compared (`benches/results/2026-11-25-ssim.md`).
///
/// # Errors
/// Pictures smaller than [`WINDOW`], values that are no whole pictures, another number of pictures in `y`.
pub fn of_gray(x: &[u8], y: &[u8], width: usize, height: usize) -> Result<Vec<f32>, LearnError> {
    if width < WINDOW || height < WINDOW {
        return Err(LearnError::FaceSize { width, height, unit: 1, least: WINDOW });
    }
    let size = width * height;
    let whole = x.len() - x.len() % size;
    if whole != x.len() {
        return Err(LearnError::Length { what: "the pixels", found: x.len(), expected: whole + size });
    }
    if x.len() != y.len() {
        return Err(LearnError::Length { what: "the other pixels", found: y.len(), expected: x.len() });
    }
    let device = Default::default();
    let ssim = Ssim::<Flex>::new(height, width, 1.0, &device);
    let tensor = |pixels: &[u8]| {
        let values: Vec<f32> = pixels.iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
        Tensor::from_data(TensorData::new(values, [pixels.len() / size, 1, height, width]), &device)
    };
    let mut similarities = Vec::with_capacity(x.len() / size);
    for (x, y) in x.chunks(BATCH * size).zip(y.chunks(BATCH * size)) {
        let map = ssim.map(tensor(x), tensor(y));
        for picture in map.iter_dim(0) {
            similarities.push(picture.mean().into_scalar().elem::<f32>());
        }
    }
    Ok(similarities)
}

/// The window along a side.
pub(crate) fn window() -> [f32; WINDOW] {
    let weight = |offset: usize| (-((offset as f32 - (WINDOW / 2) as f32) / DEVIATION).powi(2) / 2.0).exp();
    let sum: f32 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|offset| weight(offset) / sum)
}

/// What keeps quotients of pictures apart from zero, whose values span `range`.
pub(crate) fn stabilisers(range: f64) -> (f64, f64) {
    ((K1 * range).powi(2), (K2 * range).powi(2))
}

/// The window as a matrix: each row holds it at one place of a side.
fn band(side: usize) -> TensorData {
    let places = (side + 1).saturating_sub(WINDOW);
    let mut rows = vec![0.0f32; places * side];
    for (place, row) in rows.chunks_exact_mut(side.max(1)).enumerate() {
        row[place..place + WINDOW].copy_from_slice(&window());
    }
    TensorData::new(rows, [places, side])
}
