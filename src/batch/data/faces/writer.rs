//! Writes tables of faces.

use std::{path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch, StructArray,
    builder::{BinaryBuilder, Int64Builder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema};

use super::images::image_fields;
use crate::batch::data::{
    TableWriter, classes,
    columns::{IMAGE, LABEL, ROW, SPLIT},
    table::BATCH,
};

/// Writes a table of faces row by row.
pub struct FacesWriter {
    writer: TableWriter,
    bytes: BinaryBuilder,
    paths: StringBuilder,
    labels: Int64Builder,
    splits: StringBuilder,
    rows: Int64Builder,
    waiting: usize,
    more: Vec<(Field, StringBuilder)>,
}

/// A row to write.
#[derive(Clone, Debug)]
pub struct NewFace<'a> {
    /// The picture, as PNG or JPEG.
    pub image: &'a [u8],
    /// A name for it.
    pub path: &'a str,
    /// Its class.
    pub label: Option<usize>,
    /// Its split.
    pub split: &'a str,
    /// Its number in the source.
    pub row: usize,
}

impl FacesWriter {
    /// Begins a table with these classes.
    pub fn create(path: &Path, classes: &[String]) -> anyhow::Result<Self> {
        Self::with_text(path, classes, &[])
    }

    /// As [`FacesWriter::create`], with further columns of text.
    pub fn with_text(path: &Path, classes: &[String], more: &[&str]) -> anyhow::Result<Self> {
        let mut fields = vec![
            Field::new(IMAGE, DataType::Struct(image_fields()), true),
            Field::new(LABEL, DataType::Int64, true),
            Field::new(SPLIT, DataType::Utf8, true),
            Field::new(ROW, DataType::Int64, true),
        ];
        let more: Vec<_> = more.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        fields.extend(more.iter().cloned());
        Ok(Self {
            writer: TableWriter::create(path, classes::with_names(Schema::new(fields), classes))?,
            bytes: BinaryBuilder::new(),
            paths: StringBuilder::new(),
            labels: Int64Builder::new(),
            splits: StringBuilder::new(),
            rows: Int64Builder::new(),
            waiting: 0,
            more: more.into_iter().map(|field| (field, StringBuilder::new())).collect(),
        })
    }

    /// Adds a row; `more` are the values of the further columns.
    pub fn add(&mut self, face: &NewFace<'_>, more: &[&str]) -> anyhow::Result<()> {
        self.bytes.append_value(face.image);
        self.paths.append_value(face.path);
        self.labels.append_option(face.label.map(i64::try_from).transpose()?);
        self.splits.append_value(face.split);
        self.rows.append_value(i64::try_from(face.row)?);
        self.more.iter_mut().zip(more).for_each(|((_, column), value)| column.append_value(value));
        self.waiting += 1;
        if self.waiting >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let image: Vec<ArrayRef> = vec![Arc::new(self.bytes.finish()), Arc::new(self.paths.finish())];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StructArray::try_new(image_fields(), image, None)?),
            Arc::new(self.labels.finish()),
            Arc::new(self.splits.finish()),
            Arc::new(self.rows.finish()),
        ];
        columns.extend(self.more.iter_mut().map(|(_, column)| Arc::new(column.finish()) as ArrayRef));
        self.waiting = 0;
        self.writer.write(&RecordBatch::try_new(self.writer.schema(), columns)?)
    }

    /// Writes what is left.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        self.writer.finish()
    }
}
