//! Why rows no longer count, and the columns that say so.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float32Array, StringArray,
    builder::{Float32Builder, StringBuilder},
};
use arrow_schema::{DataType, Field};
use ferroflow_vision::faceness;

use super::Faces;
use crate::batch::data::columns::{DROPPED, DROPPED_BY, DROPPED_SCORE};

/// Why a row was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// By `deduplicate`: a copy of a row that stays.
    Duplicate,
    /// By `deduplicate`: the same, in another split.
    Leak,
    /// By `deduplicate`: a copy with another label than most.
    Conflict,
    /// By `deduplicate`: nearly the same picture.
    NearDuplicate,
    /// By `deduplicate`: the same, in another split.
    NearLeak,
    /// By `drop-non-faces`.
    NonFace(faceness::Reason),
    /// By `relabel`.
    WrongLabel,
    /// By `balance`.
    Undersampled,
}

impl Reason {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::Duplicate,
            Self::Leak,
            Self::Conflict,
            Self::NearDuplicate,
            Self::NearLeak,
            Self::WrongLabel,
            Self::Undersampled,
        ];
        own.into_iter().chain(faceness::Reason::ALL.map(Self::NonFace))
    }

    /// Its name in the column `dropped`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Leak => "leak",
            Self::Conflict => "conflict",
            Self::NearDuplicate => "near-duplicate",
            Self::NearLeak => "near-leak",
            Self::NonFace(reason) => reason.name(),
            Self::WrongLabel => "wrong-label",
            Self::Undersampled => "undersampled",
        }
    }

    /// What it means, and the score beside it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Duplicate => "a copy of a row that stays",
            Self::Leak => "a copy of a row that stays in another split",
            Self::Conflict => "a copy whose label disagrees with the majority of the copies",
            Self::NearDuplicate => "nearly the same picture as a row that stays",
            Self::NearLeak => "nearly the same picture as a row that stays in another split",
            Self::NonFace(faceness::Reason::Constant) => "one colour, or nearly",
            Self::NonFace(faceness::Reason::Text) => "writing instead of a face",
            Self::NonFace(faceness::Reason::NoFace) => {
                "no detector finds a face; how near the surest came to it, 0 to 1"
            }
            Self::NonFace(faceness::Reason::Misplaced) => {
                "the crop is not of the face in it: too small, too large, or aside"
            }
            Self::NonFace(faceness::Reason::Tilted) => {
                "a face that lies on its side; slope of the eyes in degrees"
            }
            Self::NonFace(faceness::Reason::Profile) => "a face from the side",
            Self::WrongLabel => "no label is likely enough; how likely the best one is wrong",
            Self::Undersampled => "one too many of a frequent class",
        }
    }
}

/// A row that is to be dropped: why, and the number behind that.
pub type Decision = Option<(Reason, f32)>;

/// The three columns of dropped rows, with those that were dropped before kept as they are.
pub fn dropped_columns(
    faces: &Faces,
    by: &str,
    decisions: &[Decision],
) -> anyhow::Result<Vec<(Field, ArrayRef)>> {
    let before = faces.dropped()?;
    let old_by: Option<StringArray> = faces.table.optional(DROPPED_BY)?;
    let old_score: Option<Float32Array> = faces.table.optional(DROPPED_SCORE)?;
    let (mut reasons, mut authors, mut scores) =
        (StringBuilder::new(), StringBuilder::new(), Float32Builder::new());
    for (row, before) in before.iter().enumerate() {
        match (before, decisions.get(row).copied().flatten()) {
            (Some(reason), _) => {
                reasons.append_value(reason);
                authors.append_option(old_by.as_ref().filter(|by| by.is_valid(row)).map(|by| by.value(row)));
                scores.append_option(
                    old_score.as_ref().filter(|score| score.is_valid(row)).map(|score| score.value(row)),
                );
            }
            (None, Some((reason, score))) => {
                reasons.append_value(reason.name());
                authors.append_value(by);
                scores.append_value(score);
            }
            (None, None) => {
                reasons.append_null();
                authors.append_null();
                scores.append_null();
            }
        }
    }
    Ok(vec![
        (Field::new(DROPPED, DataType::Utf8, true), Arc::new(reasons.finish()) as ArrayRef),
        (Field::new(DROPPED_BY, DataType::Utf8, true), Arc::new(authors.finish())),
        (Field::new(DROPPED_SCORE, DataType::Float32, true), Arc::new(scores.finish())),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Reason;

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Reason::all().map(Reason::name).collect();
        assert_eq!(names.len(), Reason::all().count());
    }
}
