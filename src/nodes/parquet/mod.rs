//! Source: Parquet files in Hugging Face's layout.

mod native;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StructArray,
    builder::{Int64Builder, StringBuilder},
    cast::AsArray,
    types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use self::native::{native, native_field, native_type};
use super::image_folder::split_name;
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Table, TableWriter, classes,
            columns::{IMAGE, LABEL, ROW, SPLIT},
            faces::{TRAIN, image_column},
            picture,
        },
    },
    graph::dag::{Port, PortType},
};

/// Reads Parquet with pictures and labels, as Hugging Face's `datasets` writes it, or as another graph exported it.
///
/// A folder is read with all `.parquet` files below it. The split is that of the column `split`, else the one
/// that a file's name begins with (`train-00000-of-00001.parquet`), else `train`; training, val, valid and
/// testing are taken for what they mean.
///
/// All other columns are kept that are text, numbers, truth values or lists of them, so that `group`,
/// `weight` or `probabilities` of a table of one's own have their say. Files with a column `row` (int64), as
/// `export` writes them, must have the same columns where there are several: dropped, duplicate and generated
/// rows are still known for what they are. Of other files the columns that all have are kept, and rows are
/// numbered from 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parquet {
    /// A file or a folder.
    path: PathBuf,
    /// The column with pictures: a struct of bytes and path, or bytes.
    #[serde(default = "image")]
    image: String,
    /// The column with labels: integers with names in the file's metadata or in `classes`, or text. Nothing
    /// ("") where there are none.
    #[serde(default = "label")]
    label: String,
    /// The classes in the order of their labels, where the file does not say.
    #[serde(default)]
    classes: Vec<String>,
}

fn image() -> String {
    "image".into()
}

fn label() -> String {
    "label".into()
}

impl Stage for Parquet {
    const NAME: &'static str = "parquet";
    const VERSION: u32 = 5;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["path"];

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.path.is_dir() {
            return Ok(vec![self.path.clone()]);
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.path).follow_links(true).sort_by_file_name() {
            let entry = entry.with_context(|| format!("{} cannot be read", self.path.display()))?;
            if entry.path().extension().is_some_and(|extension| extension == "parquet") {
                files.push(entry.into_path());
            }
        }
        if files.is_empty() {
            bail!("{} holds no .parquet files", self.path.display());
        }
        Ok(files)
    }

    // A file may be called after its split.
    fn names_below(&self) -> Option<&Path> {
        if self.path.is_dir() { Some(&self.path) } else { self.path.parent() }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let tables: Vec<_> =
            Stage::files(self)?.iter().map(|path| Table::open(path)).collect::<anyhow::Result<_>>()?;
        let classes = self.classes_of(&tables)?;
        let kept = self.kept_of(&tables)?;
        let new = |name: &str, kind: DataType| Field::new(name, kind, true);
        let mut fields = vec![image_column(&[])?.0, new(LABEL, DataType::Int64), new(SPLIT, DataType::Utf8)];
        fields.extend(kept.iter().cloned());
        let schema = classes::with_names(Schema::new(fields), &classes);
        let mut writer = TableWriter::create(&context.table(), schema)?;
        let total: usize = tables.iter().map(Table::rows).sum();
        context.progress.begin(total, "rows");
        let mut first = 0;
        for table in &tables {
            let of_file = table.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of_file = of_file.split(['-', '.', '_']).next().and_then(split_name).unwrap_or(TRAIN);
            for batch in table.batches(None)? {
                context.check()?;
                let batch = batch?;
                let mut columns = self.faces(&batch, table.path(), &classes, of_file, first)?;
                let more = further(&batch, &kept, first);
                columns.extend(more.with_context(|| table.path().display().to_string())?);
                writer.write(&RecordBatch::try_new(writer.schema(), columns)?)?;
                first += batch.num_rows();
                context.progress.advance(batch.num_rows());
            }
        }
        writer.finish()?;
        if total == 0 {
            bail!("{} has no rows", self.path.display());
        }
        Ok(Facts::default().with("rows", total))
    }
}

impl Parquet {
    /// Given, or from the metadata, or, for labels of text, all there are.
    fn classes_of(&self, tables: &[Table]) -> anyhow::Result<Vec<String>> {
        let mut named =
            tables.iter().filter_map(|table| Some((table.path(), classes::names(table.schema())?)));
        if !self.classes.is_empty() {
            return match named.find(|(_, names)| *names != self.classes) {
                None => Ok(self.classes.clone()),
                Some((file, names)) => bail!(
                    "`classes` is {}, and {} says that its labels are {}: leave `classes` out",
                    self.classes.join(", "),
                    file.display(),
                    names.join(", ")
                ),
            };
        }
        if let Some((file, names)) = named.next() {
            if let Some((other, _)) = named.find(|(_, others)| *others != names) {
                bail!(
                    "{} and {} do not have the same classes in the same order: read each by itself",
                    file.display(),
                    other.display()
                );
            }
            return Ok(names);
        }
        let mut found = std::collections::BTreeSet::new();
        for table in tables.iter().filter(|_| !self.label.is_empty()) {
            if native_type(
                &self.label,
                table
                    .field(&self.label)
                    .context("where rows have no labels, write label = \"\"")?
                    .data_type(),
            ) != DataType::Utf8
            {
                bail!(
                    "{} does not say what its labels are called: give `classes = [...]` in the order of the labels",
                    table.path().display()
                );
            }
            let labels = native(&self.label, &table.column(&self.label)?)?;
            found.extend(labels.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    /// The columns that are kept beside picture, label and split, `row` first. Where files have `row`,
    /// another graph has written them, and they have the same columns; of others, what all have.
    fn kept_of(&self, tables: &[Table]) -> anyhow::Result<Vec<Field>> {
        let Some((first, others)) = tables.split_first() else { return Ok(Vec::new()) };
        let mut kept = self.kept(first)?;
        for other in others {
            let also = self.kept(other)?;
            let mut only_one = kept.iter().filter(|field| !also.contains(field));
            let mut only_other = also.iter().filter(|field| !kept.contains(field));
            match only_one.next().or_else(|| only_other.next()) {
                Some(field) if first.has(ROW) || other.has(ROW) => bail!(
                    "{} and {} do not have the same column `{}`: read each by itself, or give them the same columns, of the \
                     same types",
                    first.path().display(),
                    other.path().display(),
                    field.name()
                ),
                Some(field) => {
                    tracing::warn!(
                        "parquet: the column `{}` is left out: {} and {} do not both have it, of one type",
                        field.name(),
                        first.path().display(),
                        other.path().display()
                    );
                    kept.retain(|field| also.contains(field));
                }
                None => {}
            }
        }
        Ok(kept)
    }

    /// The columns of a file that are kept: `row`, and all others that are not made anew.
    fn kept(&self, table: &Table) -> anyhow::Result<Vec<Field>> {
        let file = table.path().display();
        let anew = [self.image.as_str(), IMAGE, LABEL, SPLIT, ROW];
        let fields = table.schema().fields().iter().map(|field| &**field);
        let others = fields.filter(|field| !anew.contains(&field.name().as_str())).map(native_field);
        if !table.has(ROW) {
            let can_be_kept = |field: &Field| match classes::with_features(Schema::new(vec![field.clone()])) {
                Ok(_) => true,
                Err(error) => {
                    tracing::warn!("parquet: a column of {file} is left out: {error:#}");
                    false
                }
            };
            let row = Field::new(ROW, DataType::Int64, true);
            return Ok(std::iter::once(row).chain(others.filter(can_be_kept)).collect());
        }
        let row = table.field(ROW)?;
        if *row.data_type() != DataType::Int64 {
            bail!(
                "the column `row` of {file} has type {}, expected Int64, the number of the row in its source: convert it, or \
                 give it another name where it says something else",
                row.data_type()
            );
        }
        let kept: Vec<Field> = std::iter::once(native_field(row)).chain(others).collect();
        classes::with_features(Schema::new(kept.clone()))
            .with_context(|| format!("{file}: convert what cannot be kept, or leave it out of the file"))?;
        Ok(kept)
    }

    /// Pictures, labels and splits of some rows, of which `first` is the number of the first.
    fn faces(
        &self,
        batch: &RecordBatch,
        file: &Path,
        classes: &[String],
        of_file: &str,
        first: usize,
    ) -> anyhow::Result<Vec<ArrayRef>> {
        let missing = |name: &str| {
            let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            format!("{} has no column `{name}`; it has: {}", file.display(), names.join(", "))
        };
        let pictures = batch.column_by_name(&self.image).with_context(|| missing(&self.image))?;
        let images = bytes_of(pictures).with_context(|| {
            let kind = pictures.data_type();
            format!(
                "the column `{}` of {} has type {kind}, expected a struct of bytes and path, or bytes",
                self.image,
                file.display()
            )
        })?;
        let labels = match self.label.is_empty() {
            true => None,
            false => {
                let labels = batch.column_by_name(&self.label).with_context(|| {
                    format!("{}; where rows have no labels, write label = \"\"", missing(&self.label))
                })?;
                Some(native(&self.label, labels)?)
            }
        };
        let splits = batch.column_by_name(SPLIT).map(|splits| native(SPLIT, splits)).transpose()?;
        let text = |splits: &ArrayRef| {
            splits.as_string_opt::<i32>().cloned().with_context(|| {
                let kind = splits.data_type();
                format!("the column `split` of {} has type {kind}, expected text", file.display())
            })
        };
        let splits = splits.as_ref().map(text).transpose()?;
        let (mut known_labels, mut known_splits) = (Int64Builder::new(), StringBuilder::new());
        for at in 0..batch.num_rows() {
            let what = || format!("row {} of {}", first + at, file.display());
            let bytes = images.is_valid(at).then(|| images.value(at));
            let bytes = bytes.with_context(|| format!("{} has no picture", what()))?;
            picture::size(bytes).with_context(what)?;
            let label = labels
                .as_ref()
                .map(|labels| label_of(labels, at, classes))
                .transpose()
                .with_context(what)?
                .flatten();
            known_labels.append_option(label.map(i64::try_from).transpose()?);
            let split = splits.as_ref().filter(|splits| splits.is_valid(at));
            let split = split.map_or(of_file, |splits| splits.value(at));
            known_splits.append_value(split_name(split).unwrap_or(split));
        }
        let pictures = named(pictures, &images, first)?;
        Ok(vec![pictures, Arc::new(known_labels.finish()), Arc::new(known_splits.finish())])
    }
}

/// The columns that are kept; rows without a number are numbered from `first`.
fn further(batch: &RecordBatch, kept: &[Field], first: usize) -> anyhow::Result<Vec<ArrayRef>> {
    let column = |field: &Field| -> anyhow::Result<ArrayRef> {
        let name = field.name();
        let Some(column) = batch.column_by_name(name) else {
            let rows = (i64::try_from(first)?..).take(batch.num_rows());
            return Ok(Arc::new(Int64Array::from_iter_values(rows)));
        };
        if name == ROW && column.null_count() > 0 {
            bail!("not every row has a number in the column `row`: give each one, or leave the column out");
        }
        native(name, column)
    };
    kept.iter().map(column).collect()
}

/// The column `image`: pictures that have no names get some.
fn named(pictures: &ArrayRef, images: &BinaryArray, first: usize) -> anyhow::Result<ArrayRef> {
    if pictures.data_type() == image_column(&[])?.0.data_type() {
        return Ok(Arc::clone(pictures));
    }
    let name = |(row, bytes): (usize, &[u8])| {
        (bytes.to_vec(), format!("{row:07}.{}", picture::format(bytes).unwrap_or("png")))
    };
    let named: Vec<_> = (first..).zip(images.iter().flatten()).map(name).collect();
    Ok(image_column(&named)?.1)
}

fn bytes_of(column: &ArrayRef) -> Option<BinaryArray> {
    let bytes = match column.as_any().downcast_ref::<StructArray>() {
        Some(parts) => parts.column_by_name("bytes")?.clone(),
        None => column.clone(),
    };
    match bytes.data_type() {
        DataType::Binary => Some(bytes.as_binary::<i32>().clone()),
        DataType::LargeBinary => Some(bytes.as_binary::<i64>().iter().collect()),
        DataType::BinaryView => Some(bytes.as_binary_view().iter().collect()),
        _ => None,
    }
}

fn label_of(labels: &ArrayRef, at: usize, classes: &[String]) -> anyhow::Result<Option<usize>> {
    if labels.is_null(at) {
        return Ok(None);
    }
    let number = match labels.data_type() {
        DataType::Int64 => Some(labels.as_primitive::<Int64Type>().value(at)),
        DataType::Int32 => Some(labels.as_primitive::<Int32Type>().value(at).into()),
        DataType::Int16 => Some(labels.as_primitive::<Int16Type>().value(at).into()),
        DataType::Int8 => Some(labels.as_primitive::<Int8Type>().value(at).into()),
        // One beyond any class stays so.
        DataType::UInt64 => {
            Some(i64::try_from(labels.as_primitive::<UInt64Type>().value(at)).unwrap_or(i64::MAX))
        }
        DataType::UInt32 => Some(labels.as_primitive::<UInt32Type>().value(at).into()),
        DataType::UInt16 => Some(labels.as_primitive::<UInt16Type>().value(at).into()),
        DataType::UInt8 => Some(labels.as_primitive::<UInt8Type>().value(at).into()),
        DataType::Utf8 => {
            let name = labels.as_string::<i32>().value(at);
            let found = classes.iter().position(|class| class == name);
            return found
                .map(Some)
                .with_context(|| format!("the label `{name}` is none of {}", classes.join(", ")));
        }
        other => bail!("labels have type {other}, expected integers or text"),
    };
    match number.map(usize::try_from) {
        Some(Ok(label)) if label < classes.len() => Ok(Some(label)),
        // What `datasets` writes where there is no label.
        Some(Err(_)) if number == Some(-1) => Ok(None),
        _ => bail!("the label {} is beyond the {} classes", number.unwrap_or_default(), classes.len()),
    }
}
