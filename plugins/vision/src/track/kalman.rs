//! The constant-velocity Kalman filter of SORT's family, in ByteTrack's coordinates: centre x, centre y, aspect ratio
//! and height, each with its velocity (Zhang et al., "ByteTrack", 2022, after Wojke et al., "DeepSORT", 2017).
//!
//! With diagonal noise the four coordinates never mix, so the 8x8 filter falls into four of 2x2, which is what is
//! computed here: the same numbers for a fraction of the work.

use crate::geometry::Rect;

/// Noise of position and velocity as shares of the height, as in DeepSORT and ByteTrack.
const POSITION_WEIGHT: f32 = 1.0 / 20.0;
const VELOCITY_WEIGHT: f32 = 1.0 / 160.0;

/// One coordinate: value, velocity a frame, and their covariance.
#[derive(Clone, Copy, Debug)]
struct Axis {
    value: f32,
    velocity: f32,
    /// Variance of value, covariance, variance of velocity.
    p: [f32; 3],
}

impl Axis {
    fn new(value: f32, value_std: f32, velocity_std: f32) -> Self {
        Self { value, velocity: 0.0, p: [value_std * value_std, 0.0, velocity_std * velocity_std] }
    }

    fn predict(&mut self, value_std: f32, velocity_std: f32) {
        let [value, cross, velocity] = self.p;
        self.value += self.velocity;
        self.p = [
            value + 2.0 * cross + velocity + value_std * value_std,
            cross + velocity,
            velocity + velocity_std * velocity_std,
        ];
    }

    fn update(&mut self, measured: f32, measured_std: f32) {
        let [value, cross, velocity] = self.p;
        let total = value + measured_std * measured_std;
        let (gain_value, gain_velocity) = (value / total, cross / total);
        let surprise = measured - self.value;
        self.value += gain_value * surprise;
        self.velocity += gain_velocity * surprise;
        self.p = [(1.0 - gain_value) * value, (1.0 - gain_value) * cross, velocity - gain_velocity * cross];
    }
}

/// Where a face is and where it goes.
#[derive(Clone, Debug)]
pub struct Kalman {
    /// Centre x, centre y, aspect ratio (width over height), height.
    axes: [Axis; 4],
}

fn measurement(face: &Rect) -> [f32; 4] {
    let center = face.center();
    [center.x, center.y, face.width / face.height.max(1e-3), face.height]
}

impl Kalman {
    /// A face seen for the first time, standing still.
    pub fn new(face: &Rect) -> Self {
        let height = face.height;
        let (position, velocity) = (2.0 * POSITION_WEIGHT * height, 10.0 * VELOCITY_WEIGHT * height);
        let [x, y, aspect, h] = measurement(face);
        Self {
            axes: [
                Axis::new(x, position, velocity),
                Axis::new(y, position, velocity),
                Axis::new(aspect, 1e-2, 1e-5),
                Axis::new(h, position, velocity),
            ],
        }
    }

    /// Moves on by one frame.
    pub fn predict(&mut self) {
        let height = self.height();
        let (position, velocity) = (POSITION_WEIGHT * height, VELOCITY_WEIGHT * height);
        let [x, y, aspect, h] = &mut self.axes;
        aspect.predict(1e-2, 1e-5);
        for axis in [x, y, h] {
            axis.predict(position, velocity);
        }
    }

    /// Takes in where the face was found.
    pub fn update(&mut self, face: &Rect) {
        let position = POSITION_WEIGHT * self.height();
        let stds = [position, position, 1e-1, position];
        for ((axis, measured), std) in self.axes.iter_mut().zip(measurement(face)).zip(stds) {
            axis.update(measured, std);
        }
    }

    /// Stops the growth of a face that is out of sight: its size stays as it was.
    pub fn hold_size(&mut self) {
        let [_, _, aspect, height] = &mut self.axes;
        (aspect.velocity, height.velocity) = (0.0, 0.0);
    }

    /// The box as estimated now.
    pub fn face(&self) -> Rect {
        let [x, y, aspect, _] = self.axes.map(|axis| axis.value);
        let height = self.height();
        let width = (aspect * height).max(1e-3);
        Rect::new(x - width / 2.0, y - height / 2.0, width, height)
    }

    fn height(&self) -> f32 {
        self.axes[3].value.max(1e-3)
    }
}
