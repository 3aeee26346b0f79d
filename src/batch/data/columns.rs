//! The names of columns. What every table of faces has:
//!
//! | column | type | what it is |
//! |---|---|---|
//! | `image` | struct of bytes and path | the picture as PNG or JPEG, and a name for it |
//! | `label` | int64, may be null | index of the class; names are in the metadata |
//! | `split` | string | `train`, `validation` or `test` |
//! | `row` | int64 | number of the row in its source, from 0 |
//!
//! Stages add further ones. No row is removed for being dropped, and no picture is changed in place.

use std::sync::Arc;

use arrow_schema::{DataType, Field};

/// The picture.
pub const IMAGE: &str = "image";
/// Index of the class.
pub const LABEL: &str = "label";
/// What the row is for.
pub const SPLIT: &str = "split";
/// Number of the row in its source.
pub const ROW: &str = "row";

/// Why a row no longer counts; null while it does.
pub const DROPPED: &str = "dropped";
/// The kind of node that dropped it.
pub const DROPPED_BY: &str = "dropped_by";
/// The number behind that.
pub const DROPPED_SCORE: &str = "dropped_score";

/// The label before `relabel`.
pub const ORIGINAL_LABEL: &str = "original_label";
/// The split before `split`.
pub const ORIGINAL_SPLIT: &str = "original_split";
/// How likely the label is right.
pub const LABEL_QUALITY: &str = "label_quality";
/// What networks that had not seen the face say: a list of probabilities.
pub const PROBABILITIES: &str = "probabilities";

/// The number of a group of duplicates.
pub const DUPLICATE_GROUP: &str = "duplicate_group";
/// The `row` that stays of the group.
pub const DUPLICATE_OF: &str = "duplicate_of";
/// `exact` or `near`.
pub const DUPLICATE: &str = "duplicate";
/// Rows of one group, text or a number, are never divided: the frames of a video for one.
pub const GROUP: &str = "group";

/// The network that made a face; null for real ones.
pub const GENERATOR: &str = "generator";
/// The `row` that it was made of; null for real ones.
pub const SOURCE_ROW: &str = "source_row";

/// How often `balance` had repeated the row before: 0 for the row itself.
pub const COPY: &str = "copy";
/// How much a row counts in training.
pub const WEIGHT: &str = "weight";
/// What others voted for most.
pub const MAJORITY: &str = "majority";
/// How many voted that it is no face.
pub const NOT_A_FACE: &str = "not_a_face";

/// The type of a further column that stages read; nothing of others.
pub fn kind(name: &str) -> Option<DataType> {
    match name {
        DROPPED | DROPPED_BY | DUPLICATE | ORIGINAL_SPLIT => Some(DataType::Utf8),
        DROPPED_SCORE | LABEL_QUALITY | WEIGHT => Some(DataType::Float32),
        ORIGINAL_LABEL | DUPLICATE_GROUP | DUPLICATE_OF | SOURCE_ROW => Some(DataType::Int64),
        PROBABILITIES => Some(probabilities()),
        _ => None,
    }
}

/// The type of the column `probabilities`.
pub fn probabilities() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float32, true)))
}
