//! Perceptual hashes: gray pictures that may show the same thing are found fast. Whether they do, their
//! [`correlation`](crate::correlation) tells.

use std::{collections::HashMap, f32::consts::PI};

/// Pixels of a side that a hash looks at.
const SIDE: usize = 32;
/// Frequencies of a side that are kept.
const KEPT: usize = 8;
/// Bits in which hashes may differ and still be close.
const MOST_BITS: u32 = 3;
/// Parts that a hash is cut into: one more than bits may differ, so that close hashes agree in one of them.
const PARTS: usize = MOST_BITS as usize + 1;
/// Bits of a part.
const PART_BITS: usize = u64::BITS as usize / PARTS;

/// A perceptual hash of 64 bits: of the 8x8 lowest frequencies of the picture, shrunk to 32x32, which lie
/// above their median.
///
/// C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010 (the DCT hash).
/// Pictures that differ in brightness, contrast or compression differ in few bits. `pixels` are gray, row by
/// row; a picture without any detail has no hash.
pub struct Hasher {
    /// `cosines[frequency][position]` of the DCT-II.
    cosines: [[f32; SIDE]; KEPT + 1],
}

impl Default for Hasher {
    fn default() -> Self {
        let cosine =
            |frequency: usize, at: usize| (PI / SIDE as f32 * (at as f32 + 0.5) * frequency as f32).cos();
        Self { cosines: std::array::from_fn(|frequency| std::array::from_fn(|at| cosine(frequency, at))) }
    }
}

impl Hasher {
    /// The hash, or nothing where the picture is empty or has no detail.
    pub fn hash(&self, pixels: &[u8], width: usize, height: usize) -> Option<u64> {
        let small = shrink(pixels, width, height)?;
        // First along the rows, then along the columns.
        let mut rows = [[0f32; KEPT + 1]; SIDE];
        for (row, pixels) in rows.iter_mut().zip(&small) {
            for (value, cosines) in row.iter_mut().zip(&self.cosines) {
                *value = pixels.iter().zip(cosines).map(|(pixel, cosine)| pixel * cosine).sum();
            }
        }
        // The lowest frequency of either direction is brightness, and left out.
        let mut frequencies = [0f32; KEPT * KEPT];
        for (at, value) in frequencies.iter_mut().enumerate() {
            let (x, y) = (at % KEPT + 1, at / KEPT + 1);
            *value = rows.iter().zip(&self.cosines[y]).map(|(row, cosine)| row[x] * cosine).sum();
        }
        let mut sorted = frequencies;
        sorted.sort_by(f32::total_cmp);
        let (low, high) = (sorted[0], sorted[KEPT * KEPT - 1]);
        if high - low < 1.0 {
            return None;
        }
        let median = f32::midpoint(sorted[KEPT * KEPT / 2 - 1], sorted[KEPT * KEPT / 2]);
        let bit = |(at, value): (usize, &f32)| u64::from(*value > median) << at;
        Some(frequencies.iter().enumerate().map(bit).sum())
    }
}

/// To 32x32, each pixel the mean of the area that it covers.
fn shrink(pixels: &[u8], width: usize, height: usize) -> Option<[[f32; SIDE]; SIDE]> {
    if width == 0 || height == 0 || pixels.len() < width * height {
        return None;
    }
    let span = |at: usize, length: usize| {
        let begin = at * length / SIDE;
        begin..((at + 1) * length).div_ceil(SIDE).max(begin + 1).min(length)
    };
    Some(std::array::from_fn(|y| {
        std::array::from_fn(|x| {
            let (columns, rows) = (span(x, width), span(y, height));
            let count = columns.len() * rows.len();
            let sum: u32 = rows
                .map(|row| pixels[row * width..][columns.clone()].iter().map(|&p| u32::from(p)).sum::<u32>())
                .sum();
            sum as f32 / count as f32
        })
    }))
}

/// A part of a hash.
fn part_of(hash: u64, part: usize) -> u64 {
    hash >> (PART_BITS * part) & ((1 << PART_BITS) - 1)
}

/// Whether two hashes differ in at most 3 bits.
fn are_close(a: u64, b: u64) -> bool {
    (a ^ b).count_ones() <= MOST_BITS
}

/// Calls `each` once with every pair of hashes that differ in at most 3 bits, the place of the first and that
/// of the second. Complete: cut into four parts, two such hashes agree in one of them. Pairs are not kept:
/// there may be as many as squares.
///
/// # Errors
/// The first of `each`, after which it is not called again.
pub fn each_close_pair<E>(
    hashes: &[Option<u64>],
    mut each: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    for part in 0..PARTS {
        let mut sorted: Vec<(u64, usize, u64)> = hashes
            .iter()
            .enumerate()
            .filter_map(|(at, hash)| hash.map(|hash| (part_of(hash, part), at, hash)))
            .collect();
        sorted.sort_unstable();
        let were_told = |a: u64, b: u64| (0..part).any(|before| part_of(a, before) == part_of(b, before));
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            for (at, a) in same.iter().enumerate() {
                for b in same[at + 1..].iter().filter(|b| are_close(a.2, b.2) && !were_told(a.2, b.2)) {
                    each(a.1, b.1)?;
                }
            }
        }
    }
    Ok(())
}

/// A growing list of hashes in which those close to another are found without looking at all.
#[derive(Clone, Debug, Default)]
pub struct CloseHashes {
    hashes: Vec<Option<u64>>,
    /// For each part of a hash the places of those that have it.
    places: [HashMap<u64, Vec<usize>>; PARTS],
}

impl CloseHashes {
    /// Adds the hash of one more picture. A picture without one has a place too, and is never found.
    pub fn add(&mut self, hash: Option<u64>) {
        let place = self.hashes.len();
        self.hashes.push(hash);
        let Some(hash) = hash else { return };
        for (part, places) in self.places.iter_mut().enumerate() {
            places.entry(part_of(hash, part)).or_default().push(place);
        }
    }

    /// Places, from the first, of the hashes that differ from this one in at most 3 bits. Complete, as
    /// [`each_close_pair`] is.
    pub fn close_to(&self, hash: u64) -> Vec<usize> {
        let parts = self.places.iter().enumerate();
        let same_part = parts.filter_map(|(part, places)| places.get(&part_of(hash, part))).flatten();
        let is_close = |place: &&usize| {
            self.hashes.get(**place).copied().flatten().is_some_and(|other| are_close(hash, other))
        };
        let mut places: Vec<usize> = same_part.filter(is_close).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    /// Waves of all low frequencies, each as strong as chance has it.
    fn picture(seed: u32, change: impl Fn(usize, f32) -> f32) -> Vec<u8> {
        let strength = |u: u32, v: u32| {
            let mixed = (seed * 81 + u * 9 + v + 1).wrapping_mul(2_654_435_761) >> 16;
            (mixed % 201) as f32 / 100.0 - 1.0
        };
        let wave = |frequency: u32, at: usize| (PI / 48.0 * (at as f32 + 0.5) * frequency as f32).cos();
        let pixel = |at: usize| {
            let waves = (1..=8).flat_map(|u| (1..=8).map(move |v| (u, v)));
            128.0
                + waves.map(|(u, v)| 12.0 * strength(u, v) * wave(u, at % 48) * wave(v, at / 48)).sum::<f32>()
        };
        (0..48 * 48).map(|at| change(at, pixel(at)).clamp(0.0, 255.0) as u8).collect()
    }

    #[test]
    fn a_brighter_and_a_noisy_copy_are_close_and_another_picture_is_not() {
        let hasher = Hasher::default();
        let hash = |pixels: &[u8]| hasher.hash(pixels, 48, 48).unwrap();
        let original = picture(0, |_, p| p);
        let brighter = picture(0, |_, p| p * 1.1 + 10.0);
        let noisy = picture(0, |at, p| p + (at * 7919 % 5) as f32 - 2.0);
        let other = picture(3, |_, p| p);
        let distance = |a: &[u8], b: &[u8]| (hash(a) ^ hash(b)).count_ones();
        assert!(distance(&original, &brighter) <= 3 && distance(&original, &noisy) <= 3);
        assert!(distance(&original, &other) > 10);
    }

    #[test]
    fn pictures_without_detail_have_no_hash() {
        let hasher = Hasher::default();
        assert_eq!(hasher.hash(&[90; 48 * 48], 48, 48), None);
        assert_eq!(hasher.hash(&[], 0, 0), None);
        assert_eq!(hasher.hash(&[1, 2], 5, 5), None);
        let mut list = CloseHashes::default();
        [None, Some(1), None].into_iter().for_each(|hash| list.add(hash));
        assert_eq!((list.close_to(0), list.close_to(0xffff)), (vec![1], vec![]));
    }

    proptest::proptest! {
        #[test]
        fn every_close_pair_is_found(hashes in proptest::collection::vec(0u64..64, 0..40)) {
            // Few bits, spread over all parts, so that many are close.
            let spread = |hash: u64| (0..6).map(|bit| (hash >> bit & 1) << (bit * 11)).sum();
            let hashes: Vec<Option<u64>> = hashes.into_iter().map(|hash| Some(spread(hash))).collect();
            let mut expected = Vec::new();
            for a in 0..hashes.len() {
                for b in a + 1..hashes.len() {
                    if (hashes[a].unwrap_or(0) ^ hashes[b].unwrap_or(0)).count_ones() <= 3 {
                        expected.push((a, b));
                    }
                }
            }
            let mut found = Vec::new();
            let told = each_close_pair(&hashes, |a, b| {
                found.push((a, b));
                Ok::<_, std::convert::Infallible>(())
            });
            assert_eq!(told, Ok(()));
            found.sort_unstable();
            assert_eq!(found, expected);
            let mut list = CloseHashes::default();
            let mut found = Vec::new();
            for (place, hash) in hashes.iter().enumerate() {
                found.extend(list.close_to(hash.unwrap_or(0)).into_iter().map(|before| (before, place)));
                list.add(*hash);
            }
            found.sort_unstable();
            assert_eq!(found, expected);
        }

        #[test]
        fn no_size_makes_it_panic(pixels in proptest::collection::vec(0u8.., 0..200), width in 0usize..20, height in 0usize..20) {
            let _ = Hasher::default().hash(&pixels, width, height);
        }
    }
}
