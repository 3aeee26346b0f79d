//! A network's layers as a plan for a device.

use burn::backend::Flex;
use burn::module::Param;
use burn::tensor::Tensor;

use crate::cuda::{Plan, Shape, Value};
use crate::cyclegan::canvas::Canvas;
use crate::cyclegan::layers::NormedWeights;
use crate::kernels::planes::window::Window;

/// The plan of a network on gray faces of so many lines and pixels in a line, given what draws it.
pub fn plan((height, width): (usize, usize), draw: impl FnOnce(&mut Plan, Value) -> Value) -> Plan {
    let mut plan = Plan::new(Shape { channels: 1, height, width });
    let faces = plan.input();
    draw(&mut plan, faces);
    plan
}

impl Canvas<Flex> for Plan {
    type Maps = Value;

    fn convolve(&mut self, x: Value, weights: &Param<Tensor<Flex, 4>>, window: Window) -> Value {
        let [outputs, ..] = weights.dims();
        Self::convolve(self, x, outputs, window)
    }

    fn transpose(
        &mut self,
        x: Value,
        weights: &Param<Tensor<Flex, 4>>,
        border: usize,
        window: Window,
    ) -> Value {
        let [_, outputs, ..] = weights.dims();
        Self::transpose(self, x, outputs, border, window)
    }

    fn norm(&mut self, x: Value, _: &NormedWeights<Flex>, slope: f32) -> Value {
        Self::norm(self, x, slope)
    }

    fn drop(&mut self, x: Value) -> Value {
        Self::drop(self, x)
    }

    fn add(&mut self, x: Value, y: Value) -> Value {
        Self::add(self, x, y)
    }

    fn shift(&mut self, x: Value, _: &Param<Tensor<Flex, 1>>, slope: f32) -> Value {
        Self::shift(self, x, slope)
    }

    fn squash(&mut self, x: Value) -> Value {
        Self::squash(self, x)
    }
}
