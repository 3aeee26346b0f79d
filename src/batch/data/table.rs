//! Reads and writes Parquet tables in pieces.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

use super::classes;
use crate::graph::keys::did_you_mean;

/// Rows that are read and written at once.
pub const BATCH: usize = 1024;
/// Rows of one row group.
const ROW_GROUP: usize = 8192;

/// A Parquet file.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    schema: SchemaRef,
    rows: usize,
}

impl Table {
    /// Opens a file and reads its schema.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let wrong = || format!("{} is no Parquet file, or a damaged one", path.display());
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).with_context(wrong)?;
        let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).with_context(wrong)?;
        Ok(Self { path: path.to_owned(), schema: Arc::clone(builder.schema()), rows })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it has this column.
    pub fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }

    /// All rows with these columns, or with all, in pieces of [`BATCH`].
    pub fn batches(
        &self,
        columns: Option<&[&str]>,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<RecordBatch>> + use<>> {
        let file =
            File::open(&self.path).with_context(|| format!("{} cannot be read", self.path.display()))?;
        let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH);
        if let Some(columns) = columns {
            // By place: by name, a dot in one would lead inside a column.
            let mut places = Vec::new();
            for column in columns {
                self.field(column)?;
                places.push(self.schema.index_of(column)?);
            }
            let mask = ProjectionMask::roots(builder.parquet_schema(), places);
            builder = builder.with_projection(mask);
        }
        let path = self.path.clone();
        let reader = builder.build()?;
        Ok(reader.map(move |batch| batch.with_context(|| format!("{} is damaged", path.display()))))
    }

    /// A column's field, or an error that says which columns there are.
    pub fn field(&self, column: &str) -> anyhow::Result<&Field> {
        self.schema.field_with_name(column).map_err(|_| {
            let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            let hint = did_you_mean(column, names.iter().copied());
            anyhow!("{} has no column `{column}`{hint} (it has: {})", self.path.display(), names.join(", "))
        })
    }

    /// A whole column. For small ones: all of it is in memory.
    pub fn column(&self, column: &str) -> anyhow::Result<ArrayRef> {
        let mut parts = Vec::new();
        for batch in self.batches(Some(&[column]))? {
            parts.extend(batch?.columns().first().cloned());
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        if parts.is_empty() {
            return Ok(arrow_array::new_empty_array(self.field(column)?.data_type()));
        }
        Ok(arrow_select::concat::concat(&parts)?)
    }

    /// As [`Table::typed`], of a column that may be missing.
    pub fn optional<A: Array + Clone + 'static>(&self, name: &str) -> anyhow::Result<Option<A>> {
        self.has(name).then(|| self.typed(name)).transpose()
    }

    /// A whole column of a type, or an error that says which type it has.
    pub fn typed<A: Array + Clone + 'static>(&self, column: &str) -> anyhow::Result<A> {
        let array = self.column(column)?;
        array.as_any().downcast_ref::<A>().cloned().with_context(|| {
            let wanted = std::any::type_name::<A>();
            // Text is an array of bytes of a type whose own name has another in it.
            let wanted = if wanted.contains("GenericString") {
                "Utf8"
            } else {
                wanted.rsplit("::").next().unwrap_or_default()
            };
            let wanted = wanted.trim_end_matches('>').trim_end_matches("Type").trim_end_matches("Array");
            format!(
                "the column `{column}` of {} has type {}, which does not fit {wanted}",
                self.path.display(),
                array.data_type()
            )
        })
    }

    /// The same table, its classes called so.
    pub fn with_classes(&self, names: &[String]) -> Self {
        let schema = Arc::new(classes::with_names(self.schema.as_ref().clone(), names));
        Self { schema, ..self.clone() }
    }

    /// Writes this table with further columns, which take the place of those of the same name.
    pub fn write_with(&self, path: &Path, columns: &[(Field, ArrayRef)]) -> anyhow::Result<()> {
        let is_new = |field: &Field| columns.iter().any(|(new, _)| new.name() == field.name());
        let mut fields: Vec<Field> = self
            .schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .filter(|field| !is_new(field))
            .collect();
        fields.extend(columns.iter().map(|(field, _)| field.clone()));
        if let Some((field, array)) = columns.iter().find(|(_, array)| array.len() != self.rows) {
            bail!("a bug: the column `{}` has {} rows of {}", field.name(), array.len(), self.rows);
        }
        let schema = Schema::new_with_metadata(fields, self.schema.metadata().clone());
        let mut writer = TableWriter::create(path, schema)?;
        let mut begin = 0;
        for batch in self.batches(None)? {
            let batch = batch?;
            let part = |field: &Arc<Field>| match columns.iter().find(|(new, _)| new.name() == field.name()) {
                Some((_, array)) => Some(array.slice(begin, batch.num_rows())),
                None => batch.column_by_name(field.name()).cloned(),
            };
            let arrays: Vec<_> = writer.schema.fields().iter().filter_map(part).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&writer.schema), arrays)?)?;
            begin += batch.num_rows();
        }
        writer.finish()?;
        Ok(())
    }

    /// Writes this table with further rows behind its own, given as columns of equal length. Columns that
    /// `more` lacks are null in the further rows, and those that only `more` has are null in the rows before.
    /// A column that is there already must have the type that it has here.
    pub fn write_appended(&self, path: &Path, more: &[(Field, ArrayRef)]) -> anyhow::Result<()> {
        let further = more.first().map_or(0, |(_, array)| array.len());
        if let Some((field, array)) = more.iter().find(|(_, array)| array.len() != further) {
            bail!("a bug: the column `{}` has {} further rows of {further}", field.name(), array.len());
        }
        let find = |name: &str| more.iter().find(|(field, _)| field.name() == name);
        let mut fields = Vec::new();
        for field in self.schema.fields() {
            if let Some((new, _)) = find(field.name()).filter(|(new, _)| new.data_type() != field.data_type())
            {
                bail!(
                    "the column `{}` of {} has type {}, and rows with {} cannot be put behind: rename or leave it out",
                    field.name(),
                    self.path.display(),
                    field.data_type(),
                    new.data_type()
                );
            }
            // Also where the file promises that nothing is null: that of further rows may be.
            fields.push(field.as_ref().clone().with_nullable(true));
        }
        let only_here = more.iter().filter(|(field, _)| !self.has(field.name()));
        fields.extend(only_here.map(|(field, _)| field.clone().with_nullable(true)));
        let schema = Schema::new_with_metadata(fields, self.schema.metadata().clone());
        let mut writer = TableWriter::create(path, schema)?;
        let schema = writer.schema();
        for batch in self.batches(None)? {
            let batch = batch?;
            let part = |field: &Arc<Field>| {
                let there = batch.column_by_name(field.name()).cloned();
                there.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
            };
            let arrays = schema.fields().iter().map(part).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays)?)?;
        }
        if further > 0 {
            let part = |field: &Arc<Field>| match find(field.name()) {
                Some((_, array)) => Arc::clone(array),
                None => new_null_array(field.data_type(), further),
            };
            let arrays = schema.fields().iter().map(part).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays)?)?;
        }
        writer.finish()
    }

    /// Writes the rows of these numbers, in the order given; a number may come twice. The table is read once for each
    /// stretch of rising numbers, so that never all of it is in memory.
    pub fn write_rows(&self, path: &Path, rows: &[usize], more: &[(Field, ArrayRef)]) -> anyhow::Result<()> {
        let mut fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.retain(|field| !more.iter().any(|(new, _)| new.name() == field.name()));
        fields.extend(more.iter().map(|(field, _)| field.clone()));
        let mut writer =
            TableWriter::create(path, Schema::new_with_metadata(fields, self.schema.metadata().clone()))?;
        let mut written = 0;
        for rising in rows.chunk_by(|a, b| a < b) {
            let (mut rest, mut first) = (rising, 0);
            for batch in self.batches(None)? {
                let batch = batch?;
                let end = first + batch.num_rows();
                let (here, later) = rest.split_at(rest.partition_point(|row| *row < end));
                if !here.is_empty() {
                    let places: UInt64Array = here.iter().map(|row| (row - first) as u64).collect();
                    let column = |field: &Arc<Field>| -> anyhow::Result<ArrayRef> {
                        if let Some((_, array)) = more.iter().find(|(new, _)| new.name() == field.name()) {
                            return Ok(array.slice(written, here.len()));
                        }
                        let column = batch.column_by_name(field.name()).context("a bug: a column is gone")?;
                        Ok(arrow_select::take::take(column, &places, None)?)
                    };
                    let arrays = writer.schema.fields().iter().map(column).collect::<anyhow::Result<_>>()?;
                    writer.write(&RecordBatch::try_new(Arc::clone(&writer.schema), arrays)?)?;
                    written += here.len();
                }
                (rest, first) = (later, end);
                if rest.is_empty() {
                    break;
                }
            }
        }
        if written != rows.len() {
            bail!(
                "a bug: {} rows of {} are not in {}",
                rows.len() - written,
                rows.len(),
                self.path.display()
            );
        }
        writer.finish()
    }
}

/// A table that is being written. Without [`TableWriter::finish`] it has no footer, and no reader takes it for one.
pub struct TableWriter {
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    path: PathBuf,
}

impl TableWriter {
    /// Begins a table with these columns. The features that `datasets` reads are made to fit them.
    pub fn create(path: &Path, schema: Schema) -> anyhow::Result<Self> {
        let schema = Arc::new(classes::with_features(schema)?);
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        // Lists of a fixed length hold measured numbers, of which hardly any two are alike: a dictionary of
        // them helps nobody.
        let lists = schema.fields().iter().filter_map(|field| match field.data_type() {
            DataType::FixedSizeList(item, _) => {
                Some(ColumnPath::new(vec![field.name().clone(), "list".into(), item.name().clone()]))
            }
            _ => None,
        });
        let builder = lists.fold(WriterProperties::builder(), |builder, path| {
            builder.set_column_dictionary_enabled(path, false)
        });
        let properties = builder
            .set_created_by("ferroflow".to_owned())
            .set_compression(Compression::SNAPPY)
            // Pictures are compressed already, and each is another.
            .set_column_compression(
                ColumnPath::new(vec!["image".into(), "bytes".into()]),
                Compression::UNCOMPRESSED,
            )
            .set_column_dictionary_enabled(ColumnPath::new(vec!["image".into(), "bytes".into()]), false)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        Ok(Self { writer, schema, path: path.to_owned() })
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.writer.write(batch).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// Writes what is left and the footer.
    pub fn finish(self) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be written", self.path.display());
        let file = self.writer.into_inner().with_context(cannot)?;
        file.sync_all().with_context(cannot)
    }
}
