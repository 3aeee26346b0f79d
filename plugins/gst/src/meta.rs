//! Faces on buffers: a `GstVideoRegionOfInterestMeta` of type `face` for each, with the parameter structures that
//! DL Streamer writes, so that elements of either can read the other's.
//!
//! | structure | fields | written by |
//! |---|---|---|
//! | `detection` | `x_min x_max y_min y_max` (double, 0 to 1 of the frame), `confidence` (double), `label_id` (int), `landmarks` (array of 10 doubles, x y in turn, 0 to 1 of the frame) | `ferfacedetect` |
//! | `object_id` | `id` (int64) | `fertrack` |
//! | `emotion` | `label`, `label_id`, `confidence`, `model_name`, `attribute_name=emotion`, `scores` (structure, a double for each class) | `ferexpression` |
//! | `smoothed` | as `emotion` | `fersmooth` |
//!
//! Elements only add structures; a later one of the same name stands before an earlier one.
//!
//! GStreamer's converters carry a region over, scaled, but drop its structures
//! (`gst_video_region_of_interest_meta_transform` up to 1.22 at least). So each element [`keep`]s a copy of
//! them in a meta without tags, which converters pass on as it is, and [`restore`]s them from it; region and
//! structures are matched by the region's id.

use std::{ops::ControlFlow, sync::Arc};

use ferroflow_vision::{
    face::{Detection, Emotion, Face, Labels},
    geometry::{Point, Rect},
};
use gst::{MetaRefMut, buffer::BufferMetaForeachAction as Action, meta::Standalone};
use gst_video::VideoRegionOfInterestMeta;

/// The type of our regions.
pub const FACE: &str = "face";

/// A face's region as an element reads and extends it.
pub type FaceMeta = VideoRegionOfInterestMeta;

/// Width and height of the frame that normalised coordinates refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameSize {
    /// Pixels across.
    pub width: f32,
    /// Pixels down.
    pub height: f32,
}

impl FrameSize {
    /// The size in a stream's caps.
    pub fn of(info: &gst_video::VideoInfo) -> Self {
        Self { width: info.width() as f32, height: info.height() as f32 }
    }
}

/// Adds a face to the buffer. Its region is the detection's box inside the frame, in whole pixels.
pub fn add_face<'a>(
    buffer: &'a mut gst::BufferRef,
    detection: &Detection,
    size: FrameSize,
) -> MetaRefMut<'a, FaceMeta, Standalone> {
    let bounds = detection.box_in_frame.clamped(size.width, size.height);
    let (x0, y0) = (bounds.x.round() as u32, bounds.y.round() as u32);
    let (x1, y1) = (bounds.right().round() as u32, bounds.bottom().round() as u32);
    let id = buffer.iter_meta::<FaceMeta>().count();
    let mut meta = FaceMeta::add(buffer, FACE, (x0, y0, x1 - x0, y1 - y0));
    meta.set_id(i32::try_from(id).unwrap_or(i32::MAX));
    let normal = |value: f32, length: f32| f64::from(value / length);
    let face = &detection.box_in_frame;
    let mut structure = gst::Structure::builder("detection")
        .field("x_min", normal(face.x, size.width))
        .field("x_max", normal(face.right(), size.width))
        .field("y_min", normal(face.y, size.height))
        .field("y_max", normal(face.bottom(), size.height))
        .field("confidence", f64::from(detection.confidence))
        .field("label_id", 0i32);
    if let Some(points) = &detection.landmarks_in_frame {
        let flat =
            points.iter().flat_map(|point| [normal(point.x, size.width), normal(point.y, size.height)]);
        structure = structure.field("landmarks", gst::Array::new(flat));
    }
    meta.add_param(structure.build());
    meta
}

/// Gives a face the identity of its track.
pub fn set_track_id(meta: &mut FaceMeta, id: u64) {
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    meta.add_param(gst::Structure::builder("object_id").field("id", id).build());
}

/// Adds a classifier's answer, `name` being `emotion` or `smoothed`.
pub fn add_emotion(meta: &mut FaceMeta, name: &str, emotion: &Emotion) {
    let mut scores = gst::Structure::new_empty("scores");
    for (label, score) in emotion.labels.iter().zip(&emotion.scores) {
        scores.set(label.as_str(), f64::from(*score));
    }
    let structure = gst::Structure::builder(name)
        .field("label", emotion.label())
        .field("label_id", i32::try_from(emotion.label_id).unwrap_or(i32::MAX))
        .field("confidence", f64::from(emotion.confidence()))
        .field("model_name", &*emotion.model)
        .field("attribute_name", "emotion")
        .field("scores", scores)
        .build();
    meta.add_param(structure);
}

/// Runs `visit` on the region of every face, in the order they were added; `visit` answers whether the face stays.
pub fn retain_faces(buffer: &mut gst::BufferRef, mut visit: impl FnMut(&mut FaceMeta) -> bool) {
    buffer.foreach_meta_mut(|mut meta| {
        let face = meta.downcast_mut::<FaceMeta>().filter(|region| region.roi_type() == FACE);
        let stays = face.is_none_or(|face| visit(face));
        let action = if stays { Action::Keep } else { Action::Remove };
        ControlFlow::Continue(action)
    });
}

/// Name of the meta that carries the faces' structures through conversions.
const KEPT: &str = "FerFaces";

fn kept_name(id: i32) -> String {
    format!("face-{id}")
}

/// Keeps a copy of the structures of all faces where converters do not lose it. Called by each element that
/// added some.
pub fn keep(buffer: &mut gst::BufferRef) -> Result<(), gst::glib::BoolError> {
    let mut kept = Vec::new();
    number(buffer);
    for meta in buffer.iter_meta::<FaceMeta>().filter(|meta| meta.roi_type() == FACE) {
        let structures = gst::List::new(meta.params().map(|structure| structure.to_owned()));
        kept.push((kept_name(meta.id()), structures));
    }
    if kept.is_empty() {
        return Ok(());
    }
    if gst::meta::CustomMeta::from_buffer(buffer, KEPT).is_err() {
        gst::meta::CustomMeta::add(buffer, KEPT)?;
    }
    let mut meta = gst::meta::CustomMeta::from_mut_buffer(buffer, KEPT)?;
    let structure = meta.mut_structure();
    for (name, structures) in kept {
        structure.set(name, structures);
    }
    Ok(())
}

/// Gives faces that others added ids of their own: all of theirs may be 0.
fn number(buffer: &mut gst::BufferRef) {
    let ids = || buffer.iter_meta::<FaceMeta>().map(|meta| meta.id());
    let has_double = ids().enumerate().any(|(at, id)| ids().take(at).any(|before| before == id));
    if !has_double {
        return;
    }
    let free = ids().max().unwrap_or_default().saturating_add(1);
    let mut seen = Vec::new();
    for (mut meta, free) in buffer.iter_meta_mut::<FaceMeta>().zip(free..) {
        if seen.contains(&meta.id()) {
            meta.set_id(free);
        }
        seen.push(meta.id());
    }
}

/// Gives faces back the structures that a conversion took. Called by each element before it adds to them.
pub fn restore(buffer: &mut gst::BufferRef) {
    let is_bare = |meta: &FaceMeta| meta.roi_type() == FACE && meta.params().next().is_none();
    if !buffer.iter_meta::<FaceMeta>().any(|meta| is_bare(&meta)) {
        return;
    }
    let Ok(kept) = gst::meta::CustomMeta::from_buffer(buffer, KEPT).map(|meta| meta.structure().to_owned())
    else {
        return;
    };
    for mut meta in buffer.iter_meta_mut::<FaceMeta>() {
        if is_bare(&meta) {
            let structures = kept_structures(&kept, meta.id());
            structures.into_iter().for_each(|structure| meta.add_param(structure));
        }
    }
}

fn kept_structures(kept: &gst::StructureRef, id: i32) -> Vec<gst::Structure> {
    let list = kept.get::<gst::List>(kept_name(id)).ok();
    list.iter().flat_map(|list| list.iter()).filter_map(|value| value.get().ok()).collect()
}

/// Reads faces off buffers, holding on to class and model names so that they are not copied for each face again.
#[derive(Debug, Default)]
pub struct FaceReader {
    labels: Option<Labels>,
    model: Option<Arc<str>>,
}

impl FaceReader {
    /// Replaces `faces` with those of the buffer, in the order they were added.
    pub fn read(&mut self, buffer: &gst::BufferRef, size: FrameSize, faces: &mut Vec<Face>) {
        faces.clear();
        let kept = gst::meta::CustomMeta::from_buffer(buffer, KEPT).ok();
        for meta in buffer.iter_meta::<FaceMeta>().filter(|meta| meta.roi_type() == FACE) {
            let (x, y, width, height) = meta.rect();
            let region = Rect::new(x as f32, y as f32, width as f32, height as f32);
            let mut own = meta.params().peekable();
            let face = match (own.peek(), &kept) {
                (None, Some(kept)) => {
                    let structures = kept_structures(kept.structure(), meta.id());
                    self.face(region, structures.iter().map(|structure| &**structure), size)
                }
                _ => self.face(region, own, size),
            };
            faces.push(face);
        }
    }

    fn face<'a>(
        &mut self,
        box_in_frame: Rect,
        structures: impl Iterator<Item = &'a gst::StructureRef>,
        size: FrameSize,
    ) -> Face {
        let detection = Detection { box_in_frame, confidence: 0.0, landmarks_in_frame: None };
        let mut face = Face { detection, track_id: None, emotion: None, smoothed: None };
        for structure in structures {
            match structure.name().as_str() {
                "detection" => face.detection = detection_of(structure, size, box_in_frame),
                "object_id" => face.track_id = track_id_of(structure),
                "emotion" => face.emotion = self.emotion(structure),
                "smoothed" => face.smoothed = self.emotion(structure),
                _ => {}
            }
        }
        face
    }

    fn emotion(&mut self, structure: &gst::StructureRef) -> Option<Emotion> {
        let scores = structure.get::<gst::Structure>("scores").ok()?;
        let known = self.labels.as_ref().filter(|labels| {
            labels.len() == scores.n_fields()
                && scores.fields().zip(labels.iter()).all(|(a, b)| a.as_str() == b)
        });
        let labels = match known {
            Some(labels) => labels.clone(),
            None => scores.fields().map(|name| name.to_string()).collect::<Vec<_>>().into(),
        };
        let model = structure.get::<&str>("model_name").unwrap_or_default();
        let model = match &self.model {
            Some(known) if **known == *model => known.clone(),
            _ => model.into(),
        };
        (self.labels, self.model) = (Some(labels.clone()), Some(model.clone()));
        let values = scores.iter().map(|(_, value)| value.get::<f64>().unwrap_or_default() as f32);
        let label_id = usize::try_from(structure.get::<i32>("label_id").ok()?).ok()?;
        Some(Emotion { labels, scores: values.collect(), label_id, model })
    }
}

fn track_id_of(structure: &gst::StructureRef) -> Option<u64> {
    // DL Streamer's own tracker writes a 32 bit id.
    let id = structure.get::<i64>("id").or_else(|_| structure.get::<i32>("id").map(i64::from)).ok()?;
    u64::try_from(id).ok()
}

fn detection_of(structure: &gst::StructureRef, size: FrameSize, region: Rect) -> Detection {
    let get = |name: &str| structure.get::<f64>(name).ok().map(|value| value as f32);
    let corners = (get("x_min"), get("y_min"), get("x_max"), get("y_max"));
    let box_in_frame = match corners {
        (Some(x0), Some(y0), Some(x1), Some(y1)) => {
            Rect::from_corners(x0 * size.width, y0 * size.height, x1 * size.width, y1 * size.height)
        }
        _ => region,
    };
    let landmarks_in_frame = structure.get::<gst::ArrayRef>("landmarks").ok().and_then(|array| {
        let values = array.as_slice();
        let mut points = [Point::default(); 5];
        for (point, pair) in points.iter_mut().zip(values.chunks_exact(2)) {
            let [x, y] = pair else { return None };
            *point = Point {
                x: x.get::<f64>().ok()? as f32 * size.width,
                y: y.get::<f64>().ok()? as f32 * size.height,
            };
        }
        (values.len() == 10).then_some(points)
    });
    Detection { box_in_frame, confidence: get("confidence").unwrap_or(0.0), landmarks_in_frame }
}

/// Name of the meta that marks a frame on which detection was skipped (`inference-interval`).
const SKIPPED: &str = "FerDetectionSkipped";

/// Registers what this module adds to GStreamer; called once by the plug-in.
pub fn register() {
    gst::meta::CustomMeta::register(SKIPPED, &[]);
    gst::meta::CustomMeta::register(KEPT, &[]);
}

/// Marks a frame as not searched, which differs from searched and empty.
pub fn mark_skipped(buffer: &mut gst::BufferRef) -> Result<(), gst::glib::BoolError> {
    gst::meta::CustomMeta::add(buffer, SKIPPED).map(drop)
}

/// True when a detector upstream did not look at this frame.
pub fn is_skipped(buffer: &gst::BufferRef) -> bool {
    gst::meta::CustomMeta::from_buffer(buffer, SKIPPED).is_ok()
}
