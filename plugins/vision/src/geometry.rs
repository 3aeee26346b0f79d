//! Boxes and points in frame coordinates: pixels, origin at the top left corner of the frame,
//! x to the right, y down. A box covers `[x, x + width) × [y, y + height)`.

use serde::{Deserialize, Serialize};

/// A point in frame coordinates (pixels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
}

/// An axis-aligned box in frame coordinates (pixels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, never negative.
    pub width: f32,
    /// Height, never negative.
    pub height: f32,
}

impl Rect {
    /// A box from its top left corner and size.
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// A box from two opposite corners, in any order.
    pub fn from_corners(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self::new(x0.min(x1), y0.min(y1), (x1 - x0).abs(), (y1 - y0).abs())
    }

    /// Right edge.
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    /// Bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// The point in the middle.
    pub fn center(&self) -> Point {
        Point { x: self.x + self.width / 2.0, y: self.y + self.height / 2.0 }
    }

    /// True when every coordinate is finite and the box covers some area.
    pub fn is_valid(&self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|v| v.is_finite())
            && self.width > 0.0
            && self.height > 0.0
    }

    /// The part of the box inside a frame of this size; of zero area when there is none.
    pub fn clamped(&self, frame_width: f32, frame_height: f32) -> Self {
        let x0 = self.x.clamp(0.0, frame_width);
        let y0 = self.y.clamp(0.0, frame_height);
        let x1 = self.right().clamp(0.0, frame_width);
        let y1 = self.bottom().clamp(0.0, frame_height);
        Self::from_corners(x0, y0, x1, y1)
    }

    /// The smallest square with the same centre that covers the box.
    pub fn squared(&self) -> Self {
        let side = self.width.max(self.height);
        let center = self.center();
        Self::new(center.x - side / 2.0, center.y - side / 2.0, side, side)
    }

    /// The box grown on every side by `fraction` of its width and height.
    pub fn padded(&self, fraction: f32) -> Self {
        let (dx, dy) = (self.width * fraction, self.height * fraction);
        Self::new(self.x - dx, self.y - dy, self.width + 2.0 * dx, self.height + 2.0 * dy)
    }

    /// Area shared with `other`.
    pub fn intersection_area(&self, other: &Self) -> f32 {
        let width = self.right().min(other.right()) - self.x.max(other.x);
        let height = self.bottom().min(other.bottom()) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union, 0 to 1; 0 when both boxes are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let intersection = self.intersection_area(other);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}
