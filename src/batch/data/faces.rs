//! Tables of faces. The columns that every one has:
//!
//! | column | type | what it is |
//! |---|---|---|
//! | `image` | struct of bytes and path | the picture as PNG or JPEG, and a name for it |
//! | `label` | int64, may be null | index of the class; names are in the metadata |
//! | `split` | string | `train`, `validation` or `test` |
//! | `row` | int64 | number of the row in its source, from 0 |
//!
//! Stages add columns: `dropped` is why a row no longer counts (null while it does), `dropped_by` the kind of node that
//! dropped it, `dropped_score` the number behind that; `original_label` is the label before relabelling. `generator` is the
//! network that made a face, null for real ones, and `source_row` the `row` that it was made of. Rows of one `group` (text or a number), the video that they
//! are of for one, are never divided. No row is removed for being
//! dropped, and no picture is changed in place.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context, bail};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float32Array, Int64Array, RecordBatch, StringArray, StructArray,
    builder::{BinaryBuilder, Float32Builder, Int64Builder, StringBuilder},
};
use arrow_schema::{DataType, Field, Fields, Schema};

use super::{
    Table, TableWriter, classes,
    picture::{self, Gray},
    table::BATCH,
};
use crate::{batch::flow, graph::keys::did_you_mean};

/// The split that models learn from.
pub const TRAIN: &str = "train";
/// The split that choices are made on.
pub const VALIDATION: &str = "validation";
/// The split that is looked at last.
pub const TEST: &str = "test";

/// [`TRAIN`] where a parameter names no split.
pub fn train() -> String {
    TRAIN.to_owned()
}

/// [`VALIDATION`] where a parameter names no split.
pub fn validation() -> String {
    VALIDATION.to_owned()
}

/// [`TEST`] where a parameter names no split.
pub fn test() -> String {
    TEST.to_owned()
}

/// The column with what made a face; null for real ones.
pub const GENERATOR: &str = "generator";
/// The column with the `row` that a face was made of; null for real ones.
pub const SOURCE_ROW: &str = "source_row";
/// The column of what rows are to stay together by, a video for one.
pub const GROUP: &str = "group";

/// Fields of the column `image`.
fn image_fields() -> Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into()
}

/// A table of faces, checked.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The table.
    pub table: Table,
    /// The classes' names.
    pub classes: Vec<String>,
}

impl Faces {
    /// Checks that a table has the columns of faces.
    pub fn of(table: Table) -> anyhow::Result<Self> {
        let expected = [
            ("image", DataType::Struct(image_fields())),
            ("label", DataType::Int64),
            ("split", DataType::Utf8),
            ("row", DataType::Int64),
        ];
        for (name, kind) in expected {
            let found = table.field(name)?.data_type();
            if *found != kind {
                let path = table.path().display();
                bail!("the column `{name}` of {path} has type {found}, expected {kind}");
            }
        }
        let classes = classes::names(table.schema())
            .with_context(|| format!("{} has no names for its classes", table.path().display()))?;
        if let Some(twice) = classes.iter().enumerate().find(|(at, name)| classes[..*at].contains(name)) {
            bail!("{} has the class `{}` twice", table.path().display(), twice.1);
        }
        Ok(Self { table, classes })
    }

    /// The label of each row; nothing where it has none.
    pub fn labels(&self) -> anyhow::Result<Vec<Option<usize>>> {
        let labels: Int64Array = self.table.typed("label")?;
        let path = self.table.path().display();
        let one = |label: Option<i64>| match label.map(usize::try_from) {
            None => Ok(None),
            Some(Ok(label)) if label < self.classes.len() => Ok(Some(label)),
            _ => bail!("{path} has the label {label:?}, beyond its {} classes", self.classes.len()),
        };
        labels.iter().map(one).collect()
    }

    /// The split of each row.
    pub fn splits(&self) -> anyhow::Result<Vec<String>> {
        let splits: StringArray = self.table.typed("split")?;
        Ok(splits.iter().map(|split| split.unwrap_or_default().to_owned()).collect())
    }

    /// The number of each row in its source.
    pub fn source_rows(&self) -> anyhow::Result<Int64Array> {
        self.table.typed("row")
    }

    /// Why each row no longer counts; nothing where it does.
    pub fn dropped(&self) -> anyhow::Result<Vec<Option<String>>> {
        if !self.table.has("dropped") {
            return Ok(vec![None; self.table.rows()]);
        }
        let dropped: StringArray = self.table.typed("dropped")?;
        Ok(dropped.iter().map(|reason| reason.map(str::to_owned)).collect())
    }

    /// Whether each row was made by a network.
    pub fn generated(&self) -> anyhow::Result<Vec<bool>> {
        if !self.table.has(GENERATOR) {
            return Ok(vec![false; self.table.rows()]);
        }
        let generators = self.table.column(GENERATOR)?;
        Ok((0..generators.len()).map(|row| generators.is_valid(row)).collect())
    }

    /// The group that each row belongs to: its duplicates (`duplicate_group`), where somebody has looked for them, its
    /// copies, which have its `row`, what was made of it (`source_row`), and those of the same `group`, such as a video: a network that has
    /// learnt from some of them knows the others.
    pub fn groups(&self) -> anyhow::Result<Vec<u32>> {
        let of_rows = self.copies()?;
        if !self.table.has(GROUP) {
            return Ok(of_rows);
        }
        let column = self.table.column(GROUP)?;
        let groups: Vec<Option<String>> = if let Some(names) = column.as_any().downcast_ref::<StringArray>() {
            names.iter().map(|name| name.map(str::to_owned)).collect()
        } else if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>() {
            numbers.iter().map(|number| number.map(|number| number.to_string())).collect()
        } else {
            bail!("the column `{GROUP}` is {}, and must be text or whole numbers", column.data_type());
        };
        Ok(joined(&of_rows, &groups))
    }

    fn copies(&self) -> anyhow::Result<Vec<u32>> {
        let rows = self.source_rows()?;
        let found = self.table.has("duplicate_group");
        let groups: Option<Int64Array> = found.then(|| self.table.typed("duplicate_group")).transpose()?;
        let mut numbers = std::collections::BTreeMap::new();
        let mut next = 0u32;
        let mut fresh = || {
            next += 1;
            next - 1
        };
        let mut number = |at: usize| {
            let group = groups.as_ref().filter(|groups| groups.is_valid(at)).map(|groups| groups.value(at));
            let row = rows.is_valid(at).then(|| rows.value(at));
            match (group, row.filter(|_| group.is_none())) {
                (None, None) => fresh(),
                known => *numbers.entry(known).or_insert_with(&mut fresh),
            }
        };
        let mut of_rows: Vec<u32> = (0..self.table.rows()).map(&mut number).collect();
        let generated = self.generated()?;
        if generated.contains(&true) && self.table.has(SOURCE_ROW) {
            let sources: Int64Array = self.table.typed(SOURCE_ROW)?;
            let real = (0..of_rows.len()).filter(|at| !generated[*at] && rows.is_valid(*at));
            let of_source: std::collections::BTreeMap<i64, u32> =
                real.map(|at| (rows.value(at), of_rows[at])).collect();
            for at in (0..of_rows.len()).filter(|at| generated[*at] && sources.is_valid(*at)) {
                of_rows[at] = of_source.get(&sources.value(at)).copied().unwrap_or(of_rows[at]);
            }
        }
        Ok(of_rows)
    }

    /// The pictures as they are stored, in pieces, with the number of the first row of each.
    pub fn images(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(usize, BinaryArray)>> + use<>> {
        let mut next = 0;
        let path = self.table.path().to_owned();
        let batches = self.table.batches(Some(&["image"]))?;
        Ok(batches.map(move |batch| {
            let batch = batch?;
            let first = next;
            next += batch.num_rows();
            Ok((first, image_bytes(&batch).with_context(|| path.display().to_string())?))
        }))
    }

    /// All pictures decoded, which must all be of one size: width, height, and pixels one picture after the other.
    pub fn gray_pixels(&self, workers: usize) -> anyhow::Result<(usize, usize, Vec<u8>)> {
        let (mut size, mut all) = (None, Vec::new());
        let decode = |(): &mut (), (first, images): (usize, BinaryArray)| decode_all(first, &images);
        flow::in_order(
            self.images()?,
            workers,
            || Ok(()),
            decode,
            |pictures| {
                for (row, picture) in pictures {
                    let this = (picture.width, picture.height);
                    let (width, height) = *size.get_or_insert(this);
                    if this != (width, height) {
                        bail!(
                            "row {row} has {}x{} pixels, the rows before {width}x{height}: all must be of one size",
                            this.0,
                            this.1
                        );
                    }
                    all.extend_from_slice(&picture.pixels);
                }
                Ok(())
            },
        )?;
        let (width, height) = size.unwrap_or_default();
        Ok((width, height, all))
    }
}

/// Refuses a name that is the split of no row.
pub fn check_splits(asked: &[String], splits: &[String]) -> anyhow::Result<()> {
    let Some(unknown) = asked.iter().find(|name| !splits.contains(name)) else { return Ok(()) };
    let known: BTreeSet<&str> = splits.iter().map(String::as_str).collect();
    let hint = did_you_mean(unknown, known.iter().copied());
    bail!(
        "no row is in the split `{unknown}`{hint} (splits: {})",
        known.into_iter().collect::<Vec<_>>().join(", ")
    )
}

/// Decodes a piece; row numbers in errors and answers.
pub fn decode_all(first: usize, images: &BinaryArray) -> anyhow::Result<Vec<(usize, Gray)>> {
    decode(first, images, &|_| true)
}

/// As [`decode_all`], but only the rows that are `wanted`.
pub fn decode(
    first: usize,
    images: &BinaryArray,
    wanted: &(dyn Fn(usize) -> bool + Sync),
) -> anyhow::Result<Vec<(usize, Gray)>> {
    let one = |(row, bytes): (usize, Option<&[u8]>)| {
        let bytes = bytes.with_context(|| format!("row {row} has no picture"))?;
        Ok((row, picture::decode_gray(bytes).with_context(|| format!("the picture of row {row}"))?))
    };
    (first..).zip(images.iter()).filter(|(row, _)| wanted(*row)).map(one).collect()
}

/// The bytes in the column `image`.
pub fn image_bytes(batch: &RecordBatch) -> anyhow::Result<BinaryArray> {
    let images =
        batch.column_by_name("image").and_then(|column| column.as_any().downcast_ref::<StructArray>());
    let bytes = images.and_then(|images| images.column_by_name("bytes"));
    let bytes = bytes.and_then(|bytes| bytes.as_any().downcast_ref::<BinaryArray>());
    bytes.cloned().context("the column `image` has no `bytes`")
}

/// The column `image` of these pictures, each with a name.
pub fn image_column(pictures: &[(Vec<u8>, String)]) -> anyhow::Result<(Field, ArrayRef)> {
    let (mut bytes, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    for (picture, name) in pictures {
        bytes.append_value(picture);
        paths.append_value(name);
    }
    let parts: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), Arc::new(paths.finish())];
    let column = StructArray::try_new(image_fields(), parts, None)?;
    Ok((Field::new("image", DataType::Struct(image_fields()), true), Arc::new(column)))
}

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
    pub fn create(path: &std::path::Path, classes: &[String]) -> anyhow::Result<Self> {
        Self::with_text(path, classes, &[])
    }

    /// As [`FacesWriter::create`], with further columns of text.
    pub fn with_text(path: &std::path::Path, classes: &[String], more: &[&str]) -> anyhow::Result<Self> {
        let mut fields = vec![
            Field::new("image", DataType::Struct(image_fields()), true),
            Field::new("label", DataType::Int64, true),
            Field::new("split", DataType::Utf8, true),
            Field::new("row", DataType::Int64, true),
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

/// The three columns of dropped rows, with those that were dropped before kept as they are.
pub fn dropped_columns(
    faces: &Faces,
    by: &str,
    decisions: &[Option<(String, f32)>],
) -> anyhow::Result<Vec<(Field, ArrayRef)>> {
    let rows = faces.table.rows();
    let before = faces.dropped()?;
    let (old_by, old_score): (StringArray, Float32Array) = match faces.table.has("dropped_by") {
        true => (faces.table.typed("dropped_by")?, faces.table.typed("dropped_score")?),
        false => (StringArray::new_null(rows), Float32Array::new_null(rows)),
    };
    let (mut reasons, mut authors, mut scores) =
        (StringBuilder::new(), StringBuilder::new(), Float32Builder::new());
    for (row, before) in before.iter().enumerate() {
        match (before, decisions.get(row).and_then(Option::as_ref)) {
            (Some(reason), _) => {
                reasons.append_value(reason);
                authors.append_option(old_by.is_valid(row).then(|| old_by.value(row)));
                scores.append_option(old_score.is_valid(row).then(|| old_score.value(row)));
            }
            (None, Some((reason, score))) => {
                reasons.append_value(reason);
                authors.append_value(by);
                scores.append_value(*score);
            }
            (None, None) => {
                reasons.append_null();
                authors.append_null();
                scores.append_null();
            }
        }
    }
    Ok(vec![
        (Field::new("dropped", DataType::Utf8, true), Arc::new(reasons.finish()) as ArrayRef),
        (Field::new("dropped_by", DataType::Utf8, true), Arc::new(authors.finish())),
        (Field::new("dropped_score", DataType::Float32, true), Arc::new(scores.finish())),
    ])
}
/// Groups of rows that share a number or a name, or do so through others.
fn joined(numbers: &[u32], names: &[Option<String>]) -> Vec<u32> {
    let mut parents: Vec<u32> =
        (0..).take(numbers.iter().max().map_or(0, |most| *most as usize + 1)).collect();
    let root = |parents: &mut [u32], mut at: u32| {
        while parents[at as usize] != at {
            parents[at as usize] = parents[parents[at as usize] as usize];
            at = parents[at as usize];
        }
        at
    };
    let mut first = HashMap::new();
    for (&number, name) in numbers.iter().zip(names) {
        if let Some(name) = name {
            let known = root(&mut parents, *first.entry(name).or_insert(number));
            let own = root(&mut parents, number);
            parents[own as usize] = known;
        }
    }
    numbers.iter().map(|&number| root(&mut parents, number)).collect()
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn rows_that_share_a_number_or_a_name_are_one_group_also_through_others() {
        let name = |name: &str| Some(name.to_owned());
        // Two videos with a copy in common, one alone, one row of none.
        let names = [name("a"), name("a"), name("b"), name("b"), name("c"), None, None];
        let groups = joined(&[0, 1, 1, 2, 3, 4, 4], &names);
        assert!(groups[..4].iter().all(|group| *group == groups[0]), "{groups:?}");
        assert_eq!(groups[5], groups[6]);
        let distinct: std::collections::BTreeSet<_> = groups.iter().collect();
        assert_eq!(distinct.len(), 3);
        assert!(joined(&[], &[]).is_empty());
    }
}
