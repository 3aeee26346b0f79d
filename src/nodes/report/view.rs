//! The columns that the page is made of.

use arrow_array::{Float32Array, Int64Array, StringArray};

use crate::batch::data::{
    Faces,
    columns::{
        COPY, DROPPED_SCORE, DUPLICATE, DUPLICATE_GROUP, LABEL_QUALITY, ORIGINAL_LABEL, ORIGINAL_SPLIT,
    },
};

/// A table in columns.
pub(super) struct View {
    pub faces: Faces,
    pub labels: Vec<Option<usize>>,
    pub before: Vec<Option<usize>>,
    pub splits: Vec<String>,
    /// As they were before `split` made others.
    pub first_splits: Vec<String>,
    /// Rows that did not come in: repeated ones, and faces that a network made.
    pub is_added: Vec<bool>,
    /// Rows that are another once more.
    pub is_copy: Vec<bool>,
    pub dropped: Vec<Option<String>>,
    pub score: Option<Float32Array>,
    pub quality: Option<Float32Array>,
    pub rows: Int64Array,
    pub groups: Option<Int64Array>,
    pub kinds: Option<StringArray>,
}

impl View {
    pub fn of(faces: Faces) -> anyhow::Result<Self> {
        let table = &faces.table;
        let labels = faces.labels()?;
        let before: Option<Int64Array> = table.optional(ORIGINAL_LABEL)?;
        let before = before.map_or_else(
            || labels.clone(),
            |before| before.iter().map(|label| usize::try_from(label?).ok()).collect(),
        );
        let splits = faces.splits()?;
        let first_splits: Option<StringArray> = table.optional(ORIGINAL_SPLIT)?;
        let first_splits = first_splits.map(|first| {
            let of_row = first.iter().zip(&splits);
            of_row.map(|(first, now)| first.unwrap_or(now).to_owned()).collect()
        });
        // A column of that name may be somebody else's.
        let copies: Option<Int64Array> = table.optional(COPY).unwrap_or_default();
        let is_copy: Vec<bool> = match copies {
            Some(copies) => copies.iter().map(|copy| copy.is_some_and(|copy| copy > 0)).collect(),
            None => vec![false; table.rows()],
        };
        let is_added = faces.generated()?.iter().zip(&is_copy).map(|(made, copy)| *made || *copy).collect();
        Ok(Self {
            first_splits: first_splits.unwrap_or_else(|| splits.clone()),
            is_added,
            is_copy,
            splits,
            dropped: faces.dropped()?,
            score: table.optional(DROPPED_SCORE)?,
            quality: table.optional(LABEL_QUALITY)?,
            rows: faces.source_rows()?,
            groups: table.optional(DUPLICATE_GROUP)?,
            kinds: table.optional(DUPLICATE)?,
            labels,
            before,
            faces,
        })
    }

    pub fn is_kept(&self, row: usize) -> bool {
        self.dropped[row].is_none()
    }

    pub fn class(&self, label: Option<usize>) -> &str {
        label.and_then(|label| self.faces.classes.get(label)).map_or("no label", String::as_str)
    }

    pub fn is_changed(&self, row: usize) -> bool {
        self.before[row].is_some() && self.labels[row] != self.before[row]
    }
}
