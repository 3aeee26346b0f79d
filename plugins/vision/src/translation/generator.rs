//! The network: what it must be, and what it answers to faces.

use std::path::Path;

use super::TranslationError;
use crate::{
    align::Crop,
    frame::Frame,
    inference::{ImageNetwork, InferenceError, Output, SessionOptions, SharedSession, TensorInfo, listed},
    sample::{ImageSpec, Sampler},
};

/// Longest side of a generator's faces: far above any that trains, far below what a file can claim.
const LONGEST_SIDE: i64 = 4096;

/// The gray level that a generator calls 0, and the distance from there to 1.
const HALF: f32 = 127.5;

/// The gray level that is meant by a generator's value, and may lie beyond black and white.
pub fn gray_level(value: f32) -> f32 {
    (value + 1.0) * HALF
}

/// A generator, and its answers to the faces that it was shown last.
#[derive(Debug)]
pub struct Generator {
    network: ImageNetwork,
    /// The faces as it answered them, one behind the other.
    translated: Vec<f32>,
}

impl Generator {
    /// Opens the generator, reads from it how large its faces are, and checks that it answers faces of that size.
    ///
    /// `batch_size`, which stands in for the options' own, limits the faces of one run.
    pub fn open(path: &Path, options: &SessionOptions, batch_size: usize) -> Result<Self, TranslationError> {
        if !path.is_file() {
            return Err(TranslationError::NoFile { path: path.to_owned() });
        }
        let session = SharedSession::open(path, &SessionOptions { batch_size, ..options.clone() })?;
        let (height, width) =
            face_size(session.inputs(), session.outputs()).map_err(|reason| session.misfit(reason))?;
        let spec = ImageSpec { scale: 1.0 / HALF, mean: [1.0; 3], ..ImageSpec::gray(width, height) };
        Ok(Self { network: ImageNetwork::new(session, spec, batch_size)?, translated: Vec::new() })
    }

    /// Width and height of its faces.
    pub const fn size(&self) -> (usize, usize) {
        let ImageSpec { width, height, .. } = *self.network.spec();
        (width, height)
    }

    /// Model, size of its faces and device, for logs.
    pub fn describe(&self) -> String {
        let ((width, height), session) = (self.size(), self.network.session());
        format!("{} ({width}x{height}) on {}", session.name(), session.device())
    }

    /// Its answers to these crops.
    pub fn translate_crops(&mut self, frame: &Frame<'_>, crops: &[Crop]) -> Result<&[f32], InferenceError> {
        self.run(crops.len(), |sampler, spec, at, image| sampler.sample_crop(frame, &crops[at], spec, image))
    }

    /// Its answers to gray faces of its own size. What is left over of a face is left out.
    pub fn translate_gray(&mut self, pixels: &[u8]) -> Result<&[f32], InferenceError> {
        let length = self.network.spec().len();
        self.run(pixels.len() / length, |_, _, at, image| {
            let face = pixels.get(at * length..).unwrap_or_default();
            image.iter_mut().zip(face).for_each(|(value, pixel)| *value = f32::from(*pixel) / HALF - 1.0);
        })
    }

    /// Its answers to `count` faces, each filled by `draw`.
    fn run(
        &mut self,
        count: usize,
        draw: impl FnMut(&mut Sampler, &ImageSpec, usize, &mut [f32]),
    ) -> Result<&[f32], InferenceError> {
        let (length, translated) = (self.network.spec().len(), &mut self.translated);
        translated.clear();
        self.network.run(count, draw, |faces, outputs| {
            let values = outputs.first().map_or(&[][..], |output: &Output<'_>| output.values);
            let answered = values.len();
            if answered != faces * length {
                return Err(format!("{faces} faces of {length} values went in, {answered} values came out"));
            }
            translated.extend_from_slice(values);
            Ok(())
        })?;
        match translated.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(self.network.session().failed(format!("it answered {value}, which is no brightness")))
            }
            None => Ok(translated),
        }
    }
}

/// Height and width of a generator's faces, or why it is no generator.
fn face_size(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Result<(usize, usize), String> {
    let free_or_one = |side: i64| side == -1 || side == 1;
    let sides = match inputs {
        [input] => match *input.shape {
            [batch, 1, height, width]
                if free_or_one(batch)
                    && (1..=LONGEST_SIDE).contains(&height)
                    && (1..=LONGEST_SIDE).contains(&width) =>
            {
                Some((height, width))
            }
            _ => None,
        },
        _ => None,
    };
    let Some((height, width)) = sides else {
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
        [output] if fits(&output.shape) => Ok((height as usize, width as usize)),
        outputs => Err(format!(
            "it takes faces of {width}x{height}, so one output of [N, 1, {height}, {width}] is needed, found {}",
            listed(outputs)
        )),
    }
}

#[cfg(test)]
pub mod tests {
    use std::path::PathBuf;

    use ferroflow_onnx::{GraphBuilder, Side};
    use tempfile::TempDir;

    use super::*;
    use crate::inference::Device;

    const FREE: Side = Side::Free("faces");

    /// A network of one operation.
    pub fn network(operation: &str, input: &[Side], output: &[Side]) -> (TempDir, PathBuf) {
        let mut graph = GraphBuilder::default();
        graph.input("face", input);
        graph.node(operation, "translated", &["face"], vec![]);
        graph.output("translated", output);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generator.onnx");
        std::fs::write(&path, graph.finish("generator")).unwrap();
        (folder, path)
    }

    pub fn options() -> SessionOptions {
        SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() }
    }

    fn refused(path: &Path) -> String {
        Generator::open(path, &options(), 4).unwrap_err().to_string()
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
            let error = refused(&path);
            assert!(error.starts_with("the model ") && error.contains(words), "{error}");
            drop(folder);
        }
        // ONNX Runtime believes its own arithmetic, not the file, so that the output needs another operation.
        let (_folder, path) = network("Flatten", &good, &[FREE, Side::Fixed(48 * 48)]);
        let error = refused(&path);
        let words = "it takes faces of 48x48, so one output of [N, 1, 48, 48] is needed, found `translated` [-1, 2304]";
        assert!(error.ends_with(words), "{error}");
        let error = refused(Path::new("/nowhere/net.onnx"));
        assert_eq!(
            error,
            "the generator /nowhere/net.onnx is not there: name the ONNX file of a CycleGAN's generator"
        );
    }
}
