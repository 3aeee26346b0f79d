//! Asks the cascade about every window of a pyramid, many neighbouring windows at a time.
//!
//! The arithmetic is OpenCV's to the last bit: features in single precision, sums of a stage in double, the deviation
//! from the integral image of squares. Like OpenCV, a row's next window is passed by when the first stage has
//! refused one.

use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use super::{
    cascade::{Branch, Cascade},
    pyramid::{Level, Pyramid, SLACK},
};

/// Windows that are asked at once: a register of AVX-512, two of AVX2, four of NEON and SSE.
const LANES: usize = 16;

/// With this many windows left of a group, each goes on alone.
const FEW: u32 = 2;

/// Rows of windows in one piece of work.
const ROWS: usize = 16;

/// A window that passed all stages, in frame pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// A node with its rectangles' corners as offsets into a level's integral image.
#[derive(Clone, Debug)]
struct Probe {
    corners: [[u32; 4]; 3],
    weights: [f32; 3],
    has_third: bool,
    is_tilted: bool,
    threshold: f32,
    below: Answer,
    otherwise: Answer,
}

/// What a probe's branch answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Leaf(f32),
    Probe(usize),
}

#[derive(Clone, Debug)]
struct Stage {
    trees: Vec<Vec<Probe>>,
    threshold: f64,
}

/// A cascade laid out for one level's strides.
#[derive(Clone, Debug)]
struct Layout {
    stages: Vec<Stage>,
    /// Corners of the rectangle over which the deviation is taken: the window less a pixel on each side.
    inner: [u32; 4],
    area: f64,
}

/// A cascade laid out for a pyramid.
#[derive(Debug, Default)]
pub struct Scanner {
    layouts: Vec<Layout>,
    /// Levels and rows of windows, as threads take them.
    pieces: Vec<(usize, Range<usize>)>,
    /// The levels that these were made for: step, stride and rows.
    shape: Vec<(usize, usize, usize)>,
}

impl Scanner {
    /// Replaces `found` with all windows of the pyramid that pass, in no particular order.
    pub fn scan(&mut self, cascade: &Cascade, pyramid: &Pyramid, found: &mut Vec<Window>) {
        let window = (cascade.width, cascade.height);
        let shape = pyramid
            .levels
            .iter()
            .map(|level| (level.scale.step, level.stride, level.scale.windows(window).1));
        if !shape.clone().eq(self.shape.iter().copied()) {
            self.pieces.clear();
            for (index, (_, _, rows)) in shape.clone().enumerate() {
                let starts = (0..rows).step_by(ROWS);
                self.pieces.extend(starts.map(|row| (index, row..(row + ROWS).min(rows))));
            }
            self.layouts = pyramid.levels.iter().map(|level| Layout::new(cascade, level)).collect();
            self.shape = shape.collect();
        }
        let passed = self.pieces.par_iter().with_max_len(1).flat_map_iter(|(index, rows)| {
            let (mut passed, mut columns) = (Vec::new(), Vec::new());
            let (layout, level) = (&self.layouts[*index], &pyramid.levels[*index]);
            let scale = &level.scale;
            let (width, height) = (scale.side(cascade.width), scale.side(cascade.height));
            for row in rows.clone() {
                scan_row(layout, level, row, scale.windows(window).0, &mut columns);
                let y = scale.place(row);
                passed.extend(columns.drain(..).map(|column| Window {
                    x: scale.place(column),
                    y,
                    width,
                    height,
                }));
            }
            passed
        });
        found.clear();
        found.par_extend(passed);
    }
}

impl Layout {
    fn new(cascade: &Cascade, level: &Level) -> Self {
        let probe = |node: &super::cascade::Node, leaves: &[f32]| {
            let feature = &cascade.features[node.feature];
            let mut probe = Probe {
                corners: [[0; 4]; 3],
                weights: [0.0; 3],
                has_third: feature.rects.len() == 3,
                is_tilted: feature.tilted,
                threshold: node.threshold,
                below: answer(node.left, leaves),
                otherwise: answer(node.right, leaves),
            };
            let slots = probe.corners.iter_mut().zip(&mut probe.weights);
            for ((corners, weight), (rect, places)) in slots.zip(feature.rects.iter().zip(feature.corners()))
            {
                *corners = places.map(|(x, y)| level.offset(x, y) as u32);
                *weight = rect.weight;
            }
            probe
        };
        let stages = cascade.stages.iter().map(|stage| Stage {
            trees: cascade.trees[stage.trees.clone()]
                .iter()
                .map(|tree| tree.nodes.iter().map(|node| probe(node, &tree.leaves)).collect())
                .collect(),
            threshold: f64::from(stage.threshold),
        });
        let (right, bottom) = (cascade.width - 1, cascade.height - 1);
        Self {
            stages: stages.collect(),
            inner: [(1, 1), (right, 1), (1, bottom), (right, bottom)].map(|(x, y)| level.offset(x, y) as u32),
            area: ((cascade.width - 2) * (cascade.height - 2)) as f64,
        }
    }
}

fn answer(branch: Branch, leaves: &[f32]) -> Answer {
    match branch {
        Branch::Leaf(leaf) => Answer::Leaf(leaves[leaf]),
        Branch::Node(node) => Answer::Probe(node),
    }
}

/// Appends the columns of the windows of a row that pass.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn scan_row(layout: &Layout, level: &Level, row: usize, count: usize, hits: &mut Vec<usize>) {
    let start = row * level.scale.step * level.stride;
    let mut skip = 0;
    for column in (0..count).step_by(LANES) {
        let base = start + column;
        let (inverse, mut valid) = deviations(layout, level, base);
        valid &= u32::MAX >> (32 - (count - column).min(LANES));
        if valid == 0 {
            skip = 0;
            continue;
        }
        let first = valid & passing::<LANES>(&layout.stages[0], level, base, &inverse);
        let skipped;
        (skipped, skip) = after_refusals(valid & !first, skip);
        let mut active = first & !skipped;
        let mut stages = layout.stages[1..].iter();
        while active.count_ones() > FEW
            && let Some(stage) = stages.next()
        {
            active &= passing::<LANES>(stage, level, base, &inverse);
        }
        while active != 0 {
            let lane = active.trailing_zeros() as usize;
            active &= active - 1;
            let alone = [inverse[lane]];
            if stages.clone().all(|stage| passing::<1>(stage, level, base + lane, &alone) == 1) {
                hits.push(column + lane);
            }
        }
    }
}

/// The windows to pass by: each that follows one which is asked and refused. Bit 0 of `skip` says so of the
/// first one, and of the next group's first in the answer. In a run of refusals every second one is passed
/// by, so that the carry of an addition to the run's first bit tells where it ends (as simdjson finds escaped
/// characters, Langdale and Lemire 2019).
#[inline(always)]
fn after_refusals(refused: u32, skip: u32) -> (u32, u32) {
    const EVEN: u32 = 0x5555_5555;
    let refused = refused & !skip;
    let followers = refused << 1 | skip;
    let odd_starts = refused & !EVEN & !followers;
    let ends_on_even = (odd_starts + refused) << 1;
    let skipped = (EVEN ^ ends_on_even) & followers;
    (skipped, skipped >> LANES & 1)
}

/// The windows' inverse deviations, and a bit for each window that has texture enough to be asked.
#[inline(always)]
fn deviations(layout: &Layout, level: &Level, base: usize) -> ([f32; LANES], u32) {
    let [a, b, c, d] = layout.inner;
    let sum = |at: u32| lanes::<LANES, _>(&level.sum, base + at as usize);
    let (sa, sb, sc, sd) = (sum(a), sum(b), sum(c), sum(d));
    let squares = |at: u32| lanes::<LANES, _>(&level.squares, base + at as usize);
    let (qa, qb, qc, qd) = (squares(a), squares(b), squares(c), squares(d));
    let mut deviations = [0.0; LANES];
    for lane in 0..LANES {
        let total = f64::from(sa[lane] - sb[lane] - sc[lane] + sd[lane]);
        let squares = qa[lane].wrapping_sub(qb[lane]).wrapping_sub(qc[lane]).wrapping_add(qd[lane]);
        deviations[lane] = layout.area * f64::from(squares) - total * total;
    }
    let (mut inverse, mut valid) = ([1.0; LANES], 0);
    // OpenCV's bound on flat windows is area / deviation below 0.1; well below it, roots need not be taken.
    let flat = 0.99 * (10.0 * layout.area).powi(2);
    if deviations.iter().all(|deviation| *deviation < flat) {
        return (inverse, valid);
    }
    for lane in 0..LANES {
        inverse[lane] = (1.0 / deviations[lane].sqrt()) as f32;
    }
    for lane in 0..LANES {
        let is_textured = deviations[lane] > 0.0 && layout.area * f64::from(inverse[lane]) < 0.1;
        valid |= u32::from(is_textured) << lane;
    }
    (inverse, valid)
}

/// A bit for each window that passes the stage.
#[inline(always)]
fn passing<const N: usize>(stage: &Stage, level: &Level, base: usize, inverse: &[f32; N]) -> u32 {
    let mut sums = [0f64; N];
    for tree in &stage.trees {
        let answers = match tree.as_slice() {
            [stump] => ask::<N>(stump, level, base, inverse, &[]),
            [root, child] => {
                let child = ask::<N>(child, level, base, inverse, &[]);
                ask::<N>(root, level, base, inverse, &[[0.0; N], child])
            }
            probes => deep::<N>(probes, level, base, inverse),
        };
        for (sum, answer) in sums.iter_mut().zip(answers) {
            *sum += f64::from(answer);
        }
    }
    let mut passed = 0;
    for (lane, &sum) in sums.iter().enumerate() {
        passed |= u32::from(sum >= stage.threshold) << lane;
    }
    passed
}

/// A tree of any size, its last nodes first, since branches lead forward only.
fn deep<const N: usize>(probes: &[Probe], level: &Level, base: usize, inverse: &[f32; N]) -> [f32; N] {
    let mut answers = vec![[0.0; N]; probes.len()];
    for (index, probe) in probes.iter().enumerate().rev() {
        answers[index] = ask(probe, level, base, inverse, &answers);
    }
    answers.first().copied().unwrap_or([0.0; N])
}

/// What a node answers for each window, given the answers of the nodes after it.
#[inline(always)]
fn ask<const N: usize>(
    probe: &Probe,
    level: &Level,
    base: usize,
    inverse: &[f32; N],
    answers: &[[f32; N]],
) -> [f32; N] {
    let image = if probe.is_tilted { &level.tilted } else { &level.sum };
    let corners = |index: usize| probe.corners[index].map(|at| lanes::<N, _>(image, base + at as usize));
    let ([a0, b0, c0, d0], [a1, b1, c1, d1]) = (corners(0), corners(1));
    let [w0, w1, w2] = probe.weights;
    // One plain loop over the lanes each, which is what compilers make vector instructions of.
    let mut value = [0.0; N];
    if probe.has_third {
        let [a2, b2, c2, d2] = corners(2);
        for lane in 0..N {
            let first = (a0[lane] - b0[lane] - c0[lane] + d0[lane]) as f32;
            let second = (a1[lane] - b1[lane] - c1[lane] + d1[lane]) as f32;
            let third = (a2[lane] - b2[lane] - c2[lane] + d2[lane]) as f32;
            value[lane] = w0 * first + w1 * second + w2 * third;
        }
    } else {
        for lane in 0..N {
            let first = (a0[lane] - b0[lane] - c0[lane] + d0[lane]) as f32;
            let second = (a1[lane] - b1[lane] - c1[lane] + d1[lane]) as f32;
            value[lane] = w0 * first + w1 * second;
        }
    }
    let of = |answer: Answer| match answer {
        Answer::Leaf(leaf) => [leaf; N],
        Answer::Probe(probe) => answers.get(probe).copied().unwrap_or([0.0; N]),
    };
    let (below, otherwise) = (of(probe.below), of(probe.otherwise));
    let mut answer = [0.0; N];
    for lane in 0..N {
        let is_below = value[lane] * inverse[lane] < probe.threshold;
        answer[lane] = if is_below { below[lane] } else { otherwise[lane] };
    }
    answer
}

/// `N` neighbours of an integral image.
#[inline(always)]
fn lanes<const N: usize, T>(image: &[T], at: usize) -> &[T; N] {
    const { assert!(N <= SLACK) };
    debug_assert!(at + N <= image.len());
    // SAFETY: corners lie in the window (`Cascade::new`) and windows in the image (`Level::windows`), whose buffer is
    // longer by `SLACK` than its last row.
    #[allow(unsafe_code)]
    unsafe {
        &*image.as_ptr().add(at).cast::<[T; N]>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_after_a_refusal_is_passed_by(refused in 0u32..1 << LANES, skip in 0u32..2) {
            let (mut expected, mut skipping) = (0, skip == 1);
            for lane in 0..LANES {
                if skipping {
                    expected |= 1 << lane;
                    skipping = false;
                } else {
                    skipping = refused >> lane & 1 == 1;
                }
            }
            let (skipped, next) = after_refusals(refused, skip);
            prop_assert_eq!(skipped & ((1 << LANES) - 1), expected);
            prop_assert_eq!(next, u32::from(skipping));
        }
    }
}
