//! CSV (RFC 4180), one row a face. Frames without a face have no row.

use std::io::Write;

use crate::face::{EXPRESSIONS, Face, FrameFaces};

/// The first line, with its newline.
pub const HEADER: &str = "source,frame,pts_ns,track,x,y,w,h,confidence,label,label_confidence,\
angry,disgust,fear,happy,sad,surprise,neutral,smoothed\n";

/// Appends a row for each face. Boxes are in pixels and may reach past the frame; what is not known is empty.
pub fn write_rows(frame: &FrameFaces, rows: &mut Vec<u8>) {
    for face in &frame.faces {
        // Into memory nothing can fail.
        let _ = write_row(frame, face, rows);
    }
}

fn write_row(frame: &FrameFaces, face: &Face, out: &mut Vec<u8>) -> std::io::Result<()> {
    let bounds = &face.detection.box_in_frame;
    write_text(out, &frame.source);
    write!(out, ",{},", frame.frame)?;
    if let Some(pts) = frame.pts {
        write!(out, "{pts}")?;
    }
    out.push(b',');
    if let Some(id) = face.track_id {
        write!(out, "{id}")?;
    }
    write!(out, ",{:.1},{:.1},{:.1},{:.1}", bounds.x, bounds.y, bounds.width, bounds.height)?;
    write!(out, ",{:.4},", face.detection.confidence)?;
    match &face.emotion {
        Some(emotion) => {
            write_text(out, emotion.label());
            write!(out, ",{:.4}", emotion.confidence())?;
        }
        None => out.push(b','),
    }
    for label in EXPRESSIONS {
        match face.emotion.as_ref().and_then(|emotion| emotion.score(label)) {
            Some(score) => write!(out, ",{score:.4}")?,
            None => out.push(b','),
        }
    }
    out.push(b',');
    if let Some(smoothed) = &face.smoothed {
        write_text(out, smoothed.label());
    }
    out.push(b'\n');
    Ok(())
}

/// Quotes where a reader would stumble.
fn write_text(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_is_one_row_with_as_many_fields_as_the_header() {
        let mut rows = HEADER.as_bytes().to_vec();
        write_rows(&super::super::json::tests::frame_with_a_happy_face(), &mut rows);
        insta::assert_snapshot!(String::from_utf8(rows).unwrap());
    }
}
