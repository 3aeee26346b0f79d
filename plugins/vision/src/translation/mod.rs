//! Shows faces with another expression: a CycleGAN's generator, an ONNX file, repaints them where they lie in
//! the frame.
//!
//! A generator takes gray faces, (N, 1, H, W) in -1..1, and answers faces of the same shape and range. Only
//! the change of brightness goes back into the frame, enlarged to the face's size, so that colours and what
//! is finer than the generator's pixels stay.

mod generator;
mod patch;

use std::path::{Path, PathBuf};

use thiserror::Error;

use self::{
    generator::{Generator, gray_level},
    patch::{Field, Patch},
};
use crate::{
    align::{Alignment, Crop},
    face::Detection,
    frame::FrameMut,
    inference::{InferenceError, SessionOptions},
    sample::{ImageSpec, Sampler},
};

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
    generator: Generator,
    sampler: Sampler,
    crops: Vec<Crop>,
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
        Ok(Self {
            generator: Generator::open(path, options, batch_size)?,
            sampler: Sampler::default(),
            crops: Vec::new(),
            change: Vec::new(),
            line: Vec::new(),
        })
    }

    /// Model, size of its faces and device, for logs.
    pub fn describe(&self) -> String {
        self.generator.describe()
    }

    /// Repaints the faces and answers how many there were to repaint: those without any pixel in the frame are none.
    ///
    /// Faces are cut out as the expression classifier cuts them out. `strength` is the share of the change, 0
    /// to 1. Where faces overlap, the later one covers the earlier. On an error the frame is as it was.
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
        let (width, height) = self.size();
        let plain = ImageSpec::gray(width, height);
        let translated = self.generator.translate_crops(&frame.as_frame(), &self.crops)?;
        self.change.resize(plain.len(), 0.0);
        for (crop, face) in self.crops.iter().zip(translated.chunks_exact(plain.len())) {
            // Looked at again, for an earlier face may have changed it.
            self.sampler.sample_crop(&frame.as_frame(), crop, &plain, &mut self.change);
            for (change, value) in self.change.iter_mut().zip(face) {
                *change = strength.min(1.0) * (gray_level(*value).clamp(0.0, 255.0) - *change);
            }
            if let Some(patch) = Patch::new(crop, &frame.as_frame()) {
                patch.add(frame, &Field { values: &self.change, spec: &plain }, &mut self.line);
            }
        }
        Ok(self.crops.len())
    }

    /// Width and height of the generator's faces.
    pub const fn size(&self) -> (usize, usize) {
        self.generator.size()
    }

    /// Translates gray faces of the generator's own size (faces x height x width, 0 black to 255 white) to as
    /// many. What is left over of a face is left out.
    pub fn translate_gray(&mut self, pixels: &[u8]) -> Result<Vec<u8>, TranslationError> {
        let gray = |value: &f32| gray_level(*value).round().clamp(0.0, 255.0) as u8;
        Ok(self.generator.translate_gray(pixels)?.iter().map(gray).collect())
    }
}

#[cfg(test)]
mod tests {
    use ferroflow_onnx::Side;

    use super::{
        generator::tests::{network, options},
        patch::tests::{FORMATS, Picture, face},
        *,
    };
    use crate::{
        frame::{PixelFormat, PlaneMut, YuvEncoding},
        geometry::Point,
    };

    const SIDE: usize = 16;
    const FREE: Side = Side::Free("faces");

    fn generator(operation: &str, batch: Side) -> FaceTranslator {
        let sides = [batch, Side::Fixed(1), Side::Fixed(SIDE), Side::Fixed(SIDE)];
        let (_folder, path) = network(operation, &sides, &sides);
        FaceTranslator::open(&path, &options(), 3).unwrap()
    }

    impl Picture {
        fn translate(
            &mut self,
            translator: &mut FaceTranslator,
            faces: &[Detection],
            strength: f32,
        ) -> usize {
            translator.translate(&mut self.frame(), faces, strength).unwrap()
        }
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
}
