//! JSON lines in the layout of DL Streamer's `gvametaconvert`, one object a frame, with additions of ours: `frame`,
//! `scores` and `smoothed`.
//!
//! `timestamp` is in nanoseconds from the start of the stream; `x`, `y`, `w`, `h` are whole pixels inside the frame;
//! `bounding_box` is in shares of the frame and may reach past it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use crate::face::{Emotion, Face, FrameFaces};

/// A line, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The faces.
    pub objects: Vec<Object>,
    /// Size of the frame.
    pub resolution: Resolution,
    /// Which video or camera.
    pub source: String,
    /// Presentation time in nanoseconds.
    pub timestamp: Option<u64>,
    /// Number of the frame, from 0.
    pub frame: u64,
}

/// A face, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Where, and how sure the detector was.
    pub detection: DetectionObject,
    /// What the classifier said.
    pub emotion: Option<EmotionObject>,
    /// Identity across frames.
    pub id: Option<u64>,
    /// Left edge in pixels.
    pub x: u32,
    /// Top edge in pixels.
    pub y: u32,
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
}

/// A detection, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionObject {
    /// Where, in shares of the frame.
    pub bounding_box: BoundingBox,
    /// 0 to 1.
    pub confidence: f32,
}

/// Shares of the frame's width and height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// Left.
    pub x_min: f32,
    /// Right.
    pub x_max: f32,
    /// Top.
    pub y_min: f32,
    /// Bottom.
    pub y_max: f32,
}

/// A classifier's answer, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmotionObject {
    /// The class.
    pub label: String,
    /// Its probability.
    pub confidence: f32,
    /// Every class's probability.
    pub scores: BTreeMap<String, f32>,
    /// The same, smoothed over the track.
    pub smoothed: Option<Box<SmoothedObject>>,
}

/// A smoothed answer, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmoothedObject {
    /// The class that is shown.
    pub label: String,
    /// Its smoothed probability.
    pub confidence: f32,
    /// Every class's smoothed probability.
    pub scores: BTreeMap<String, f32>,
}

/// Size of a frame in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Across.
    pub width: u32,
    /// Down.
    pub height: u32,
}

/// Appends one line, with its newline, to `line`.
pub fn write_line(frame: &FrameFaces, line: &mut Vec<u8>) {
    let before = line.len();
    match serde_json::to_writer(&mut *line, &FrameView(frame)) {
        Ok(()) => line.push(b'\n'),
        // Into memory nothing can fail but a map with odd keys, of which there are none; half a line is no line.
        Err(_) => line.truncate(before),
    }
}

/// Four digits after the point: a tenth of a pixel in 1000, a hundredth of a percent.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

struct FrameView<'a>(&'a FrameFaces);

impl Serialize for FrameView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let frame = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("objects", &Faces(frame))?;
        map.serialize_entry("resolution", &Resolution { width: frame.width, height: frame.height })?;
        map.serialize_entry("source", &*frame.source)?;
        map.serialize_entry("timestamp", &frame.pts)?;
        map.serialize_entry("frame", &frame.frame)?;
        map.end()
    }
}

struct Faces<'a>(&'a FrameFaces);

impl Serialize for Faces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(frame) = self;
        serializer.collect_seq(frame.faces.iter().map(|face| FaceView { frame, face }))
    }
}

struct FaceView<'a> {
    frame: &'a FrameFaces,
    face: &'a Face,
}

impl Serialize for FaceView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (frame, face) = (self.frame, self.face);
        let (width, height) = (frame.width as f32, frame.height as f32);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("detection", &DetectionView { face, width, height })?;
        if let Some(emotion) = &face.emotion {
            map.serialize_entry(
                "emotion",
                &EmotionView { emotion, smoothed: face.smoothed.as_ref(), with_model: true },
            )?;
        }
        if let Some(id) = face.track_id {
            map.serialize_entry("id", &id)?;
        }
        map.serialize_entry("roi_type", "face")?;
        let inside = face.detection.box_in_frame.clamped(width, height);
        let (x, y) = (inside.x.round() as u32, inside.y.round() as u32);
        map.serialize_entry("x", &x)?;
        map.serialize_entry("y", &y)?;
        map.serialize_entry("w", &(inside.right().round() as u32 - x))?;
        map.serialize_entry("h", &(inside.bottom().round() as u32 - y))?;
        map.end()
    }
}

struct DetectionView<'a> {
    face: &'a Face,
    width: f32,
    height: f32,
}

impl Serialize for DetectionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bounds = &self.face.detection.box_in_frame;
        let mut map = serializer.serialize_map(None)?;
        let shares = BoxView {
            x_min: rounded(bounds.x / self.width),
            x_max: rounded(bounds.right() / self.width),
            y_min: rounded(bounds.y / self.height),
            y_max: rounded(bounds.bottom() / self.height),
        };
        map.serialize_entry("bounding_box", &shares)?;
        map.serialize_entry("confidence", &rounded(self.face.detection.confidence))?;
        map.serialize_entry("label", "face")?;
        map.end()
    }
}

#[derive(Serialize)]
struct BoxView {
    x_min: f64,
    x_max: f64,
    y_min: f64,
    y_max: f64,
}

struct EmotionView<'a> {
    emotion: &'a Emotion,
    smoothed: Option<&'a Emotion>,
    with_model: bool,
}

impl Serialize for EmotionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("label", self.emotion.label())?;
        map.serialize_entry("confidence", &rounded(self.emotion.confidence()))?;
        map.serialize_entry("scores", &Scores(self.emotion))?;
        if let Some(emotion) = self.smoothed {
            map.serialize_entry("smoothed", &EmotionView { emotion, smoothed: None, with_model: false })?;
        }
        if self.with_model {
            map.serialize_entry("model", &Model { name: &self.emotion.model })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
}

struct Scores<'a>(&'a Emotion);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.labels.iter().zip(self.0.scores.iter().copied().map(rounded)))
    }
}

/// Reads a line back.
pub fn read_line(line: &[u8]) -> serde_json::Result<Line> {
    serde_json::from_slice(line)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        face::{Detection, EXPRESSIONS},
        geometry::Rect,
    };

    pub fn frame_with_a_happy_face() -> FrameFaces {
        let emotion = |label_id: usize, lead: f32| {
            let mut scores = vec![(1.0 - lead) / 6.0; 7];
            scores[label_id] = lead;
            Emotion {
                labels: EXPRESSIONS.map(String::from).to_vec().into(),
                scores,
                label_id,
                model: "mini-xception".into(),
            }
        };
        let detection = Detection {
            box_in_frame: Rect::new(-10.0, 36.0, 74.0, 90.0),
            confidence: 0.98765,
            landmarks_in_frame: None,
        };
        FrameFaces {
            source: "a \"quoted\", name.mp4".into(),
            frame: 12,
            pts: Some(400_000_000),
            width: 640,
            height: 360,
            faces: vec![Face {
                detection,
                track_id: Some(7),
                emotion: Some(emotion(3, 0.7)),
                smoothed: Some(emotion(6, 0.4)),
            }],
        }
    }

    #[test]
    fn a_frame_is_one_line_in_dl_streamers_layout() {
        let mut line = Vec::new();
        write_line(&frame_with_a_happy_face(), &mut line);
        insta::assert_snapshot!(String::from_utf8(line).unwrap());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut line = Vec::new();
        write_line(&frame_with_a_happy_face(), &mut line);
        let read = read_line(&line).unwrap();
        assert_eq!((read.frame, read.timestamp, read.objects[0].id), (12, Some(400_000_000), Some(7)));
        let emotion = read.objects[0].emotion.as_ref().unwrap();
        assert_eq!(
            (emotion.label.as_str(), emotion.smoothed.as_ref().unwrap().label.as_str()),
            ("happy", "neutral")
        );
        assert_eq!((read.objects[0].x, read.objects[0].w), (0, 64));
    }
}
