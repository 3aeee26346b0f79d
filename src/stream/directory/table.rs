//! The Parquet table of faces, one row a face. Written in row groups, so that memory does not grow with the video.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::Context;
use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Float32Builder, Int64Builder, StringBuilder, UInt64Builder},
};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_vision::face::{EXPRESSIONS, Emotion, FrameFaces};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

/// Rows that wait in memory.
const BATCH: usize = 8192;
/// Rows of one row group.
const ROW_GROUP: usize = 65536;

/// An open table. `finish` completes it; a table that is dropped before has no footer and no reader takes it for one.
pub struct FacesTable {
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    rows: Rows,
}

#[derive(Default)]
struct Rows {
    count: usize,
    source: StringBuilder,
    frame: UInt64Builder,
    pts: Int64Builder,
    track: UInt64Builder,
    /// x, y, width, height, detection confidence.
    geometry: [Float32Builder; 5],
    label: StringBuilder,
    label_confidence: Float32Builder,
    scores: [Float32Builder; 7],
    smoothed: StringBuilder,
}

fn schema() -> Schema {
    let float = |name: &str, nullable| Field::new(name, DataType::Float32, nullable);
    let mut fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("frame", DataType::UInt64, false),
        Field::new("pts_ns", DataType::Int64, true),
        Field::new("track", DataType::UInt64, true),
    ];
    fields.extend(["x", "y", "w", "h", "confidence"].map(|name| float(name, false)));
    fields.extend([Field::new("label", DataType::Utf8, true), float("label_confidence", true)]);
    fields.extend(EXPRESSIONS.map(|name| float(name, true)));
    fields.push(Field::new("smoothed", DataType::Utf8, true));
    Schema::new(fields)
}

impl FacesTable {
    /// Begins a table.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let schema = Arc::new(schema());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, rows: Rows::default() })
    }

    /// Adds the faces of a frame.
    pub fn add(&mut self, frame: &FrameFaces) -> anyhow::Result<()> {
        let rows = &mut self.rows;
        for face in &frame.faces {
            rows.count += 1;
            rows.source.append_value(&*frame.source);
            rows.frame.append_value(frame.frame);
            rows.pts.append_option(frame.pts.and_then(|pts| i64::try_from(pts).ok()));
            rows.track.append_option(face.track_id);
            let bounds = &face.detection.box_in_frame;
            let values = [bounds.x, bounds.y, bounds.width, bounds.height, face.detection.confidence];
            rows.geometry.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
            let emotion = face.emotion.as_ref();
            rows.label.append_option(emotion.map(Emotion::label));
            rows.label_confidence.append_option(emotion.map(Emotion::confidence));
            for (column, label) in rows.scores.iter_mut().zip(EXPRESSIONS) {
                column.append_option(emotion.and_then(|emotion| emotion.score(label)));
            }
            rows.smoothed.append_option(face.smoothed.as_ref().map(Emotion::label));
        }
        if rows.count >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let rows = &mut self.rows;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.source.finish()),
            Arc::new(rows.frame.finish()),
            Arc::new(rows.pts.finish()),
            Arc::new(rows.track.finish()),
        ];
        columns.extend(rows.geometry.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(rows.label.finish()));
        columns.push(Arc::new(rows.label_confidence.finish()));
        columns.extend(rows.scores.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(rows.smoothed.finish()));
        rows.count = 0;
        self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
        Ok(())
    }

    /// Writes what is left and the footer.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        let file = self.writer.into_inner()?;
        file.sync_all()?;
        Ok(())
    }
}
