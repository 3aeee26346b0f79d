//! Random numbers that are the same on every machine and in every version: SplitMix64 (Steele, Lea & Flood 2014).

/// A generator; its whole state is one number.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for each path of numbers, such as (seed, fold, epoch).
    pub fn new(path: &[u64]) -> Self {
        let mut random = Self(0x243f_6a88_85a3_08d3);
        for part in path {
            random.0 ^= *part;
            random.0 = random.next();
        }
        random
    }

    /// What it is given to another to go on from.
    pub const fn state(&self) -> u64 {
        self.0
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number from 0 to `end` - 1; 0 for `end` 0. (The bias is less than end / 2^32.)
    pub fn below(&mut self, end: usize) -> usize {
        (((self.next() >> 32) * end as u64) >> 32) as usize
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 16_777_216.0
    }

    /// A number of the normal distribution (Box & Muller 1958).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }

    /// A number in 0..=1 of the distribution Beta(`alpha`, `alpha`), `alpha` above 0 (Jöhnk 1964; quick for
    /// `alpha` up to 1).
    pub fn beta(&mut self, alpha: f32) -> f32 {
        loop {
            let (x, y) = (self.unit().powf(1.0 / alpha), self.unit().powf(1.0 / alpha));
            if x + y > 0.0 && x + y <= 1.0 {
                return x / (x + y);
            }
        }
    }

    /// Puts `items` into random order (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = self.below(end + 1);
            items.swap(end, other);
        }
    }
}
