//! Says of a small picture that should show one face (a data set's crop, such as FER2013's 48x48 gray)
//! whether it does, and if not, why: constant, text, no face, a face elsewhere than the crop says, a tilted
//! one, a profile.
//!
//! A picture flows one way: `contrast` → enlarged on a `canvas` → one detector after the other, each answer
//! measured by `pose` → `profile` and `text` where no detector was content → [`evidence`], which decides. A
//! picture is kept as soon as one detector finds a usable face, so the order of the detectors changes what a
//! picture costs and never what becomes of it.
//!
//! Nothing is trained here. The rules are those that a person would write down, and their few numbers
//! ([`Thresholds`]) were chosen by looking at FER2013's Training and PublicTest pictures and at how many of
//! FER+'s taggers called each of them not a face; `examples/faceness.rs` measures them again.

mod canvas;
mod contrast;
pub mod evidence;
mod pose;
mod profile;
mod text;

use serde::{Deserialize, Serialize};

pub use evidence::{Confidences, Evidence, Found, Reason, Thresholds};

use self::{canvas::Canvas, profile::ProfileCascade, text::TextReader};
use crate::{
    detect::{self, DetectError, DetectorConfig, DetectorKind, FaceDetector},
    face::Detection,
    frame::Frame,
    geometry::Rect,
    inference::SessionOptions,
    model::{ModelError, ModelFile},
};

/// Confidence below which an answer is nothing at all. Far below any threshold, so that evidence shows how
/// near it was.
const LEAST_CONFIDENCE: f32 = 0.1;

/// Smallest face that is searched, as a share of the canvas; a third of a picture that fills 60 % of it.
/// Smaller ones are never well placed.
const LEAST_FACE: f32 = 0.2;

/// Where FER2013's own detector saw the faces it cut out, and so does any that boxes a face from forehead to
/// chin: in the middle 80 % of the width and the whole height. The medians of YuNet's and SCRFD's boxes on
/// FER2013 are within 0.04 of it.
const EXPECTED_BOX: [f32; 4] = [0.1, 0.0, 0.9, 1.0];

/// What is looked at and how it is judged. Everything here may change a verdict; how fast it is found is in
/// [`SessionOptions`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Who is asked, in this order, until one finds a usable face. Cheap ones first. Haar and the SSD give no
    /// landmarks, so that tilted faces and profiles pass them.
    pub detectors: Vec<DetectorKind>,
    /// Side of the square that detectors see, in pixels: a multiple of 32 spares some work.
    pub canvas_size: usize,
    /// Even border around the picture, as a share of its longer side: tight crops need one, or their faces
    /// are not found.
    pub padding: f32,
    /// Where the picture should show its face: left, top, right, bottom as shares of its sides.
    pub expected_box: [f32; 4],
    /// Ask the profile cascade about pictures in which no detector found a face. It only tells their reasons apart.
    pub profile_cascade: bool,
    /// Ask everyone about every picture, for those who want to choose thresholds themselves. Costs ten to
    /// twenty times as much.
    pub exhaustive: bool,
    /// What decides.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            detectors: vec![DetectorKind::YuNet, DetectorKind::Scrfd, DetectorKind::Mtcnn],
            canvas_size: 160,
            padding: 1.0 / 3.0,
            expected_box: EXPECTED_BOX,
            profile_cascade: true,
            exhaustive: false,
            thresholds: Thresholds::default(),
        }
    }
}

impl Settings {
    /// Whether pictures can be judged with these.
    pub fn validate(&self) -> Result<(), DetectError> {
        let refuse = |name, found: &dyn std::fmt::Debug, expected| {
            Err(DetectError::Setting { name, found: format!("{found:?}"), expected })
        };
        let [left, top, right, bottom] = self.expected_box;
        if self.detectors.is_empty() {
            return refuse("detectors", &self.detectors, "without any, no picture has a face");
        }
        if !(32..=2048).contains(&self.canvas_size) {
            return refuse("canvas-size", &self.canvas_size, "it must be from 32 to 2048 pixels");
        }
        if !(0.0..=2.0).contains(&self.padding) {
            return refuse(
                "padding",
                &self.padding,
                "it must be from 0 to 2 times the picture's longer side",
            );
        }
        let Thresholds { contrast, text, fit, roll, yaw, profile, .. } = self.thresholds;
        for (name, value, most, expected) in [
            ("contrast", contrast, 127.5, "it must be from 0 to 127.5 gray levels"),
            ("text", text, 1.0, "it must be from 0 to 1"),
            ("fit", fit, 1.0, "it must be from 0 to 1"),
            ("roll", roll, 180.0, "it must be from 0 to 180 degrees"),
            ("yaw", yaw, f32::MAX, "it must be 0 or more"),
            ("profile", profile, 1.0, "it must be from 0 to 1"),
        ] {
            if !(0.0..=most).contains(&value) {
                return refuse(name, &value, expected);
            }
        }
        // Written so that what is not a number is refused too.
        if !(left < right && top < bottom) {
            return refuse("expected-box", &self.expected_box, "it must be left, top, right, bottom");
        }
        Ok(())
    }
}

/// Looks at pictures, one after the other. A thread has one of its own.
pub struct Checker {
    settings: Settings,
    detectors: Vec<(DetectorKind, Box<dyn FaceDetector>)>,
    profile: Option<ProfileCascade>,
    canvas: Canvas,
    text: TextReader,
    faces: Vec<Detection>,
}

impl Checker {
    /// Opens the detectors. Checkers with equal session options share their networks. Where several work side
    /// by side, give the networks one thread: they are too small to gain from more, and their answers do not
    /// depend on it.
    pub fn open(settings: &Settings, session: &SessionOptions) -> Result<Self, DetectError> {
        settings.validate()?;
        let detector = |&kind: &DetectorKind| {
            let config = config(kind, settings, session);
            Ok((kind, detect::open(&config)?))
        };
        let profile = match settings.profile_cascade {
            true => Some(ProfileCascade::open(least_face(settings), session)?),
            false => None,
        };
        Ok(Self {
            detectors: settings.detectors.iter().map(detector).collect::<Result<_, DetectError>>()?,
            profile,
            canvas: Canvas::new(settings.canvas_size, settings.padding),
            text: TextReader::default(),
            faces: Vec::new(),
            settings: settings.clone(),
        })
    }

    /// The files that decide, for fingerprints.
    pub fn models(settings: &Settings) -> Result<Vec<ModelFile>, ModelError> {
        let mut files = Vec::new();
        for &kind in &settings.detectors {
            files.extend(detect::models(kind, "")?);
        }
        if settings.profile_cascade {
            files.extend(detect::models(DetectorKind::Haar, profile::MODEL)?);
        }
        Ok(files)
    }

    /// Looks at one picture: `height` rows of `width` gray pixels without gaps. [`Evidence::decide`] tells
    /// what to make of the answer.
    pub fn check(&mut self, gray: &[u8], width: usize, height: usize) -> Result<Evidence, DetectError> {
        let Self { settings, detectors, profile, canvas, text, faces } = self;
        let (thresholds, exhaustive) = (&settings.thresholds, settings.exhaustive);
        let picture = Frame::gray(gray, width, height)?;
        let mut evidence = Evidence { contrast: contrast::of(&picture), ..Evidence::default() };
        if evidence.contrast < thresholds.contrast && !exhaustive {
            return Ok(evidence);
        }
        let part_on_canvas = canvas.lay(&picture)?;
        let seen = canvas.frame()?;
        let expected_on_canvas = inside(&part_on_canvas, settings.expected_box);
        for (kind, detector) in detectors {
            detector.detect(&seen, faces)?;
            let found =
                faces.first().map_or(Found::default(), |face| pose::measure(face, &expected_on_canvas));
            evidence.set_found(*kind, found);
            if thresholds.is_usable(*kind, &found) && !exhaustive {
                return Ok(evidence);
            }
        }
        evidence.text = Some(text.likeness(canvas.reduced()));
        let found_one = evidence.found().any(|(kind, found)| thresholds.is_found(kind, &found));
        if let Some(profile) = profile.as_mut().filter(|_| exhaustive || !found_one) {
            evidence.profile = Some(profile.confidence(canvas)?);
        }
        Ok(evidence)
    }
}

/// How a detector is opened: it reports more than is believed, so that the evidence shows it.
fn config(kind: DetectorKind, settings: &Settings, session: &SessionOptions) -> DetectorConfig {
    DetectorConfig {
        session: session.clone(),
        threshold: LEAST_CONFIDENCE,
        input_size: 0,
        min_neighbors: 2,
        min_size: least_face(settings),
        ..DetectorConfig::new(kind)
    }
}

/// In pixels of the canvas.
fn least_face(settings: &Settings) -> u32 {
    (settings.canvas_size as f32 * LEAST_FACE) as u32
}

/// The box of these shares of a rectangle's sides: left, top, right, bottom.
fn inside(part: &Rect, [left, top, right, bottom]: [f32; 4]) -> Rect {
    Rect::from_corners(
        part.x + left * part.width,
        part.y + top * part.height,
        part.x + right * part.width,
        part.y + bottom * part.height,
    )
}
