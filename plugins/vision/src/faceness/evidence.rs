//! What is known of a picture, and what follows from it.

use serde::{Deserialize, Serialize};

use crate::detect::DetectorKind;

/// Numbers about one picture. They become the columns of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Standard deviation of the gray levels, 0 to 127.5.
    pub contrast: f32,
    /// How much it looks like writing, 0 to 1; unknown where a face was found first.
    pub text: Option<f32>,
    /// How sure the profile cascade is on the better side, 0 to 1; unknown where it was not asked.
    pub profile: Option<f32>,
    /// By detector, in the order of [`DetectorKind::ALL`]; unknown where one was not asked.
    pub(super) found: [Option<Found>; DetectorKind::ALL.len()],
}

/// A detector's most confident face. Without any face, all is zero or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// The detector's confidence, 0 to 1.
    pub confidence: f32,
    /// How well the face lies where the crop should show it: intersection over union of the two boxes, 0 to 1.
    pub fit: f32,
    /// Slope of the eyes in degrees, -180 to 180, clockwise; unknown without landmarks.
    pub roll: Option<f32>,
    /// How far the nose stands beside the middle of the face, as a share of the distance between eyes and
    /// mouth: 0 straight ahead, negative to the image's left, beyond ±0.4 from the side; unknown without
    /// landmarks.
    pub yaw: Option<f32>,
}

/// Why a picture is no usable face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// All of one gray, or nearly.
    Constant,
    /// Writing, or small signs on an even ground.
    Text,
    /// No detector finds a face.
    NoFace,
    /// A face, but too small, too large or too far aside: the crop is not of this face.
    Misplaced,
    /// A face that lies on its side.
    Tilted,
    /// A face seen from the side.
    Profile,
}

impl Reason {
    /// Every reason, in the order in which pictures are asked about them.
    pub const ALL: [Self; 6] =
        [Self::Constant, Self::Text, Self::Misplaced, Self::Tilted, Self::Profile, Self::NoFace];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Text => "text",
            Self::NoFace => "no-face",
            Self::Misplaced => "misplaced",
            Self::Tilted => "tilted",
            Self::Profile => "profile",
        }
    }
}

/// What decides. A usable face is one that a detector is confident of, that fits the crop, stands upright and
/// is not seen from the side.
///
/// The numbers are round ones, chosen by looking at what FER+'s ten taggers say of FER2013's pictures: of
/// those that at least five call not a face 90.6 % go, of those that nobody does 1.65 %
/// (`benches/results/2026-11-25-faceness.md` has the curves).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Thresholds {
    /// Least standard deviation of the gray levels.
    pub contrast: f32,
    /// Likeness to text from which a picture without a usable face is called text.
    pub text: f32,
    /// Least confidence of each detector.
    pub confidence: Confidences,
    /// Least fit of the face to the crop, 0 to 1.
    pub fit: f32,
    /// Greatest slope of the eyes in degrees, either way.
    pub roll: f32,
    /// Greatest yaw, either way.
    pub yaw: f32,
    /// Confidence of the profile cascade from which a picture without any face is called a profile: n / (n +
    /// 2) for n raw windows, so that 0.7 asks for five.
    pub profile: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            contrast: 5.0,
            text: 0.8,
            confidence: Confidences::default(),
            fit: 0.35,
            roll: 50.0,
            yaw: 0.42,
            profile: 0.7,
        }
    }
}

/// A confidence for each detector: they do not mean the same by it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Confidences {
    /// Of the Haar cascade, n / (n + 2) for n raw windows.
    pub haar: f32,
    /// Of the SSD.
    pub ssd: f32,
    /// Of MTCNN's last network.
    pub mtcnn: f32,
    /// Of SCRFD.
    pub scrfd: f32,
    /// Of YuNet.
    pub yunet: f32,
}

impl Default for Confidences {
    fn default() -> Self {
        Self { haar: 0.8, ssd: 0.7, mtcnn: 0.9, scrfd: 0.3, yunet: 0.5 }
    }
}

impl Confidences {
    /// Of this detector.
    pub fn of(&self, kind: DetectorKind) -> f32 {
        match kind {
            DetectorKind::Haar => self.haar,
            DetectorKind::Ssd => self.ssd,
            DetectorKind::Mtcnn => self.mtcnn,
            DetectorKind::Scrfd => self.scrfd,
            DetectorKind::YuNet => self.yunet,
        }
    }
}

impl Thresholds {
    /// True when the detector is confident that there is a face, wherever and however it looks.
    pub fn is_found(&self, kind: DetectorKind, found: &Found) -> bool {
        found.confidence > 0.0 && found.confidence >= self.confidence.of(kind)
    }

    /// True for a face that can be used.
    pub fn is_usable(&self, kind: DetectorKind, found: &Found) -> bool {
        self.is_found(kind, found) && self.fault(found).is_none()
    }

    /// What is wrong with a face, and the number that says so.
    fn fault(&self, found: &Found) -> Option<(Reason, f32)> {
        let beyond = |value: Option<f32>, most: f32| value.filter(|value| value.abs() > most);
        if found.fit < self.fit {
            Some((Reason::Misplaced, found.fit))
        } else if let Some(roll) = beyond(found.roll, self.roll) {
            Some((Reason::Tilted, roll))
        } else {
            beyond(found.yaw, self.yaw).map(|yaw| (Reason::Profile, yaw))
        }
    }
}

impl Evidence {
    /// What a detector found; nothing where it was not asked.
    pub fn of(&self, kind: DetectorKind) -> Option<Found> {
        slot(kind).and_then(|slot| self.found[slot])
    }

    /// What each detector that was asked has found.
    pub fn found(&self) -> impl Iterator<Item = (DetectorKind, Found)> {
        DetectorKind::ALL.into_iter().zip(self.found).filter_map(|(kind, found)| Some((kind, found?)))
    }

    pub(super) fn set_found(&mut self, kind: DetectorKind, found: Found) {
        if let Some(slot) = slot(kind) {
            self.found[slot] = Some(found);
        }
    }

    /// Why the picture is no usable face, and the number behind it; nothing for one that is usable.
    ///
    /// The number is what was held against a threshold: the contrast; the likeness to text; the fit, roll or
    /// yaw of the face whose detector is the surest of all, measured by its threshold; the profile cascade's
    /// confidence; and for no face, how near the surest detector came to its threshold, 0 to 1.
    ///
    /// Evidence from a search that ended with the first usable face is complete for the thresholds it was
    /// made with, and for looser ones but that of the contrast. To try stricter ones, ask for all of it
    /// ([`exhaustive`](super::Settings::exhaustive)).
    pub fn decide(&self, thresholds: &Thresholds) -> Option<(Reason, f32)> {
        if self.contrast < thresholds.contrast {
            return Some((Reason::Constant, self.contrast));
        }
        if self.found().any(|(kind, found)| thresholds.is_usable(kind, &found)) {
            return None;
        }
        if let Some(text) = self.text.filter(|&text| text >= thresholds.text) {
            return Some((Reason::Text, text));
        }
        let nearness = |(kind, found): (DetectorKind, Found)| {
            found.confidence / thresholds.confidence.of(kind).max(1e-6)
        };
        let found = self.found().filter(|(kind, found)| thresholds.is_found(*kind, found));
        let surest = found.max_by(|&a, &b| nearness(a).total_cmp(&nearness(b)));
        if let Some(fault) = surest.and_then(|(_, found)| thresholds.fault(&found)) {
            return Some(fault);
        }
        match self.profile.filter(|&profile| profile >= thresholds.profile) {
            Some(profile) => Some((Reason::Profile, profile)),
            None => Some((Reason::NoFace, self.found().map(nearness).fold(0.0, f32::max))),
        }
    }
}

fn slot(kind: DetectorKind) -> Option<usize> {
    DetectorKind::ALL.iter().position(|&other| other == kind)
}
