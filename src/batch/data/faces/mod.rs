//! Tables of faces.

mod dropped;
mod groups;
mod images;
mod writer;

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use arrow_array::{Array, BinaryArray, Int64Array, StringArray};
use arrow_schema::DataType;

use self::images::image_fields;
pub use self::{
    dropped::{Decision, Reason, dropped_columns},
    images::{decode, decode_all, image_bytes, image_column},
    writer::{FacesWriter, NewFace},
};
use super::{
    Table, classes,
    columns::{DROPPED, GENERATOR, IMAGE, LABEL, ROW, SPLIT},
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
            (IMAGE, DataType::Struct(image_fields())),
            (LABEL, DataType::Int64),
            (SPLIT, DataType::Utf8),
            (ROW, DataType::Int64),
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
        let labels: Int64Array = self.table.typed(LABEL)?;
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
        let splits: StringArray = self.table.typed(SPLIT)?;
        Ok(splits.iter().map(|split| split.unwrap_or_default().to_owned()).collect())
    }

    /// The number of each row in its source.
    pub fn source_rows(&self) -> anyhow::Result<Int64Array> {
        self.table.typed(ROW)
    }

    /// Why each row no longer counts; nothing where it does.
    pub fn dropped(&self) -> anyhow::Result<Vec<Option<String>>> {
        let dropped: Option<StringArray> = self.table.optional(DROPPED)?;
        Ok(match dropped {
            Some(dropped) => dropped.iter().map(|reason| reason.map(str::to_owned)).collect(),
            None => vec![None; self.table.rows()],
        })
    }

    /// Whether each row was made by a network.
    pub fn generated(&self) -> anyhow::Result<Vec<bool>> {
        if !self.table.has(GENERATOR) {
            return Ok(vec![false; self.table.rows()]);
        }
        let generators = self.table.column(GENERATOR)?;
        Ok((0..generators.len()).map(|row| generators.is_valid(row)).collect())
    }

    /// The number of a class, or an error that says which there are.
    pub fn class(&self, name: &str) -> anyhow::Result<usize> {
        if let Some(class) = self.classes.iter().position(|class| class == name) {
            return Ok(class);
        }
        let hint = did_you_mean(name, self.classes.iter().map(String::as_str));
        bail!("there is no class `{name}`{hint} (classes: {})", self.classes.join(", "))
    }

    /// Rows of a split that were not dropped.
    pub fn rows_of(&self, split: &str) -> anyhow::Result<Vec<usize>> {
        let (splits, dropped) = (self.splits()?, self.dropped()?);
        Ok((0..splits.len()).filter(|&row| splits[row] == split && dropped[row].is_none()).collect())
    }

    /// The same by class; those without a label are of none.
    pub fn rows_by_class(&self, split: &str) -> anyhow::Result<Vec<Vec<usize>>> {
        let labels = self.labels()?;
        let mut by_class = vec![Vec::new(); self.classes.len()];
        for row in self.rows_of(split)? {
            if let Some(class) = labels[row] {
                by_class[class].push(row);
            }
        }
        Ok(by_class)
    }

    /// Rows of one class in a split that were not dropped and not made by a network.
    pub fn real_rows(&self, class: usize, split: &str) -> anyhow::Result<Vec<usize>> {
        let (labels, generated) = (self.labels()?, self.generated()?);
        let is_real = |row: &usize| labels[*row] == Some(class) && !generated[*row];
        Ok(self.rows_of(split)?.into_iter().filter(is_real).collect())
    }

    /// The pictures as they are stored, in pieces, with the number of the first row of each.
    pub fn images(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(usize, BinaryArray)>> + use<>> {
        let mut next = 0;
        let path = self.table.path().to_owned();
        let batches = self.table.batches(Some(&[IMAGE]))?;
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
