//! How much there is to see: the standard deviation of the gray levels.

use crate::frame::Frame;

/// 0 for a constant picture, 127.5 for half black and half white; the flattest face of FER2013 has 12.
pub fn of(picture: &Frame<'_>) -> f32 {
    let Some(plane) = picture.luma_plane() else { return 0.0 };
    let (mut sum, mut squares) = (0u64, 0u64);
    for y in 0..picture.height() {
        for &pixel in plane.row(y).iter().take(picture.width()) {
            sum += u64::from(pixel);
            squares += u64::from(pixel).pow(2);
        }
    }
    let count = (picture.width() * picture.height()) as f64;
    let mean = sum as f64 / count;
    (squares as f64 / count - mean * mean).max(0.0).sqrt() as f32
}
