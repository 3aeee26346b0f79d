//! The numbers of networks on a device.

use bytemuck::cast_slice;
use ferroflow_cuda::{CudaError, Gpu};

use super::plan::{Convolution, Layer, Plan};
use super::{at, each, floats, n, read};

/// Networks of one plan that learn side by side, each with numbers of its own.
pub struct Network<G: Gpu> {
    pub(super) plan: Plan,
    pub(super) sides: usize,
    /// Of each step that is a convolution: what its result's pixels see, and what sees its input's.
    pub(super) tables: Vec<Option<[G::Memory; 2]>>,
    /// Where convolutions' weights lie, for `turn`.
    shapes: G::Memory,
    pub(super) weights: G::Memory,
    pub(super) turned: G::Memory,
    pub(super) gradient: G::Memory,
}

impl<G: Gpu> Network<G> {
    /// One network for each of these lists of numbers, which lie in the order in which layers were drawn.
    pub fn new(gpu: &mut G, plan: Plan, values: &[Vec<f32>]) -> Result<Self, CudaError> {
        let table = |gpu: &mut G, entries: &[i32]| {
            let mut memory = floats(gpu, entries.len())?;
            gpu.write(&mut memory, cast_slice(entries))?;
            Ok::<_, CudaError>(memory)
        };
        let mut tables = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            tables.push(match &step.layer {
                Layer::Convolution(Convolution { forward, backward, .. }) => {
                    Some([table(gpu, &forward.entries)?, table(gpu, &backward.entries)?])
                }
                _ => None,
            });
        }
        let shapes = plan.weights().flat_map(|weights| {
            [weights.at, weights.count(), weights.inputs, weights.outputs].map(|number| number as i32)
        });
        let shapes = table(gpu, &shapes.collect::<Vec<_>>())?;
        let (sides, count) = (values.len(), values.len() * plan.len());
        let [weights, turned, gradient] = [floats(gpu, count)?, floats(gpu, count)?, floats(gpu, count)?];
        let mut network = Self { plan, sides, tables, shapes, weights, turned, gradient };
        network.set(gpu, values)?;
        Ok(network)
    }

    /// Puts other numbers into their place.
    pub fn set(&mut self, gpu: &mut G, values: &[Vec<f32>]) -> Result<(), CudaError> {
        let arranged: Vec<f32> = values.iter().flat_map(|values| self.plan.arrange(values)).collect();
        self.set_arranged(gpu, &arranged)
    }

    /// The same with numbers as they lie on a device.
    pub fn set_arranged(&mut self, gpu: &mut G, arranged: &[f32]) -> Result<(), CudaError> {
        gpu.write(&mut self.weights, cast_slice(arranged))?;
        self.turn(gpu)
    }

    /// The numbers of each network, in the order in which layers were drawn.
    pub fn values(&self, gpu: &mut G) -> Result<Vec<Vec<f32>>, CudaError> {
        Ok(self.collect(&self.arranged(gpu)?))
    }

    /// All numbers as they lie on a device.
    pub fn arranged(&self, gpu: &mut G) -> Result<Vec<f32>, CudaError> {
        read(gpu, &self.weights, self.len())
    }

    /// What lies so on a device, in the order in which layers were drawn.
    pub fn collect(&self, arranged: &[f32]) -> Vec<Vec<f32>> {
        arranged.chunks_exact(self.plan.len()).map(|numbers| self.plan.collect(numbers)).collect()
    }

    /// Numbers of all networks.
    pub const fn len(&self) -> usize {
        self.sides * self.plan.len()
    }

    /// Numbers of what comes out for one map.
    pub fn outputs(&self) -> usize {
        self.plan.shapes.last().map_or(0, |shape| shape.numbers())
    }

    /// All numbers, and their gradients, as kernels that take them down see them.
    pub const fn descended(&self) -> [&G::Memory; 2] {
        [&self.weights, &self.gradient]
    }

    /// Has other numbers in the place of its own, which come to lie where those were.
    pub const fn exchange(&mut self, numbers: &mut G::Memory) {
        std::mem::swap(&mut self.weights, numbers);
    }

    /// What gradients of inputs are computed with, once weights have changed.
    pub fn turn(&self, gpu: &mut G) -> Result<(), CudaError> {
        let shapes = self.plan.weights().count();
        let memories = [at(&self.shapes), at(&self.weights), at(&self.turned)];
        each(gpu, "turn", self.len(), &[&[n(self.plan.len()), n(shapes)][..], &memories].concat())
    }
}
