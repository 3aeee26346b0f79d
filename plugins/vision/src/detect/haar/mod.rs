//! Our own Haar cascade detector, after OpenCV's `CascadeClassifier`: the same parameters mean the same, and the answers
//! are the same. A frame flows one way: luma → [`pyramid`] → [`scan`] → [`group`].

pub mod cascade;
pub mod group;
pub mod pyramid;
pub mod scan;
pub mod xml;

use rayon::{ThreadPool, ThreadPoolBuilder};

use self::{
    cascade::Cascade,
    pyramid::{Pyramid, Shape},
    scan::{Scanner, Window},
};
use super::{DetectError, DetectorConfig, FaceDetector};
use crate::{
    face::Detection,
    frame::{Frame, Plane},
    geometry::Rect,
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

impl Haar {
    /// Reads the cascade's XML file.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let unreadable = |reason: String| DetectError::Cascade { path: model.path.clone(), reason };
        let text = std::fs::read_to_string(&model.path).map_err(|error| unreadable(error.to_string()))?;
        let cascade = xml::parse(&text).map_err(unreadable)?;
        Self::new(cascade, &model.name, config)
    }

    /// A detector of a cascade that has been read.
    pub fn new(cascade: Cascade, name: &str, config: &DetectorConfig) -> Result<Self, DetectError> {
        if config.scale_factor.is_nan() || config.scale_factor <= 1.0 {
            return Err(DetectError::ScaleFactor(config.scale_factor));
        }
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
        let window = (cascade.width, cascade.height);
        let shape = Shape {
            size,
            window,
            scale_factor: config.scale_factor,
            min_size: config.min_size,
            max_size: config.max_size,
            tilted: cascade.has_tilted(),
        };
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
        faces.extend(self.faces.iter().map(|&(face, count)| {
            let found = Rect::new(face.x as f32, face.y as f32, face.width as f32, face.height as f32);
            // Rounded up, a window may reach past the frame by a pixel, which OpenCV clips too.
            let box_in_frame = found.clamped(size.0 as f32, size.1 as f32);
            Detection { box_in_frame, confidence: confidence(count), landmarks_in_frame: None }
        }));
        faces.retain(|face| face.box_in_frame.is_valid());
        faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        faces.truncate(self.config.max_detections);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} on cpu", self.name)
    }
}

/// A cascade gives no probability. The number of raw windows that agreed grows with certainty: `n / (n + 2)` is 0.6 at
/// 3 neighbours, 0.71 at 5 and nears 1, so that trackers and thresholds have something to order faces by.
pub fn confidence(neighbors: u32) -> f32 {
    let count = neighbors.max(1) as f32;
    count / (count + 2.0)
}
