//! GStreamer's raw video buffers seen as [`Frame`]s, where they lie.

use std::sync::LazyLock;

use ferroflow_vision::frame::{Frame, FrameError, FrameMut, PixelFormat, Plane, PlaneMut, YuvEncoding};
use gst_video::{
    VideoColorMatrix, VideoColorRange, VideoCropMeta, VideoFormat, VideoFrameRef, VideoInfo, VideoMeta,
    prelude::*,
};

/// The formats that all our elements take.
pub const FORMATS: [VideoFormat; 15] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
];

/// Raw video in system memory in one of [`FORMATS`], of any size and rate.
pub static CAPS: LazyLock<gst::Caps> =
    LazyLock::new(|| gst_video::VideoCapsBuilder::new().format_list(FORMATS).build());

/// Of these caps, those with square pixels. Networks have learnt from such, and a face that is squeezed shows
/// another expression.
pub fn square(caps: &gst::Caps) -> gst::Caps {
    let mut square = caps.copy();
    square.make_mut().set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
    square
}

/// The layout of a format of [`FORMATS`]; `None` for others.
pub fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    let packed = |pixel_stride, red, green, blue| PixelFormat::Packed { pixel_stride, red, green, blue };
    Some(match format {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Yv12 => PixelFormat::Yv12,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Nv21 => PixelFormat::Nv21,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        VideoFormat::Rgb => PixelFormat::RGB,
        VideoFormat::Bgr => PixelFormat::BGR,
        VideoFormat::Rgbx | VideoFormat::Rgba => PixelFormat::RGBX,
        VideoFormat::Bgrx | VideoFormat::Bgra => PixelFormat::BGRX,
        VideoFormat::Xrgb | VideoFormat::Argb => packed(4, 1, 2, 3),
        VideoFormat::Xbgr | VideoFormat::Abgr => packed(4, 3, 2, 1),
        _ => return None,
    })
}

/// The matrix and range of a stream: where the caps do not say, what GStreamer takes for the size, which is
/// BT.601 up to 576 lines, BT.709 above, and BT.2020 of the largest. BT.2020 is read as BT.709, whose weights
/// are nearest to its own.
pub fn encoding(info: &VideoInfo) -> YuvEncoding {
    let colorimetry = info.colorimetry();
    YuvEncoding {
        bt709: matches!(colorimetry.matrix(), VideoColorMatrix::Bt709 | VideoColorMatrix::Bt2020),
        full_range: colorimetry.range() == VideoColorRange::Range0_255,
    }
}

/// Maps `buffer` for reading and hands the view to `look`.
pub fn with_frame<R>(
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    look: impl FnOnce(&Frame<'_>) -> R,
) -> Result<R, MapError> {
    let format = pixel_format(info.format()).ok_or(MapError::Format(info.format()))?;
    let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| MapError::Buffer { size: buffer.size(), expected: info.size() })?;
    let mut planes = [Plane::default(); 3];
    for (index, plane) in planes.iter_mut().enumerate().take(mapped.n_planes() as usize) {
        let data = mapped.plane_data(index as u32).map_err(|_| MapError::Format(info.format()))?;
        let stride = mapped.plane_stride().get(index).copied().unwrap_or(0);
        *plane = Plane { data, stride: usize::try_from(stride).unwrap_or(0) };
    }
    let frame =
        Frame::new(format, mapped.width() as usize, mapped.height() as usize, &planes, encoding(info))?;
    Ok(look(&frame))
}

/// Maps `buffer` for writing and hands the frame to `change`.
pub fn with_frame_mut<R>(
    buffer: &mut gst::BufferRef,
    info: &VideoInfo,
    change: impl FnOnce(&mut FrameMut<'_>) -> R,
) -> Result<R, MapError> {
    let format = pixel_format(info.format()).ok_or(MapError::Format(info.format()))?;
    let size = buffer.size();
    let mut mapped = VideoFrameRef::from_buffer_ref_writable(buffer, info)
        .map_err(|_| MapError::Buffer { size, expected: info.size() })?;
    let (width, height) = (mapped.width() as usize, mapped.height() as usize);
    let mut planes: [PlaneMut<'_>; 3] = Default::default();
    for (plane, &stride) in planes.iter_mut().zip(mapped.plane_stride()) {
        plane.stride = usize::try_from(stride).unwrap_or(0);
    }
    for (plane, data) in planes.iter_mut().zip(mapped.planes_data_mut()) {
        plane.data = data;
    }
    let mut frame = FrameMut::new(format, width, height, planes, encoding(info))?;
    Ok(change(&mut frame))
}

/// A buffer that is not the frame its caps promise.
#[derive(Debug)]
pub enum MapError {
    /// A format we do not take; negotiation should have refused it.
    Format(VideoFormat),
    /// The buffer cannot be mapped or is too small.
    Buffer {
        /// Bytes in the buffer.
        size: usize,
        /// Bytes that the caps need.
        expected: usize,
    },
    /// The planes do not fit the size.
    Frame(FrameError),
}

impl From<FrameError> for MapError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl std::fmt::Display for MapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(format) => write!(f, "frames of format {format} are not taken"),
            Self::Buffer { size, expected } => {
                write!(f, "a buffer of {size} bytes cannot be mapped as a frame of {expected}")
            }
            Self::Frame(error) => error.fmt(f),
        }
    }
}

/// Says at the end of a pipeline that frames are read however their lines lie: a decoder has to copy them for others.
pub fn take_as_they_lie(sink: &gst::Pad) {
    sink.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        match info.query_mut().map(gst::QueryRef::view_mut) {
            Some(gst::QueryViewMut::Allocation(query)) => {
                query.add_allocation_meta::<VideoMeta>(None);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// When a frame is shown, from the beginning of its file or stream: where a file is trimmed by its container,
/// or was searched, presentation times begin elsewhere. `None` for one without a time, and for one from
/// before the beginning.
pub fn stream_time(buffer: &gst::BufferRef, segment: &gst::Segment) -> Option<gst::ClockTime> {
    let pts = buffer.pts()?;
    match segment.downcast_ref::<gst::ClockTime>() {
        Some(segment) => segment.to_stream_time_full(pts)?.positive(),
        None => Some(pts),
    }
}

/// Says of an element that looks at pixels that it cannot look at a part of a picture: who crops has to copy.
pub fn refuse_crops(query: &mut gst::query::Allocation) {
    while let Some(index) = query.find_allocation_meta::<VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
}

/// When a frame is shown, in seconds. One without a time, as in elementary streams, follows the one `before`
/// as its duration or the rate of the stream says, or else as at 30 frames a second.
pub fn time(buffer: &gst::BufferRef, info: &VideoInfo, before: f64) -> f64 {
    let seconds = |time: gst::ClockTime| time.nseconds() as f64 / 1e9;
    let rate = f64::from(info.fps().numer()) / f64::from(info.fps().denom().max(1));
    let length = || buffer.duration().map_or(1.0 / if rate > 0.0 { rate } else { 30.0 }, seconds);
    buffer.pts().map_or_else(|| before + length(), seconds)
}

/// The pads of an element that passes frames of [`CAPS`] on.
pub fn pad_templates() -> &'static [gst::PadTemplate] {
    static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
        let template =
            |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &CAPS);
        [template("sink", gst::PadDirection::Sink), template("src", gst::PadDirection::Src)]
            .into_iter()
            .flatten()
            .collect()
    });
    &TEMPLATES
}

/// The stream's caps as an element keeps them between `set_caps` and `stop`.
pub fn parse_caps(caps: &gst::Caps) -> Result<VideoInfo, gst::LoggableError> {
    VideoInfo::from_caps(caps)
        .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "{caps} is not raw video that can be understood"))
}
