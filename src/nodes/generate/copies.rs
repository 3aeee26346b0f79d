//! Which pictures are copies of one another, mirrored or not.

use ferroflow_vision::{
    correlation::correlation,
    perceptual_hash::{CloseHashes, Hasher},
};

use crate::batch::{Context, data::Faces, flow};

/// Pictures that a worker hashes at once.
const PIECE: usize = 1024;

/// A gray picture that is looked for: as it is and mirrored, each with its hash.
#[derive(Clone, Debug)]
pub struct Look {
    ways: [(Vec<u8>, Option<u64>); 2],
}

impl Look {
    /// Of `pixels`, rows of `width` gray pixels.
    pub fn new(pixels: &[u8], width: usize, hasher: &Hasher) -> Self {
        let height = pixels.len() / width.max(1);
        let way = |pixels: Vec<u8>| {
            let hash = hasher.hash(&pixels, width, height);
            (pixels, hash)
        };
        Self { ways: [way(pixels.to_vec()), way(mirrored(pixels, width))] }
    }

    /// The correlation with another picture of the same size, the greater of both ways round, -1 to 1.
    pub fn likeness(&self, other: &[u8]) -> f32 {
        let [as_it_is, mirrored] = self.ways.each_ref().map(|(pixels, _)| correlation(pixels, other));
        as_it_is.max(mirrored)
    }
}

/// A picture with left and right changed.
pub fn mirrored(pixels: &[u8], width: usize) -> Vec<u8> {
    pixels.chunks(width.max(1)).flat_map(|row| row.iter().rev()).copied().collect()
}

/// Pictures of one size, in which copies of another are found as `deduplicate` finds them: by hashes that
/// differ in at most 3 bits, and then by correlation.
#[derive(Debug)]
pub struct Gallery {
    width: usize,
    /// Pixels of a picture.
    size: usize,
    /// One picture after the other.
    pixels: Vec<u8>,
    hashes: CloseHashes,
}

impl Gallery {
    /// Without pictures yet, which will be of this width and height.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, size: width * height, pixels: Vec::new(), hashes: CloseHashes::default() }
    }

    /// Every picture of a table, whatever became of its row. They must all be of one size.
    pub fn of(faces: &Faces, context: &Context) -> anyhow::Result<Self> {
        let (width, height, pixels) = faces.gray_pixels(context.workers)?;
        let mut gallery = Self::new(width, height);
        let size = gallery.size.max(1);
        let hash = |hasher: &mut Hasher, some: &[u8]| {
            Ok(some.chunks_exact(size).map(|picture| hasher.hash(picture, width, height)).collect::<Vec<_>>())
        };
        let pieces = pixels.chunks(PIECE * size).map(Ok);
        flow::in_order(
            pieces,
            context.workers,
            || Ok(Hasher::default()),
            hash,
            |hashes| {
                context.check()?;
                hashes.into_iter().for_each(|hash| gallery.hashes.add(hash));
                Ok(())
            },
        )?;
        gallery.pixels = pixels;
        Ok(gallery)
    }

    /// Adds a picture.
    pub fn add(&mut self, look: &Look) {
        let [(pixels, hash), _] = &look.ways;
        self.pixels.extend_from_slice(pixels);
        self.hashes.add(*hash);
    }

    /// Width and height of its pictures.
    pub fn picture_size(&self) -> (usize, usize) {
        (self.width, self.size / self.width.max(1))
    }

    /// The picture of this number; an empty one where there is none.
    pub fn picture(&self, place: usize) -> &[u8] {
        self.pixels.get(place * self.size..(place + 1) * self.size).unwrap_or_default()
    }

    /// The greatest correlation with a picture whose hash is close, either way round; nothing where there is none.
    pub fn closest(&self, look: &Look) -> Option<f32> {
        let one = |(pixels, hash): &(Vec<u8>, Option<u64>)| {
            let places = hash.map_or_else(Vec::new, |hash| self.hashes.close_to(hash));
            places.into_iter().map(|place| correlation(pixels, self.picture(place))).max_by(f32::total_cmp)
        };
        look.ways.iter().filter_map(one).max_by(f32::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    /// 24x24 pixels of a few waves, none of which is the same mirrored.
    fn picture(seed: usize) -> Vec<u8> {
        let wave = |x: usize, y: usize| {
            let (x, y, seed) = (x as f32 / 24.0, y as f32 / 24.0, seed as f32);
            (x * (5.0 + seed)).sin() + (y * (3.0 + 2.0 * seed) + x * 4.0).cos() + (x * x * 9.0 * seed).sin()
        };
        (0..24 * 24).map(|at| (128.0 + 40.0 * wave(at % 24, at / 24)) as u8).collect()
    }

    #[test]
    fn a_copy_is_found_either_way_round_and_another_picture_is_not() {
        let hasher = Hasher::default();
        let look = |pixels: &[u8]| Look::new(pixels, 24, &hasher);
        let mut gallery = Gallery::new(24, 24);
        assert_eq!(gallery.closest(&look(&picture(1))), None);
        gallery.add(&look(&picture(1)));
        gallery.add(&look(&picture(2)));
        let brighter: Vec<u8> = picture(2).iter().map(|pixel| pixel.saturating_add(9)).collect();
        for copy in [brighter.clone(), mirrored(&brighter, 24)] {
            assert!(gallery.closest(&look(&copy)).unwrap() > 0.99);
            assert!(look(&copy).likeness(gallery.picture(1)) > 0.99);
        }
        assert!(gallery.closest(&look(&picture(3))).is_none_or(|likeness| likeness < 0.9));
        assert_eq!((gallery.picture_size(), gallery.picture(7).len()), ((24, 24), 0));
    }

    #[test]
    fn a_picture_mirrored_twice_is_itself() {
        assert_eq!(mirrored(&[1, 2, 3, 4, 5, 6], 3), [3, 2, 1, 6, 5, 4]);
        assert_eq!(mirrored(&mirrored(&picture(4), 24), 24), picture(4));
        assert!(mirrored(&[], 0).is_empty());
    }
}
