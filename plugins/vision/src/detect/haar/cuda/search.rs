//! What is sent to the device, what is launched there, and what is read back. Everything here is 4-byte
//! words, laid out as the structures in `haar.cu`.

use ferroflow_cuda::{Argument, CudaError, Gpu};

use crate::{
    detect::haar::{
        cascade::{Branch, Cascade},
        pyramid::{Scale, Shape, scales, tap},
        scan::Window,
    },
    frame::Plane,
};

/// All kernels of `haar.cu`.
pub const KERNELS: [&str; 12] = [
    "sum_columns",
    "sum_rows",
    "sum_tilted",
    "first_stage",
    "visit",
    "later_stages",
    "late_trees",
    "late_stages",
    "place",
    "unite",
    "add_up",
    "answer",
];

/// Stages after which the windows that are left are gathered anew, so that neighbouring threads have work to do: most
/// windows go in the first few.
const GATHER_AFTER: [usize; 4] = [3, 6, 10, 16];

/// The first of the stages whose trees are asked side by side, all that are between two gatherings: what is
/// asked in vain costs less than hundreds of trees one after the other.
const LATE: usize = 10;

/// Answers of late trees that there is room for, enough for some thousand windows; what is beyond is asked without.
pub const ANSWERS: usize = 1 << 23;

/// Threads of kernels that share a list whose length only the device knows: some for each of a large device's lanes.
const MANY: usize = 1 << 15;

/// Words of a `Face`.
const FACE: usize = 5;

/// Bytes of a list's length: the lists after `visit` and after each gathering, then the faces.
const LENGTHS: usize = 4 * (GATHER_AFTER.len() + 3);

/// A cascade on a device, and memory for the frame size seen last.
pub struct Search<G: Gpu> {
    stages: G::Memory,
    trees: G::Memory,
    leaves: G::Memory,
    inner: G::Memory,
    lengths: G::Memory,
    answers: (G::Memory, usize),
    frame: Option<FrameMemory<G>>,
    words: Vec<u8>,
    faces: Vec<(Window, u32)>,
}

/// Memory for one frame size.
struct FrameMemory<G: Gpu> {
    shape: Shape,
    /// Bytes from row to row of the frame, numbers from row to row of the integral images.
    strides: (usize, usize),
    counts: Counts,
    nodes: G::Memory,
    levels: G::Memory,
    across: G::Memory,
    down: G::Memory,
    luma: G::Memory,
    sums: G::Memory,
    squares: G::Memory,
    tilted: G::Memory,
    inverses: G::Memory,
    states: G::Memory,
    lists: [G::Memory; 2],
    windows: G::Memory,
    parents: G::Memory,
    groups: G::Memory,
    faces: G::Memory,
}

/// How many there are of each, over all levels.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    levels: usize,
    windows: usize,
    window_rows: usize,
    sums: usize,
    pixel_columns: usize,
    pixel_rows: usize,
}

impl<G: Gpu> Search<G> {
    /// Sends the cascade to the device, with room for so many answers of late trees.
    pub fn new(gpu: &mut G, cascade: &Cascade, room: usize) -> Result<Self, CudaError> {
        let (mut stages, mut trees, mut leaves, mut first_node) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for stage in &cascade.stages {
            stages.extend([stage.trees.start as u32, stage.trees.len() as u32, stage.threshold.to_bits()]);
        }
        for tree in &cascade.trees {
            trees.push(first_node);
            first_node += tree.nodes.len() as u32;
            leaves.extend(tree.leaves.iter().map(|leaf| leaf.to_bits()));
        }
        let lengths = gpu.reserve(LENGTHS)?;
        let room = if cascade.stages.len() > LATE { room } else { 1 };
        let answers = (gpu.reserve(4 * room)?, room);
        Ok(Self {
            stages: send(gpu, &stages)?,
            trees: send(gpu, &trees)?,
            leaves: send(gpu, &leaves)?,
            inner: gpu.reserve(4 * 4)?,
            lengths,
            answers,
            frame: None,
            words: Vec::new(),
            faces: Vec::new(),
        })
    }

    /// The faces of the last run with the number of windows that agreed, in no particular order.
    pub fn faces(&self) -> &[(Window, u32)] {
        &self.faces
    }

    /// Searches a gray image of the shape's size.
    pub fn run(
        &mut self,
        gpu: &mut G,
        cascade: &Cascade,
        luma: Plane<'_>,
        shape: Shape,
        min_neighbors: u32,
    ) -> Result<(), CudaError> {
        self.faces.clear();
        if self.frame.as_ref().is_none_or(|frame| frame.shape != shape || frame.strides.0 != luma.stride) {
            self.frame = None;
            self.frame = Some(FrameMemory::new(gpu, cascade, shape, luma.stride, &mut self.inner)?);
        }
        let Some(frame) = &mut self.frame else { return Ok(()) };
        if frame.counts.windows == 0 {
            return Ok(());
        }
        gpu.write(&mut frame.luma, luma.data)?;
        gpu.clear(&mut self.lengths)?;
        let found = self.find(gpu, cascade)?;
        let faces = self.group(gpu, found, min_neighbors)?;
        self.read(gpu, faces, min_neighbors == 0)
    }

    /// Finds the windows that pass and answers the number of the list that has them.
    fn find(&mut self, gpu: &mut G, cascade: &Cascade) -> Result<usize, CudaError> {
        let Self { stages, trees, leaves, inner, lengths, answers, frame: Some(frame), .. } = self else {
            return Ok(0);
        };
        let counts = frame.counts;
        let count = |n: usize| Argument::Int(n as i32);
        let at = |memory| Argument::Memory(memory, 0);
        let (levels, stride) = (count(counts.levels), count(frame.strides.1));
        gpu.launch(
            "sum_columns",
            counts.pixel_columns,
            &[
                count(counts.pixel_columns),
                levels,
                at(&frame.levels),
                at(&frame.across),
                at(&frame.down),
                at(&frame.luma),
                count(frame.strides.0),
                stride,
                at(&frame.sums),
                at(&frame.squares),
            ],
        )?;
        gpu.launch(
            "sum_rows",
            counts.pixel_rows,
            &[
                count(counts.pixel_rows),
                levels,
                at(&frame.levels),
                stride,
                at(&frame.sums),
                at(&frame.squares),
            ],
        )?;
        if frame.shape.tilted {
            gpu.launch(
                "sum_tilted",
                counts.pixel_rows,
                &[
                    count(counts.pixel_rows),
                    levels,
                    at(&frame.levels),
                    stride,
                    at(&frame.sums),
                    at(&frame.tilted),
                ],
            )?;
        }
        let (width, height) = (cascade.width - 2, cascade.height - 2);
        gpu.launch(
            "first_stage",
            counts.windows,
            &[
                count(counts.windows),
                levels,
                at(&frame.levels),
                stride,
                at(inner),
                Argument::Double((width * height) as f64),
                at(stages),
                at(trees),
                at(&frame.nodes),
                at(leaves),
                at(&frame.sums),
                at(&frame.squares),
                at(&frame.tilted),
                at(&frame.inverses),
                at(&frame.states),
            ],
        )?;
        gpu.launch(
            "visit",
            counts.window_rows,
            &[
                count(counts.window_rows),
                levels,
                at(&frame.levels),
                at(&frame.states),
                at(&frame.lists[0]),
                at(lengths),
            ],
        )?;
        let last = cascade.stages.len();
        let bounds = GATHER_AFTER.into_iter().filter(|&stage| stage < last).chain([last]);
        let (mut from, mut list) = (1, 0);
        for to in bounds {
            let (listed, passed) = (at(&frame.lists[list % 2]), at(&frame.lists[(list + 1) % 2]));
            let length = Argument::Memory(lengths, 4 * list);
            let passed_length = Argument::Memory(lengths, 4 * (list + 1));
            let (nodes, sums) = (at(&frame.nodes), at(&frame.sums));
            let (tilted, inverses) = (at(&frame.tilted), at(&frame.inverses));
            let (threads, stride, table) = (count(MANY), count(frame.strides.1), at(&frame.levels));
            let asked = [count(from.min(to)), count(to)];
            let of_trees = [at(trees), nodes, at(leaves), sums, tilted, inverses, listed, length];
            if from < LATE {
                let before = [threads, levels, table, stride, asked[0], asked[1], at(stages)];
                let arguments = [&before[..], &of_trees[..], &[passed, passed_length]].concat();
                gpu.launch("later_stages", MANY, &arguments)?;
            } else {
                let range = cascade.stages.get(from..to).unwrap_or_default();
                let first_tree = range.first().map_or(0, |stage| stage.trees.start);
                let tree_count: usize = range.iter().map(|stage| stage.trees.len()).sum();
                let most = count(answers.1 / tree_count.max(1));
                let before = [threads, levels, table, stride];
                let asked_trees = [count(first_tree), count(tree_count), most];
                let arguments = [&before[..], &asked_trees, &of_trees, &[at(&answers.0)]].concat();
                gpu.launch("late_trees", MANY, &arguments)?;
                let of_stages = [asked[0], asked[1], count(tree_count), most, at(&answers.0), at(stages)];
                let arguments = [&before[..], &of_stages, &of_trees, &[passed, passed_length]].concat();
                gpu.launch("late_stages", MANY, &arguments)?;
            }
            (from, list) = (to, list + 1);
        }
        Ok(list)
    }

    /// Groups the windows of a list and answers where the number of answers stands.
    fn group(&mut self, gpu: &mut G, list: usize, min_neighbors: u32) -> Result<usize, CudaError> {
        let Self { lengths, frame: Some(frame), .. } = self else { return Ok(0) };
        let count = |n: usize| Argument::Int(n as i32);
        let at = |memory| Argument::Memory(memory, 0);
        let length = Argument::Memory(&*lengths, 4 * list);
        let most = count(frame.counts.windows);
        gpu.launch(
            "place",
            MANY,
            &[
                count(MANY),
                count(frame.counts.levels),
                at(&frame.levels),
                at(&frame.lists[list % 2]),
                length,
                most,
                at(&frame.windows),
                at(&frame.parents),
                at(&frame.groups),
            ],
        )?;
        if min_neighbors == 0 {
            return Ok(list);
        }
        let (windows, parents, groups) = (at(&frame.windows), at(&frame.parents), at(&frame.groups));
        gpu.launch("unite", MANY, &[count(MANY), length, most, windows, parents])?;
        gpu.launch("add_up", MANY, &[count(MANY), length, most, windows, parents, groups])?;
        let faces = GATHER_AFTER.len() + 2;
        gpu.launch(
            "answer",
            MANY,
            &[
                count(MANY),
                length,
                most,
                Argument::Int(i32::try_from(min_neighbors).unwrap_or(i32::MAX)),
                groups,
                at(&frame.faces),
                Argument::Memory(lengths, 4 * faces),
            ],
        )?;
        Ok(faces)
    }

    /// Reads the answers: groups, or windows where they are not to be grouped.
    fn read(&mut self, gpu: &mut G, counter: usize, are_windows: bool) -> Result<(), CudaError> {
        let Self { lengths, frame: Some(frame), words, faces, .. } = self else { return Ok(()) };
        let mut counters = [0; LENGTHS];
        gpu.read(lengths, &mut counters)?;
        let count = counters.as_chunks::<4>().0.get(counter).map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        let count = usize::try_from(count).unwrap_or(0).min(frame.counts.windows);
        words.resize(4 * FACE * count, 0);
        gpu.read(if are_windows { &frame.windows } else { &frame.faces }, words)?;
        faces.extend(words.as_chunks::<{ 4 * FACE }>().0.iter().map(|face| {
            let word = |index: usize| {
                face.as_chunks::<4>().0.get(index).map_or(0, |bytes| i32::from_ne_bytes(*bytes))
            };
            let window = Window { x: word(0), y: word(1), width: word(2), height: word(3) };
            (window, u32::try_from(word(4)).unwrap_or(0))
        }));
        Ok(())
    }
}

impl<G: Gpu> FrameMemory<G> {
    fn new(
        gpu: &mut G,
        cascade: &Cascade,
        shape: Shape,
        luma_stride: usize,
        inner: &mut G::Memory,
    ) -> Result<Self, CudaError> {
        let scales = scales(&shape);
        let stride = scales.iter().map(|scale| scale.size.0 + 1).max().unwrap_or(1);
        let (mut counts, mut levels) = (Counts { levels: scales.len(), ..Counts::default() }, Vec::new());
        let (mut across, mut down) = (Vec::new(), Vec::new());
        for scale in &scales {
            let (columns, rows) = scale.windows(shape.window);
            levels.extend(level(scale, (columns, rows), &counts, shape.window));
            counts.windows += columns * rows;
            counts.window_rows += rows;
            counts.sums += stride * (scale.size.1 + 1);
            counts.pixel_columns += scale.size.0;
            counts.pixel_rows += scale.size.1;
            taps(&mut across, scale.size.0, shape.size.0);
            taps(&mut down, scale.size.1, shape.size.1);
        }
        if i32::try_from(counts.sums.max(counts.windows * FACE)).is_err() {
            let (width, height) = shape.size;
            return Err(CudaError::Failed(format!(
                "a frame of {width}x{height} is too large for this search"
            )));
        }
        let (right, bottom) = (shape.window.0 - 1, shape.window.1 - 1);
        let corners = [(1, 1), (right, 1), (1, bottom), (right, bottom)];
        gpu.write(inner, &bytes(&corners.map(|(x, y)| (y * stride + x) as u32)))?;
        let reserve = |gpu: &mut G, count: usize| gpu.reserve(4 * count);
        Ok(Self {
            shape,
            strides: (luma_stride, stride),
            counts,
            nodes: send(gpu, &nodes(cascade, stride))?,
            levels: send(gpu, &levels)?,
            across: send(gpu, &across)?,
            down: send(gpu, &down)?,
            luma: gpu.reserve(luma_stride * shape.size.1)?,
            sums: reserve(gpu, counts.sums)?,
            squares: reserve(gpu, counts.sums)?,
            tilted: reserve(gpu, if shape.tilted { counts.sums } else { 1 })?,
            inverses: reserve(gpu, counts.windows)?,
            states: gpu.reserve(counts.windows)?,
            lists: [reserve(gpu, counts.windows)?, reserve(gpu, counts.windows)?],
            windows: reserve(gpu, counts.windows * FACE)?,
            parents: reserve(gpu, counts.windows)?,
            groups: reserve(gpu, counts.windows * FACE)?,
            faces: reserve(gpu, counts.windows * FACE)?,
        })
    }
}

/// A `Level`; `before` counts the levels before it.
fn level(
    scale: &Scale,
    (columns, rows): (usize, usize),
    before: &Counts,
    window: (usize, usize),
) -> [u32; 13] {
    let (width, height) = scale.size;
    let sides = [scale.side(window.0), scale.side(window.1)].map(|side| side as u32);
    let [width, height, step, columns, rows] = [width, height, scale.step, columns, rows].map(|n| n as u32);
    let firsts = [before.windows, before.window_rows, before.sums, before.pixel_columns, before.pixel_rows]
        .map(|n| n as u32);
    let [first_window, first_row, first_sum, first_column, first_pixel_row] = firsts;
    let [face_width, face_height] = sides;
    [
        width,
        height,
        step,
        columns,
        rows,
        first_window,
        first_row,
        first_sum,
        first_column,
        first_pixel_row,
        face_width,
        face_height,
        scale.factor.to_bits(),
    ]
}

fn taps(words: &mut Vec<u32>, reduced: usize, length: usize) {
    words.extend(
        (0..reduced)
            .map(|index| tap(index, length, reduced))
            .flat_map(|tap| [tap.first, tap.second, tap.weight]),
    );
}

/// All `Node`s, for integral images of this stride.
fn nodes(cascade: &Cascade, stride: usize) -> Vec<u32> {
    let (mut words, mut first_node, mut first_leaf) = (Vec::new(), 0, 0);
    for tree in &cascade.trees {
        let branch = |branch: Branch| match branch {
            Branch::Node(node) => (first_node + node) as i32,
            Branch::Leaf(leaf) => -1 - (first_leaf + leaf) as i32,
        };
        for node in &tree.nodes {
            let feature = &cascade.features[node.feature];
            let corners = feature.corners();
            let places = corners.iter().flatten().map(|&(x, y)| (y * stride + x) as u32);
            words.extend(places.chain(std::iter::repeat(0)).take(12));
            words.extend(feature.rects.iter().map(|rect| rect.weight.to_bits()).chain([0]).take(3));
            words.push(node.threshold.to_bits());
            words.extend([branch(node.left), branch(node.right)].map(|branch| branch as u32));
            words.extend([u32::from(feature.rects.len() == 3), u32::from(feature.tilted)]);
        }
        first_node += tree.nodes.len();
        first_leaf += tree.leaves.len();
    }
    words
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn send<G: Gpu>(gpu: &mut G, words: &[u32]) -> Result<G::Memory, CudaError> {
    let mut memory = gpu.reserve(4 * words.len())?;
    gpu.write(&mut memory, &bytes(words))?;
    Ok(memory)
}
