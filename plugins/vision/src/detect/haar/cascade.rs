//! A boosted cascade of Haar-like features, as OpenCV's training writes it and its classifier understands it
//! (Viola and Jones 2001; tilted features: Lienhart and Maydt 2002).

use std::ops::Range;

/// Subtracted from each stage's threshold, as OpenCV does when it reads a cascade (`THRESHOLD_EPS`).
const THRESHOLD_MARGIN: f32 = 1e-5;

/// Largest window side: OpenCV's own are at most 150, and sums over larger ones could pass 32 bits.
pub const LARGEST_WINDOW: usize = 1024;

/// One weighted rectangle of a feature, in window coordinates. A tilted one hangs at (x, y) by its top
/// corner, `width` runs down to the right and `height` down to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedRect {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Width, at least 1.
    pub width: usize,
    /// Height, at least 1.
    pub height: usize,
    /// Factor on the sum of the pixels under it.
    pub weight: f32,
}

/// A weighted sum of two or three rectangles.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Two or three.
    pub rects: Vec<WeightedRect>,
    /// Turned by 45 degrees.
    pub tilted: bool,
}

impl Feature {
    /// The corners of each rectangle, column and row in the window's integral image; its sum is that of the
    /// first, less those of the second and third, and that of the last.
    pub fn corners(&self) -> Vec<[(usize, usize); 4]> {
        let corners = |rect: &WeightedRect| {
            let (x, y, w, h) = (rect.x, rect.y, rect.width, rect.height);
            match self.tilted {
                true => [(x, y), (x - h, y + h), (x + w, y + w), (x + w - h, y + w + h)],
                false => [(x, y), (x + w, y), (x, y + h), (x + w, y + h)],
            }
        };
        self.rects.iter().map(corners).collect()
    }
}

/// Where a node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// To a later node of the same tree, counted from its root.
    Node(usize),
    /// To a leaf of the same tree.
    Leaf(usize),
}

/// Compares a feature, divided by the window's deviation, with a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Which feature.
    pub feature: usize,
    /// Below it, `left` is taken, else `right`.
    pub threshold: f32,
    /// Taken below the threshold.
    pub left: Branch,
    /// Taken otherwise.
    pub right: Branch,
}

/// A weak classifier: a stump of one node or a small tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The root first; branches lead forward only, so every walk ends.
    pub nodes: Vec<Node>,
    /// The values that leaves answer.
    pub leaves: Vec<f32>,
}

/// Weak classifiers whose sum must reach a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Which of the cascade's trees.
    pub trees: Range<usize>,
    /// The least sum that passes.
    pub threshold: f32,
}

/// A whole cascade, checked: no index in it leads outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// Window width in pixels.
    pub width: usize,
    /// Window height in pixels.
    pub height: usize,
    /// In the order they are asked.
    pub stages: Vec<Stage>,
    /// The trees of all stages.
    pub trees: Vec<Tree>,
    /// The features of all nodes.
    pub features: Vec<Feature>,
}

impl Cascade {
    /// Puts a cascade together from stages (threshold and trees), or says what is wrong with it.
    pub fn new(
        (width, height): (usize, usize),
        stages: Vec<(f32, Vec<Tree>)>,
        features: Vec<Feature>,
    ) -> Result<Self, String> {
        if !(3..=LARGEST_WINDOW).contains(&width) || !(3..=LARGEST_WINDOW).contains(&height) {
            return Err(format!(
                "its window of {width}x{height} is outside 3x3 to {LARGEST_WINDOW}x{LARGEST_WINDOW}"
            ));
        }
        if stages.is_empty() {
            return Err("it has no stages".into());
        }
        for (index, feature) in features.iter().enumerate() {
            check_feature(feature, width, height).map_err(|reason| format!("feature {index}: {reason}"))?;
        }
        let mut cascade = Self { width, height, stages: Vec::new(), trees: Vec::new(), features };
        for (index, (threshold, trees)) in stages.into_iter().enumerate() {
            if trees.is_empty() || !threshold.is_finite() {
                return Err(format!("stage {index} has no weak classifiers or no finite threshold"));
            }
            for tree in &trees {
                check_tree(tree, cascade.features.len())
                    .map_err(|reason| format!("stage {index}: {reason}"))?;
            }
            let first = cascade.trees.len();
            cascade.trees.extend(trees);
            let trees = first..cascade.trees.len();
            cascade.stages.push(Stage { trees, threshold: threshold - THRESHOLD_MARGIN });
        }
        Ok(cascade)
    }

    /// True when some feature needs the tilted integral image.
    pub fn has_tilted(&self) -> bool {
        self.features.iter().any(|feature| feature.tilted)
    }
}

fn check_feature(feature: &Feature, width: usize, height: usize) -> Result<(), String> {
    if !(2..=3).contains(&feature.rects.len()) {
        return Err(format!("{} rectangles, 2 or 3 are needed", feature.rects.len()));
    }
    for rect in &feature.rects {
        let fits = if feature.tilted {
            rect.x >= rect.height
                && rect.x + rect.width <= width
                && rect.y + rect.width + rect.height <= height
        } else {
            rect.x + rect.width <= width && rect.y + rect.height <= height
        };
        if !fits || rect.width == 0 || rect.height == 0 || !rect.weight.is_finite() {
            return Err(format!("{rect:?} does not lie in the window of {width}x{height}"));
        }
    }
    Ok(())
}

fn check_tree(tree: &Tree, features: usize) -> Result<(), String> {
    if tree.nodes.is_empty() {
        return Err("a weak classifier without nodes".into());
    }
    if tree.leaves.iter().any(|leaf| !leaf.is_finite()) {
        return Err("a leaf that is not finite".into());
    }
    for (index, node) in tree.nodes.iter().enumerate() {
        if node.feature >= features {
            return Err(format!("a node asks for feature {}, there are {features}", node.feature));
        }
        if !node.threshold.is_finite() {
            return Err("a node's threshold is not finite".into());
        }
        for branch in [node.left, node.right] {
            let leads_on = match branch {
                Branch::Node(next) => next > index && next < tree.nodes.len(),
                Branch::Leaf(leaf) => leaf < tree.leaves.len(),
            };
            if !leads_on {
                return Err(format!("a branch leads to {branch:?}, which is not there or not further on"));
            }
        }
    }
    Ok(())
}
