//! The operations of [`Kernels`] made of Burn's own, for backends that have no kernels of ours: maps lie there as (maps,
//! channels, height, width), without borders. Gradients are those of Burn's autodiff.

use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::FloatTensor;

use super::grid::Grid;
use super::planes::norm::Over;
use super::planes::plain::{self, Moments, Plain};
use super::planes::window::Window;
use super::{Kernels, primitive, tensor};

impl<B: Plain> Kernels for B {
    type Moments = Moments<B>;

    fn maps(rows: FloatTensor<B>, grid: Grid) -> FloatTensor<B> {
        let rows: Tensor<B, 2> = tensor(rows);
        let [_, channels] = rows.dims();
        let Grid { faces, height, width } = grid;
        let body = rows.slice([grid.margin()..grid.margin() + grid.body(), 0..channels]);
        let bordered = body.reshape([faces, height + 1, grid.line(), channels]);
        let pixels = bordered.slice([0..faces, 0..height, 0..width, 0..channels]);
        primitive(pixels.permute([0, 3, 1, 2]))
    }

    fn convolution(x: FloatTensor<B>, weights: FloatTensor<B>, _: Grid) -> FloatTensor<B> {
        let (x, weights): (Tensor<B, 4>, Tensor<B, 2>) = (tensor(x), tensor(weights));
        let ([_, inputs, ..], [_, outputs]) = (x.dims(), weights.dims());
        let weights = weights.reshape([3, 3, inputs, outputs]).permute([3, 2, 0, 1]);
        primitive(plain::convolution(x, weights, Window::new(3, 1, 1)))
    }

    fn norm_relu(
        x: FloatTensor<B>,
        gain: FloatTensor<B>,
        bias: FloatTensor<B>,
        fixed: Option<&Moments<B>>,
        _: Grid,
    ) -> (FloatTensor<B>, Moments<B>) {
        let (y, moments) = plain::norm::<B>(tensor(x), tensor(gain), tensor(bias), fixed, Over::Batch, 0.0);
        (primitive(y), moments)
    }

    fn max_pool(x: FloatTensor<B>, _: Grid) -> FloatTensor<B> {
        primitive(max_pool2d(tensor::<B, 4>(x), [2, 2], [2, 2], [0, 0], [1, 1], false))
    }

    fn means(x: FloatTensor<B>, grid: Grid) -> FloatTensor<B> {
        let means = tensor::<B, 4>(x).mean_dim(3).mean_dim(2);
        let [_, channels, ..] = means.dims();
        primitive(means.reshape([grid.faces, channels]))
    }
}
