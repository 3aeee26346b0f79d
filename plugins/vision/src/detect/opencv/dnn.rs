//! The SSD through OpenCV's `dnn`, from the Caffe files that it was published as.

use std::path::{Path, PathBuf};

use opencv::{
    core::{Mat, Scalar},
    dnn,
    prelude::*,
};

use crate::{
    detect::{DetectError, DetectorConfig, FaceDetector, nms},
    face::Detection,
    frame::Frame,
    geometry::Rect,
    model::{Manifest, ModelFile},
    sample::{ImageSpec, Sampler},
};

/// The detector. The whole frame is stretched to the network's input.
pub struct OpenCvSsd {
    network: dnn::Net,
    name: String,
    spec: ImageSpec,
    config: DetectorConfig,
    sampler: Sampler,
    input: Vec<f32>,
}

impl OpenCvSsd {
    /// Reads the Caffe files that lie beside the imported model, or a `.caffemodel` with its `.prototxt`.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let spec = model.card()?.image_spec();
        let (prototxt, weights) = caffe_files(model)?;
        let network = dnn::read_net_from_caffe(&prototxt.to_string_lossy(), &weights.to_string_lossy())?;
        super::set_threads(config.session.threads)?;
        let (name, config) = (model.name.clone(), config.clone());
        Ok(Self { network, name, spec, config, sampler: Sampler::default(), input: vec![0.0; spec.len()] })
    }
}

impl FaceDetector for OpenCvSsd {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        self.sampler.sample(frame, Rect::new(0.0, 0.0, width, height), &self.spec, &mut self.input);
        let shape =
            [1, self.spec.color.channels(), self.spec.height, self.spec.width].map(|side| side as i32);
        let blob = Mat::new_nd_with_data(&shape, &self.input)?;
        self.network.set_input(&blob, "", 1.0, Scalar::default())?;
        let _running = super::computing();
        let answer = self.network.forward_single("")?;
        // Rows of image, class, confidence and two corners as shares of the frame.
        for &[_, _, confidence, x0, y0, x1, y1] in answer.data_typed::<f32>()?.as_chunks::<7>().0 {
            if confidence > self.config.threshold {
                let box_in_frame = Rect::from_corners(x0 * width, y0 * height, x1 * width, y1 * height);
                faces.push(Detection { box_in_frame, confidence, landmarks_in_frame: None });
            }
        }
        nms::drop_outside(faces, frame);
        nms::suppress(faces, self.config.iou_threshold, self.config.max_detections);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} through OpenCV on cpu", self.name)
    }
}

/// Prototxt and weights of a model.
fn caffe_files(model: &ModelFile) -> Result<(PathBuf, PathBuf), DetectError> {
    let manifest = Manifest::load()?;
    let members: Vec<&str> = manifest.asset(&model.name).map_or_else(Vec::new, |asset| {
        asset.members.iter().filter_map(|member| Path::new(&member.path).file_name()?.to_str()).collect()
    });
    let of_kind = |extension: &str| {
        let member = members.iter().find(|member| member.ends_with(extension));
        match member {
            Some(member) => model.path.with_file_name(member),
            None => model.path.with_extension(extension),
        }
    };
    let (prototxt, weights) = (of_kind("prototxt"), of_kind("caffemodel"));
    let missing = [&prototxt, &weights].into_iter().find(|file| !file.is_file()).cloned();
    match missing {
        None => Ok((prototxt, weights)),
        Some(path) => Err(DetectError::NoCaffe { model: model.name.clone(), path }),
    }
}
