//! All numbers that learn; also what is as many: gradients, and their means.

use super::blocks::Kernel;
use super::layer::Layer;

/// Convolutions, if some learn as well, and dense layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    pub kernels: Vec<Kernel>,
    pub layers: [Layer; 2],
}

impl Weights {
    /// As many zeros.
    pub fn zeros(&self) -> Self {
        Self {
            kernels: self.kernels.iter().map(Kernel::zeros).collect(),
            layers: self.layers.each_ref().map(|layer| Layer::zeros(layer.inputs(), layer.outputs())),
        }
    }

    /// Numbers that lie side by side: two parts for each convolution, then two for each layer.
    pub fn parts(&self) -> impl Iterator<Item = &[f32]> {
        let kernels = self.kernels.iter().flat_map(Kernel::parts);
        kernels.chain(self.layers.iter().flat_map(Layer::parts))
    }

    /// As [`Weights::parts`].
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let kernels = self.kernels.iter_mut().flat_map(Kernel::parts_mut);
        kernels.chain(self.layers.iter_mut().flat_map(Layer::parts_mut))
    }

    /// The numbers as f32 in little-endian order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Puts the numbers back; `false` if there are not as many.
    pub fn read(&mut self, bytes: &[u8]) -> bool {
        let (values, rest) = bytes.as_chunks::<4>();
        let mut values = values.iter();
        let mut is_whole = rest.is_empty();
        for place in self.parts_mut().flatten() {
            match values.next() {
                Some(bytes) => *place = f32::from_le_bytes(*bytes),
                None => is_whole = false,
            }
        }
        is_whole && values.next().is_none()
    }
}
