//! Shows faces with another expression: a CycleGAN's generator, an ONNX file, repaints them where they lie in the frame.
//!
//! A generator takes gray faces, (N, 1, H, W) in -1..1, and answers faces of the same shape and range. Only the change of
//! brightness goes back into the frame, enlarged to the face's size, so that colours and what is finer than the
//! generator's pixels stay.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    align::{Alignment, Crop},
    face::Detection,
    frame::{Frame, FrameMut, PixelFormat},
    inference::{InferenceError, Output, SessionOptions, SharedSession, TensorInfo, listed},
    sample::{ImageSpec, Sampler},
};

/// Longest side of a generator's faces: far above any that trains, far below what a file can claim.
const LONGEST_SIDE: i64 = 4096;

/// Share of the side, at each border, over which the change fades out.
const FEATHER: f32 = 0.1;

/// The gray level that a generator calls 0, and the distance from there to 1.
const HALF: f32 = 127.5;

/// Why a generator could not be opened or failed.
#[derive(Debug, Error)]
pub enum TranslationError {
    /// There is no such file.
    #[error("the generator {} is not there: name the ONNX file of a CycleGAN's generator", path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// The network cannot be loaded, is no generator, or failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// Gives faces another expression, all faces of a frame in one run of the network.
#[derive(Debug)]
pub struct FaceTranslator {
    session: Arc<SharedSession>,
    /// A face as the generator takes it.
    spec: ImageSpec,
    /// Most faces in one run; 1 for models exported with a batch of one.
    batch_size: usize,
    sampler: Sampler,
    crops: Vec<Crop>,
    /// The faces of one run.
    input: Vec<f32>,
    /// All faces of a frame as the generator answered them.
    translated: Vec<f32>,
    /// Gray levels to add to one face.
    change: Vec<f32>,
    /// The same for one row of the frame.
    line: Vec<f32>,
}

impl FaceTranslator {
    /// Opens the generator, reads from it how large its faces are, and checks that it answers faces of that size.
    ///
    /// `batch_size`, which stands in for the options' own, limits the faces of one run.
    pub fn open(path: &Path, options: &SessionOptions, batch_size: usize) -> Result<Self, TranslationError> {
        if !path.is_file() {
            return Err(TranslationError::NoFile { path: path.to_owned() });
        }
        let session = SharedSession::open(path, &SessionOptions { batch_size, ..options.clone() })?;
        let (height, width, one_by_one) =
            face_size(session.inputs(), session.outputs()).map_err(|reason| session.misfit(reason))?;
        Ok(Self {
            spec: ImageSpec { scale: 1.0 / HALF, mean: [1.0; 3], ..ImageSpec::gray(width, height) },
            batch_size: if one_by_one { 1 } else { batch_size.max(1) },
            session,
            sampler: Sampler::default(),
            crops: Vec::new(),
            input: Vec::new(),
            translated: Vec::new(),
            change: Vec::new(),
            line: Vec::new(),
        })
    }

    /// Model, size of its faces and device, for logs.
    pub fn describe(&self) -> String {
        let ImageSpec { width, height, .. } = self.spec;
        format!("{} ({width}x{height}) on {}", self.session.name(), self.session.device())
    }

    /// Repaints the faces and answers how many there were to repaint: those without any pixel in the frame are none.
    ///
    /// Faces are cut out as the expression classifier cuts them out. `strength` is the share of the change, 0 to 1. Where
    /// faces overlap, the later one covers the earlier. On an error the frame is as it was.
    pub fn translate<'a>(
        &mut self,
        frame: &mut FrameMut<'_>,
        faces: impl IntoIterator<Item = &'a Detection>,
        strength: f32,
    ) -> Result<usize, TranslationError> {
        self.crops.clear();
        if strength > 0.0 {
            let crops = faces.into_iter().map(|face| Crop::of(face, Alignment::Level, 0.0));
            self.crops.extend(crops.filter(|crop| Patch::new(crop, &frame.as_frame()).is_some()));
        }
        self.run(&frame.as_frame())?;
        let plain = ImageSpec::gray(self.spec.width, self.spec.height);
        self.change.resize(plain.len(), 0.0);
        for (crop, face) in self.crops.iter().zip(self.translated.chunks_exact(plain.len())) {
            // Looked at again, for an earlier face may have changed it.
            self.sampler.sample_crop(&frame.as_frame(), crop, &plain, &mut self.change);
            for (change, value) in self.change.iter_mut().zip(face) {
                *change = strength.min(1.0) * (((value + 1.0) * HALF).clamp(0.0, 255.0) - *change);
            }
            if let Some(patch) = Patch::new(crop, &frame.as_frame()) {
                patch.add(frame, &Field { values: &self.change, spec: &plain }, &mut self.line);
            }
        }
        Ok(self.crops.len())
    }

    /// Width and height of the generator's faces.
    pub const fn size(&self) -> (usize, usize) {
        (self.spec.width, self.spec.height)
    }

    /// Translates gray faces of the generator's own size (faces x height x width, 0 black to 255 white) to as many. What is
    /// left over of a face is left out.
    pub fn translate_gray(&mut self, pixels: &[u8]) -> Result<Vec<u8>, TranslationError> {
        self.translated.clear();
        let (length, batch_size) = (self.spec.len(), self.batch_size);
        let whole = pixels.len() - pixels.len() % length;
        for faces in pixels[..whole].chunks(batch_size * length) {
            self.input.clear();
            self.input.extend(faces.iter().map(|pixel| f32::from(*pixel) / HALF - 1.0));
            self.answer()?;
        }
        self.check()?;
        let gray = |value: &f32| ((value + 1.0) * HALF).round().clamp(0.0, 255.0) as u8;
        Ok(self.translated.iter().map(gray).collect())
    }

    /// Fills `translated` with the generator's answers for all crops.
    fn run(&mut self, frame: &Frame<'_>) -> Result<(), TranslationError> {
        let length = self.spec.len();
        self.translated.clear();
        for from in (0..self.crops.len()).step_by(self.batch_size) {
            let crops = &self.crops[from..self.crops.len().min(from + self.batch_size)];
            self.input.resize(length * crops.len(), 0.0);
            for (crop, image) in crops.iter().zip(self.input.chunks_exact_mut(length)) {
                self.sampler.sample_crop(frame, crop, &self.spec, image);
            }
            self.answer()?;
        }
        self.check()
    }

    /// Adds to `translated` what the generator answers to the faces in `input`.
    fn answer(&mut self) -> Result<(), TranslationError> {
        let length = self.spec.len();
        let faces = self.input.len() / length;
        let shape = [faces, 1, self.spec.height, self.spec.width];
        let (translated, wanted) = (&mut self.translated, self.input.len());
        let answered = self.session.run(shape, &mut self.input, |outputs| {
            let values = outputs.first().map_or(&[][..], |output: &Output<'_>| output.values);
            if values.len() == wanted {
                translated.extend_from_slice(values);
            }
            values.len()
        })?;
        if answered != wanted {
            let reason = format!("{faces} faces of {length} values went in, {answered} values came out");
            return Err(self.session.failed(reason).into());
        }
        Ok(())
    }

    /// Refuses answers that are no brightness.
    fn check(&self) -> Result<(), TranslationError> {
        match self.translated.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(self.session.failed(format!("it answered {value}, which is no brightness")).into())
            }
            None => Ok(()),
        }
    }
}

/// Height and width of a generator's faces, and whether it takes them only one by one; or why it is no generator.
fn face_size(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Result<(usize, usize, bool), String> {
    let free_or_one = |side: i64| side == -1 || side == 1;
    let sides = match inputs {
        [input] => match *input.shape {
            [batch, 1, height, width]
                if free_or_one(batch)
                    && (1..=LONGEST_SIDE).contains(&height)
                    && (1..=LONGEST_SIDE).contains(&width) =>
            {
                Some((batch, height, width))
            }
            _ => None,
        },
        _ => None,
    };
    let Some((batch, height, width)) = sides else {
        return Err(format!(
            "a generator takes one input of [N, 1, height, width] with N free or 1, height and width fixed (1 to \
             {LONGEST_SIDE}), found {}; export a generator of gray faces so",
            listed(inputs)
        ));
    };
    // Sides that the exporter left open are checked with each answer.
    let fits = |shape: &[i64]| match *shape {
        [n, one, h, w] => {
            free_or_one(n) && free_or_one(one) && (h == height || h == -1) && (w == width || w == -1)
        }
        _ => false,
    };
    match outputs {
        [output] if fits(&output.shape) => Ok((height as usize, width as usize, batch == 1)),
        outputs => Err(format!(
            "it takes faces of {width}x{height}, so one output of [N, 1, {height}, {width}] is needed, found {}",
            listed(outputs)
        )),
    }
}

/// Gray levels to add, over the whole of a crop.
struct Field<'a> {
    values: &'a [f32],
    spec: &'a ImageSpec,
}

impl Field<'_> {
    /// The value between four, at a place in the crop: 0 to 1 across and down.
    fn at(&self, across: f32, down: f32) -> f32 {
        let ImageSpec { width, height, .. } = *self.spec;
        let (left, right, x) = neighbours(across, width);
        let (upper, lower, y) = neighbours(down, height);
        let value = |row: usize, column: usize| self.values.get(row * width + column).copied().unwrap_or(0.0);
        let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
        mix(
            mix(value(upper, left), value(upper, right), x),
            mix(value(lower, left), value(lower, right), x),
            y,
        )
    }
}

/// The two samples next to a place from 0 to 1 on an axis of `size` samples, and the second one's weight.
fn neighbours(place: f32, size: usize) -> (usize, usize, f32) {
    let last = size.saturating_sub(1);
    let position = (place * size as f32 - 0.5).clamp(0.0, last as f32);
    let first = position as usize;
    (first, (first + 1).min(last), position - first as f32)
}

/// How much of the change is shown at a place from 0 to 1 between two borders: none outside, all of it from a tenth on.
fn fade(place: f32) -> f32 {
    let depth = (place.min(1.0 - place) / FEATHER).clamp(0.0, 1.0);
    depth * depth * (3.0 - 2.0 * depth)
}

/// The pixels of a frame that a crop covers, and the way from a pixel back into the crop.
struct Patch {
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    corner: [f32; 2],
    /// A pixel to the right and a pixel down, as shares of the crop's edge across.
    across: [f32; 2],
    /// The same as shares of the edge down.
    down: [f32; 2],
}

impl Patch {
    /// None for a crop outside the frame, of less than a pixel, or that arithmetic cannot be done with.
    fn new(crop: &Crop, frame: &Frame<'_>) -> Option<Self> {
        let Crop { corner, across, down } = *crop;
        let area = across.x * down.y - across.y * down.x;
        if !(area.is_finite() && area >= 1.0) {
            return None;
        }
        // Casts from floats stop at the ends of what an integer holds.
        let range = |start: f32, one: f32, other: f32, length: usize| {
            let (least, most) =
                (start + one.min(0.0) + other.min(0.0), start + one.max(0.0) + other.max(0.0));
            let range = least.floor() as usize..(most.ceil() as usize).min(length);
            (least.is_finite() && most.is_finite() && !range.is_empty()).then_some(range)
        };
        Some(Self {
            columns: range(corner.x, across.x, down.x, frame.width())?,
            rows: range(corner.y, across.y, down.y, frame.height())?,
            corner: [corner.x, corner.y],
            across: [down.y / area, -down.x / area],
            down: [-across.y / area, across.x / area],
        })
    }

    /// Adds the field to the frame's brightness, less and less towards the crop's borders.
    fn add(&self, frame: &mut FrameMut<'_>, field: &Field<'_>, line: &mut Vec<f32>) {
        line.resize(self.columns.len(), 0.0);
        for y in self.rows.clone() {
            let below = y as f32 + 0.5 - self.corner[1];
            for (x, value) in self.columns.clone().zip(line.iter_mut()) {
                let beside = x as f32 + 0.5 - self.corner[0];
                let across = self.across[0] * beside + self.across[1] * below;
                let down = self.down[0] * beside + self.down[1] * below;
                let weight = fade(across) * fade(down);
                *value = if weight > 0.0 { weight * field.at(across, down) } else { 0.0 };
            }
            add_line(frame, y, self.columns.start, line);
        }
    }
}

/// Adds gray levels to the pixels of row `y` from column `start` on.
fn add_line(frame: &mut FrameMut<'_>, y: usize, start: usize, line: &[f32]) {
    let (format, k) = (frame.as_frame().format(), frame.as_frame().encoding().coefficients());
    let row = frame.first_row_mut(y);
    if let PixelFormat::Packed { pixel_stride, red, green, blue } = format {
        let pixels = row.get_mut(start * pixel_stride..).unwrap_or_default();
        for (pixel, change) in pixels.chunks_exact_mut(pixel_stride).zip(line) {
            for channel in [red, green, blue] {
                if let Some(value) = pixel.get_mut(channel) {
                    *value = changed(*value, *change, 0.0, 255.0);
                }
            }
        }
        return;
    }
    let (black, gain) = if format == PixelFormat::Gray8 { (0.0, 1.0) } else { (k.offset, k.gain) };
    let white = black + 255.0 / gain;
    for (value, change) in row.get_mut(start..).unwrap_or_default().iter_mut().zip(line) {
        *value = changed(*value, change / gain, black, white);
    }
}

/// A sample with `change` added, between black and white unless it lay beyond before.
fn changed(value: u8, change: f32, black: f32, white: f32) -> u8 {
    let value = f32::from(value);
    (value + change).clamp(black.min(value), white.max(value)).round() as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use ferroflow_onnx::{GraphBuilder, Side};

    use crate::{
        frame::{PlaneMut, YuvEncoding},
        geometry::{Point, Rect},
        inference::Device,
    };

    const SIDE: usize = 16;
    const FREE: Side = Side::Free("faces");

    const FORMATS: [PixelFormat; 7] = [
        PixelFormat::I420,
        PixelFormat::Yv12,
        PixelFormat::Nv12,
        PixelFormat::Nv21,
        PixelFormat::Gray8,
        PixelFormat::BGR,
        PixelFormat::RGBX,
    ];

    /// A network of one operation.
    fn network(operation: &str, input: &[Side], output: &[Side]) -> (TempDir, PathBuf) {
        let mut graph = GraphBuilder::default();
        graph.input("face", input);
        graph.node(operation, "translated", &["face"], vec![]);
        graph.output("translated", output);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generator.onnx");
        std::fs::write(&path, graph.finish("generator")).unwrap();
        (folder, path)
    }

    fn try_open(path: &Path, batch_size: usize) -> Result<FaceTranslator, TranslationError> {
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        FaceTranslator::open(path, &options, batch_size)
    }

    fn generator(operation: &str, batch: Side) -> FaceTranslator {
        let sides = [batch, Side::Fixed(1), Side::Fixed(SIDE), Side::Fixed(SIDE)];
        let (_folder, path) = network(operation, &sides, &sides);
        try_open(&path, 3).unwrap()
    }

    /// A frame's planes one behind the other, as values between black and white that change slowly.
    #[derive(Clone, PartialEq)]
    struct Picture {
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: [Vec<u8>; 3],
    }

    impl Picture {
        fn new(format: PixelFormat, width: usize, height: usize) -> Self {
            let mut planes = [const { Vec::new() }; 3];
            for (plane, (row, rows)) in planes.iter_mut().zip(format.plane_sizes(width, height)) {
                plane.extend((0..rows).flat_map(|y| (0..row).map(move |x| (60 + x / 2 + y) as u8)));
            }
            Self { format, width, height, planes }
        }

        fn translate(
            &mut self,
            translator: &mut FaceTranslator,
            faces: &[Detection],
            strength: f32,
        ) -> usize {
            let strides = self.format.plane_sizes(self.width, self.height);
            let mut strides = strides.iter().map(|(row, _)| *row);
            let planes =
                self.planes.each_mut().map(|data| PlaneMut { data, stride: strides.next().unwrap_or(0) });
            let encoding = YuvEncoding::default();
            let mut frame = FrameMut::new(self.format, self.width, self.height, planes, encoding).unwrap();
            translator.translate(&mut frame, faces, strength).unwrap()
        }

        /// Columns and rows in which the first plane differs.
        fn changes(&self, before: &Self) -> Vec<(usize, usize)> {
            assert!(self.planes[1..] == before.planes[1..], "{:?}: chroma has changed", self.format);
            let (row, _) = self.format.plane_sizes(self.width, self.height)[0];
            let pairs = self.planes[0].iter().zip(&before.planes[0]).enumerate();
            pairs
                .filter(|(_, (a, b))| a != b)
                .map(|(at, _)| (at % row * self.width / row, at / row))
                .collect()
        }
    }

    fn face(x: f32, y: f32, width: f32, height: f32) -> Detection {
        Detection { box_in_frame: Rect::new(x, y, width, height), confidence: 1.0, landmarks_in_frame: None }
    }

    #[test]
    fn the_middle_of_a_face_becomes_its_negative_in_every_format_and_all_else_stays() {
        let mut translator = generator("Neg", FREE);
        for format in FORMATS {
            let before = Picture::new(format, 64, 48);
            let mut after = before.clone();
            assert_eq!(after.translate(&mut translator, &[face(20.0, 10.0, 16.0, 16.0)], 1.0), 1);
            let inside = |&(x, y): &(usize, usize)| (20..36).contains(&x) && (10..26).contains(&y);
            let changes = after.changes(&before);
            assert!(changes.iter().all(inside), "{format:?}: {changes:?}");
            let (row, _) = format.plane_sizes(64, 48)[0];
            let at = 18 * row + 28 * (row / 64);
            let (was, is) = (f32::from(before.planes[0][at]), f32::from(after.planes[0][at]));
            let expected = match format {
                PixelFormat::Gray8 => 255.0 - was,
                // The negative of the brightness, which for these pixels is nearly that of each channel.
                PixelFormat::Packed { .. } => 255.0 - was,
                _ => 16.0 + 235.0 - was,
            };
            assert!((is - expected).abs() <= 3.0, "{format:?}: {was} became {is}, not {expected}");
        }
    }

    #[test]
    fn colours_keep_their_distances() {
        let mut before = Picture::new(PixelFormat::RGB, 40, 40);
        before.planes[0].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&[120, 90, 80]));
        let mut after = before.clone();
        after.translate(&mut generator("Neg", FREE), &[face(5.0, 5.0, 30.0, 30.0)], 1.0);
        // Gray 97.8 becomes 157.2.
        let middle = 3 * (20 * 40 + 20);
        assert_eq!(after.planes[0][middle..middle + 3], [179, 149, 139]);
    }

    #[test]
    fn strength_blends_from_the_frame_as_it_was() {
        let mut translator = generator("Neg", FREE);
        let before = Picture::new(PixelFormat::Gray8, 64, 64);
        let middle = |strength: f32| {
            let mut after = before.clone();
            after.translate(&mut translator, &[face(16.0, 16.0, 32.0, 32.0)], strength);
            (after.planes[0][32 * 64 + 32], after == before)
        };
        let results = [0.0, -1.0, f32::NAN, 0.5, 1.0, 7.0].map(middle);
        // 60 + 16 + 32 = 108, negative 147.
        assert_eq!(
            results,
            [(108, true), (108, true), (108, true), (128, false), (147, false), (147, false)]
        );
    }

    #[test]
    fn a_generator_that_changes_nothing_leaves_every_byte() {
        for format in FORMATS {
            let before = Picture::new(format, 65, 49);
            let mut after = before.clone();
            let faces = [face(3.3, 4.4, 30.7, 28.1), face(20.0, 9.0, 30.0, 30.0)];
            assert_eq!(after.translate(&mut generator("Identity", FREE), &faces, 1.0), 2);
            assert!(after == before, "{format:?}");
        }
    }

    #[test]
    fn the_change_grows_from_the_border_inwards() {
        let mut before = Picture::new(PixelFormat::Gray8, 100, 100);
        before.planes[0].fill(50);
        let mut after = before.clone();
        after.translate(&mut generator("Neg", FREE), &[face(0.0, 0.0, 100.0, 100.0)], 1.0);
        let row = &after.planes[0][50 * 100..50 * 100 + 50];
        assert!(row[0] < 53 && row[5] > 100 && row[5] < 180, "{row:?}");
        assert!(row.is_sorted() && row[11..].iter().all(|&value| value == 205), "{row:?}");
    }

    #[test]
    fn faces_that_overlap_do_not_add_up() {
        let mut before = Picture::new(PixelFormat::Gray8, 80, 60);
        before.planes[0].fill(100);
        let mut after = before.clone();
        // One change is 55; two would give 210.
        let faces = [face(10.0, 10.0, 40.0, 40.0), face(10.0, 10.0, 40.0, 40.0)];
        after.translate(&mut generator("Neg", FREE), &faces, 1.0);
        assert_eq!(after.planes[0][30 * 80 + 30], 155);
    }

    #[test]
    fn a_batch_of_one_and_one_that_is_too_small_translate_all_faces() {
        for batch in [Side::Fixed(1), FREE] {
            let mut translator = generator("Neg", batch);
            let before = Picture::new(PixelFormat::Gray8, 160, 20);
            let faces: Vec<_> =
                (0..7).map(|index| face(2.0 + 22.0 * index as f32, 2.0, 16.0, 16.0)).collect();
            let mut after = before.clone();
            assert_eq!(after.translate(&mut translator, &faces, 1.0), 7);
            for face in &faces {
                let at = 10 * 160 + face.box_in_frame.center().x as usize;
                assert_eq!(after.planes[0][at], 255 - before.planes[0][at], "{batch:?} {face:?}");
            }
        }
    }

    #[test]
    fn a_tilted_face_is_repainted_along_its_eyes() {
        let before = Picture::new(PixelFormat::Gray8, 100, 100);
        let points = [(38.0, 38.0), (58.0, 58.0), (45.0, 55.0), (30.0, 52.0), (45.0, 68.0)];
        let landmarks_in_frame = Some(points.map(|(x, y)| Point { x, y }));
        let mut after = before.clone();
        let tilted = Detection { landmarks_in_frame, ..face(30.0, 30.0, 40.0, 40.0) };
        after.translate(&mut generator("Neg", FREE), &[tilted], 1.0);
        let changes = after.changes(&before);
        // A square on its corner: its tips lie outside the box, the box's corners outside the square.
        assert!(changes.contains(&(50, 26)) && changes.contains(&(74, 50)), "{changes:?}");
        assert!(!changes.contains(&(31, 31)) && !changes.contains(&(68, 68)));
    }

    #[test]
    fn faces_that_no_pixel_shows_are_passed_over() {
        let mut translator = generator("Neg", FREE);
        let before = Picture::new(PixelFormat::I420, 33, 17);
        let strange = [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30, -1e30];
        let mut faces: Vec<_> = strange.map(|value| face(value, 2.0, 8.0, 8.0)).to_vec();
        faces.extend(strange.map(|value| face(2.0, 2.0, value, 8.0)));
        faces.extend([face(40.0, 2.0, 5.0, 5.0), face(-9.0, 2.0, 5.0, 5.0), face(3.0, 3.0, 0.0, 0.0)]);
        let mut after = before.clone();
        assert_eq!(after.translate(&mut translator, &faces, 1.0), 0);
        assert!(after == before);
    }

    #[test]
    fn a_generator_that_answers_no_number_is_an_error_and_the_frame_stays() {
        // The logarithm of what is below zero.
        let mut translator = generator("Log", FREE);
        let mut pixels = vec![50; 400];
        let plane = PlaneMut { data: &mut pixels, stride: 20 };
        let planes = [plane, PlaneMut::default(), PlaneMut::default()];
        let mut frame = FrameMut::new(PixelFormat::Gray8, 20, 20, planes, YuvEncoding::default()).unwrap();
        let error = translator.translate(&mut frame, &[face(2.0, 2.0, 16.0, 16.0)], 1.0).unwrap_err();
        assert!(error.to_string().contains("it answered NaN, which is no brightness"), "{error}");
        assert!(pixels.iter().all(|&pixel| pixel == 50));
    }

    #[test]
    fn what_is_no_generator_is_refused_with_what_was_expected_and_found() {
        let fixed = |sides: [usize; 4]| sides.map(Side::Fixed).to_vec();
        let of = |height: Side, width: Side| vec![FREE, Side::Fixed(1), height, width];
        let good = of(Side::Fixed(48), Side::Fixed(48));
        let cases = [
            (fixed([1, 3, 48, 48]), fixed([1, 3, 48, 48]), "[N, 1, height, width]"),
            (fixed([8, 1, 48, 48]), fixed([8, 1, 48, 48]), "found `face` [8, 1, 48, 48]"),
            (of(Side::Free("h"), Side::Free("w")), good.clone(), "found `face` [-1, 1, -1, -1]"),
            (of(Side::Fixed(5000), Side::Fixed(5000)), good.clone(), "fixed (1 to 4096)"),
        ];
        for (input, output, words) in cases {
            let (folder, path) = network("Neg", &input, &output);
            let error = try_open(&path, 4).unwrap_err().to_string();
            assert!(error.starts_with("the model ") && error.contains(words), "{error}");
            drop(folder);
        }
        // ONNX Runtime believes its own arithmetic, not the file, so that the output needs another operation.
        let (_folder, path) = network("Flatten", &good, &[FREE, Side::Fixed(48 * 48)]);
        let error = try_open(&path, 4).unwrap_err().to_string();
        let words = "it takes faces of 48x48, so one output of [N, 1, 48, 48] is needed, found `translated` [-1, 2304]";
        assert!(error.ends_with(words), "{error}");
        let error = try_open(Path::new("/nowhere/net.onnx"), 4).unwrap_err().to_string();
        assert_eq!(
            error,
            "the generator /nowhere/net.onnx is not there: name the ONNX file of a CycleGAN's generator"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_pixel_outside_the_faces_changes(
            (x, y) in (-60f32..90.0, -60f32..90.0), (width, height) in (0f32..120.0, 0f32..120.0),
            size in (1usize..70, 1usize..50), format in prop::sample::select(&FORMATS),
        ) {
            let before = Picture::new(format, size.0, size.1);
            let mut after = before.clone();
            after.translate(&mut generator("Neg", FREE), &[face(x, y, width, height)], 1.0);
            let square = Rect::new(x, y, width, height).squared();
            for (px, py) in after.changes(&before) {
                let (px, py) = (px as f32 + 0.5, py as f32 + 0.5);
                prop_assert!((square.x..square.right()).contains(&px) && (square.y..square.bottom()).contains(&py));
            }
        }
    }
}
