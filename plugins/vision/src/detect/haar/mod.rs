//! Our own Haar cascade detector, after OpenCV's `CascadeClassifier`: the same parameters mean the same, and
//! the answers are the same. A frame flows one way: luma → [`pyramid`] → [`scan`] → [`group`]; on a device,
//! all of it is in [`cuda`].

pub mod cascade;
pub mod cuda;
pub mod group;
pub mod pyramid;
pub mod scan;
pub mod xml;

use rayon::{ThreadPool, ThreadPoolBuilder};

use self::{
    cascade::Cascade,
    cuda::CudaHaar,
    pyramid::{Pyramid, Shape},
    scan::{Scanner, Window},
};
use super::{DetectError, DetectorConfig, FaceDetector};
use crate::{
    face::Detection,
    frame::{Frame, Plane},
    geometry::Rect,
    inference::Device,
    model::ModelFile,
};

/// The detector. It looks at luma alone: planar formats are searched where they lie, packed ones through a gray copy.
pub struct Haar {
    cascade: Cascade,
    name: String,
    config: DetectorConfig,
    pool: ThreadPool,
    pyramid: Pyramid,
    scanner: Scanner,
    windows: Vec<Window>,
    faces: Vec<(Window, u32)>,
    gray: Vec<u8>,
}

/// Opens the detector on the device that is asked for.
pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Box<dyn FaceDetector>, DetectError> {
    match config.session.device {
        Device::Cpu => Ok(Box::new(Haar::open(model, config)?)),
        Device::Cuda(index) => Ok(Box::new(CudaHaar::open(model, config, index)?)),
        Device::Auto => match CudaHaar::open(model, config, 0) {
            Ok(detector) => Ok(Box::new(detector)),
            Err(DetectError::Cuda(reason)) => {
                tracing::debug!(%reason, "CUDA is not usable, taking the CPU");
                Ok(Box::new(Haar::open(model, config)?))
            }
            Err(error) => Err(error),
        },
    }
}

impl Haar {
    /// Reads the cascade's XML file.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        Self::new(xml::read(model)?, &model.name, config)
    }

    /// A detector of a cascade that has been read.
    pub fn new(cascade: Cascade, name: &str, config: &DetectorConfig) -> Result<Self, DetectError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(config.session.threads)
            .thread_name(|index| format!("haar-{index}"))
            .build()
            .map_err(|error| DetectError::Threads(error.to_string()))?;
        Ok(Self {
            cascade,
            name: name.to_owned(),
            config: config.clone(),
            pool,
            pyramid: Pyramid::default(),
            scanner: Scanner::default(),
            windows: Vec::new(),
            faces: Vec::new(),
            gray: Vec::new(),
        })
    }

    fn search(&mut self, luma: Plane<'_>, size: (usize, usize)) {
        let Self { cascade, config, pool, pyramid, scanner, windows, faces, .. } = self;
        let shape = shape(cascade, config, size);
        pool.install(|| {
            pyramid.build(luma, shape);
            scanner.scan(cascade, pyramid, windows);
        });
        group::group(windows, config.min_neighbors, faces);
    }
}

impl FaceDetector for Haar {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let size = (frame.width(), frame.height());
        match frame.luma_plane() {
            Some(plane) => self.search(plane, size),
            None => {
                let mut gray = std::mem::take(&mut self.gray);
                frame.write_gray(&mut gray);
                self.search(Plane { data: &gray, stride: size.0 }, size);
                self.gray = gray;
            }
        }
        answers(&self.faces, size, &self.config, faces);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} on cpu", self.name)
    }
}

fn shape(cascade: &Cascade, config: &DetectorConfig, size: (usize, usize)) -> Shape {
    Shape {
        size,
        window: (cascade.width, cascade.height),
        scale_factor: config.scale_factor,
        min_size: config.min_size,
        max_size: config.max_size,
        tilted: cascade.has_tilted(),
    }
}

/// Appends groups of windows as detections, the most certain first, inside a frame of this size.
fn answers(
    groups: &[(Window, u32)],
    size: (usize, usize),
    config: &DetectorConfig,
    faces: &mut Vec<Detection>,
) {
    faces.extend(groups.iter().map(|&(face, count)| {
        let found = Rect::new(face.x as f32, face.y as f32, face.width as f32, face.height as f32);
        // Rounded up, a window may reach past the frame by a pixel, which OpenCV clips too.
        let box_in_frame = found.clamped(size.0 as f32, size.1 as f32);
        Detection { box_in_frame, confidence: confidence(count), landmarks_in_frame: None }
    }));
    faces.retain(|face| face.box_in_frame.is_valid() && face.confidence >= config.threshold);
    // Threads find windows in any order; a frame's answer is always the same.
    let place = |face: &Detection| (face.box_in_frame.y, face.box_in_frame.x);
    faces.sort_by(|a, b| {
        let later = |a: (f32, f32), b: (f32, f32)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1));
        b.confidence.total_cmp(&a.confidence).then_with(|| later(place(a), place(b)))
    });
    faces.truncate(config.max_detections);
}

/// A cascade gives no probability. The number of raw windows that agreed grows with certainty: `n / (n + 2)`
/// is 0.6 at 3 neighbours, 0.71 at 5 and nears 1, so that trackers and thresholds have something to order
/// faces by.
pub fn confidence(neighbors: u32) -> f32 {
    let count = neighbors.max(1) as f32;
    count / (count + 2.0)
}
