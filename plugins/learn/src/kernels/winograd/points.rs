//! From pixels and kernels to points, and back.
//!
//! The points are 0, 1, -1, 2 and infinity along both axes. Each transform is a linear map along the lines
//! and then the same along the columns, of a vector of channels at a time. Vectors are pulp's: what the
//! compiler makes of arrays of this many numbers takes longer than the products.

use pulp::Simd;

/// Pixels of a tile along a side.
pub const OUT: usize = 3;
/// Pixels that it sees, and points.
pub const IN: usize = OUT + 2;
/// Points on both axes.
pub const POINTS: usize = IN * IN;

/// Vectors of channels.
pub type Square<S, const SIDE: usize> = [[<S as Simd>::f32s; SIDE]; SIDE];

/// A linear map of a line.
pub trait Along<const FROM: usize, const TO: usize> {
    /// What becomes of it.
    fn along<S: Simd>(simd: S, line: [S::f32s; FROM]) -> [S::f32s; TO];
}

/// Along the lines, then along the columns. The result is turned: what undoes it, turns it back.
#[inline(always)]
pub fn twice<T: Along<FROM, TO>, S: Simd, const FROM: usize, const TO: usize>(
    simd: S,
    square: &Square<S, FROM>,
) -> Square<S, TO> {
    let zero = simd.splat_f32s(0.0);
    let mut half = [[zero; FROM]; TO];
    for (line, square) in square.iter().enumerate() {
        for (half, value) in half.iter_mut().zip(T::along(simd, *square)) {
            half[line] = value;
        }
    }
    let mut out = [[zero; TO]; TO];
    for (out, half) in out.iter_mut().zip(half) {
        *out = T::along(simd, half);
    }
    out
}

/// What a tile sees, at the points.
pub struct Pixels;

impl Along<IN, IN> for Pixels {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c, d, e]: [S::f32s; IN]) -> [S::f32s; IN] {
        let two = simd.splat_f32s(2.0);
        let (down, up) = (simd.sub_f32s(d, b), simd.sub_f32s(d, c));
        let (far, near) = (simd.sub_f32s(a, c), simd.sub_f32s(b, c));
        [
            simd.mul_add_e_f32s(far, two, down),
            simd.sub_f32s(up, simd.add_f32s(b, b)),
            simd.mul_add_e_f32s(near, two, up),
            down,
            simd.sub_f32s(simd.sub_f32s(e, c), simd.add_f32s(down, down)),
        ]
    }
}

/// What comes out of a tile, from the points.
pub struct Made;

impl Along<IN, OUT> for Made {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c, d, e]: [S::f32s; IN]) -> [S::f32s; OUT] {
        let sum = simd.add_f32s(b, c);
        [
            simd.add_f32s(simd.add_f32s(a, sum), d),
            simd.mul_add_e_f32s(d, simd.splat_f32s(2.0), simd.sub_f32s(b, c)),
            simd.mul_add_e_f32s(d, simd.splat_f32s(4.0), simd.add_f32s(sum, e)),
        ]
    }
}

/// The transpose of [`Made`]: the gradient at the points.
pub struct MadeTurned;

impl Along<OUT, IN> for MadeTurned {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c]: [S::f32s; OUT]) -> [S::f32s; IN] {
        let even = simd.add_f32s(a, c);
        let half = simd.mul_add_e_f32s(c, simd.splat_f32s(2.0), b);
        [
            a,
            simd.add_f32s(even, b),
            simd.sub_f32s(even, b),
            simd.mul_add_e_f32s(half, simd.splat_f32s(2.0), a),
            c,
        ]
    }
}

/// A kernel at the points.
pub struct Kernel;

impl Along<3, IN> for Kernel {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; IN] {
        let (half, sixth) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0 / 6.0));
        let even = simd.add_f32s(a, c);
        let far =
            simd.mul_add_e_f32s(simd.mul_add_e_f32s(c, simd.splat_f32s(2.0), b), simd.splat_f32s(2.0), a);
        [
            simd.mul_f32s(a, half),
            simd.mul_f32s(simd.add_f32s(even, b), simd.splat_f32s(-0.5)),
            simd.mul_f32s(simd.sub_f32s(b, even), sixth),
            simd.mul_f32s(far, sixth),
            c,
        ]
    }
}

/// The transpose of [`Kernel`]: a kernel's gradient, from the points.
pub struct KernelTurned;

impl Along<IN, 3> for KernelTurned {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c, d, e]: [S::f32s; IN]) -> [S::f32s; 3] {
        let (half, sixth) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0 / 6.0));
        let (b, c, d) = (simd.mul_f32s(b, half), simd.mul_f32s(c, sixth), simd.mul_f32s(d, sixth));
        let sum = simd.add_f32s(b, c);
        [
            simd.mul_add_e_f32s(a, half, simd.sub_f32s(d, sum)),
            simd.mul_add_e_f32s(d, simd.splat_f32s(2.0), simd.sub_f32s(c, b)),
            simd.mul_add_e_f32s(d, simd.splat_f32s(4.0), simd.sub_f32s(e, sum)),
        ]
    }
}
