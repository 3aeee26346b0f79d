//! How a batch of feature maps lies in memory.
//!
//! A batch is a matrix of `rows` x channels. Every face has `height` lines of `width` pixels, each line
//! followed by **one** row of zeros, each face by one line of zeros, and the whole batch stands between two
//! margins. One column of zeros serves as the right border of its line and as the left border of the next; so
//! does the line of zeros between two faces. Thus the neighbours of any pixel lie at fixed distances, and the
//! three pixels of a kernel's line are `3 * channels` numbers side by side: a 3x3 convolution over the whole
//! batch is three matrix products with no copy made (`conv`).

/// The layout of a batch: `faces` maps of `height` x `width` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Maps in the batch.
    pub faces: usize,
    /// Lines of pixels in each.
    pub height: usize,
    /// Pixels in a line.
    pub width: usize,
}

impl Grid {
    /// Rows from one line to the next.
    pub const fn line(self) -> usize {
        self.width + 1
    }

    /// Rows from one face to the next.
    pub const fn face(self) -> usize {
        (self.height + 1) * self.line()
    }

    /// Rows of zeros before the first and after the last face: as far as a kernel reaches.
    pub const fn margin(self) -> usize {
        self.width + 2
    }

    /// Rows between the margins.
    pub const fn body(self) -> usize {
        self.faces * self.face()
    }

    /// All rows.
    pub const fn rows(self) -> usize {
        self.body() + 2 * self.margin()
    }

    /// Pixels in all faces.
    pub const fn pixels(self) -> usize {
        self.faces * self.height * self.width
    }

    /// The row of a line's first pixel.
    pub const fn row(self, face: usize, y: usize) -> usize {
        self.margin() + face * self.face() + y * self.line()
    }

    /// Half as many lines and pixels, rounded down.
    pub const fn halved(self) -> Self {
        Self { faces: self.faces, height: self.height / 2, width: self.width / 2 }
    }
}
