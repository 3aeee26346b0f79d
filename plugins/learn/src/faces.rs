//! Faces that networks learn from.

/// Gray faces of one size, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Faces<'a> {
    /// Gray values, faces x height x width.
    pub pixels: &'a [u8],
    /// Pixels in a line.
    pub width: usize,
    /// Lines in a face.
    pub height: usize,
}

impl Faces<'_> {
    /// How many there are.
    pub const fn count(&self) -> usize {
        match self.width * self.height {
            0 => 0,
            size => self.pixels.len() / size,
        }
    }

    /// The pixels of one.
    pub(crate) const fn face(&self, row: usize) -> &[u8] {
        let size = self.width * self.height;
        self.pixels.split_at(row * size).1.split_at(size).0
    }
}
