//! All that is measured of translated faces, each number beside what it is to be compared with.

use serde::Serialize;

use crate::evaluation::Spread;

/// Shares of faces that are called the target class.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shares {
    /// Of the translated ones.
    pub translated: f64,
    /// Of real faces of the target class.
    pub real: f64,
    /// Of the faces before they were translated.
    pub source: f64,
}

/// Distances to real faces of the target class.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Distances {
    /// From translated faces.
    pub translated: Spread,
    /// From other real ones of the class.
    pub real: Spread,
    /// From the faces before they were translated.
    pub source: Spread,
}

/// Mean structural similarity to the face as it was.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Structure {
    /// After the way there and back.
    pub returned: f64,
    /// After the way there.
    pub translated: f64,
    /// Of another face of the class.
    pub others: f64,
}

/// How far the nearest training faces of the target class are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Neighbours {
    /// One less the cosine of features.
    pub median_distance: f64,
    /// The least of these.
    pub least_distance: f64,
    /// Correlation of pixels.
    pub median_correlation: f64,
    /// The greatest of these.
    pub greatest_correlation: f64,
    /// Faces whose features are nearer to a training face's than those of all but a hundredth of the real faces are.
    pub very_near_by_features: usize,
    /// The same by pixels.
    pub very_near_by_pixels: usize,
}

/// How many of so many real faces are nearer to another than a face must be to be called very near: a hundredth.
pub const fn real_faces_above(real: usize) -> usize {
    real / 100
}

/// The nearest training faces of the target class.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nearest {
    /// Of translated faces.
    pub translated: Neighbours,
    /// Of real faces, each left out itself.
    pub real: Neighbours,
}

/// All that is measured of a direction.
#[derive(Clone, Debug, Serialize)]
pub struct Measures {
    /// The class that faces were.
    pub from: String,
    /// The class that they were translated to.
    pub to: String,
    /// Faces that were translated.
    pub faces: usize,
    /// Real faces of the target class that they are compared with.
    pub real_faces: usize,
    /// Training faces of that class among which the nearest were looked for.
    pub training_faces: usize,
    /// What the classifier says.
    pub called_target: Shares,
    /// Faces in each set that distances are taken of.
    pub sample: usize,
    /// How often such sets were drawn.
    pub draws: usize,
    /// Numbers of a feature.
    pub dimensions: usize,
    /// Frechet distances.
    pub frechet: Distances,
    /// Kernel distances.
    pub kernel: Distances,
    /// What is left of a face's structure.
    pub structure: Structure,
    /// The nearest training faces.
    pub nearest: Nearest,
}
