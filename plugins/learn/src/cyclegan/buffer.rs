//! Generated faces that a discriminator sees again later (Shrivastava et al. 2017).

use crate::random::Random;

/// Up to so many faces.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    capacity: usize,
    faces: Vec<Vec<f32>>,
}

impl Buffer {
    /// An empty one.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, faces: Vec::new() }
    }

    /// Gives each of these new faces back, or, once the buffer is full, half the time an older one, whose
    /// place it takes.
    pub fn exchange(&mut self, new: &mut [f32], size: usize, random: &mut Random) {
        for face in new.chunks_exact_mut(size) {
            if self.faces.len() < self.capacity {
                self.faces.push(face.to_vec());
            } else if random.unit() < 0.5
                && let place = random.below(self.faces.len())
                && let Some(old) = self.faces.get_mut(place)
            {
                old.swap_with_slice(face);
            }
        }
    }

    /// All numbers in it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.faces.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// One with the numbers of another.
    pub fn from_bytes(capacity: usize, bytes: &[u8], size: usize) -> Self {
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Self { capacity, faces: values.chunks_exact(size).map(<[f32]>::to_vec).collect() }
    }
}
