//! Compares decisions with a second source of labels.

mod judgement;

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::judgement::{Judged, Point, share};
pub use self::judgement::{JudgedClass, Judgement, NonFaces};
use super::{drop_non_faces::VERDICT, relabel};
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Faces, Renumbering, TableWriter,
            columns::{DROPPED_BY, LABEL, LABEL_QUALITY, MAJORITY, NOT_A_FACE, ORIGINAL_LABEL},
        },
    },
    graph::dag::{Port, PortType},
};

/// Compares what cleaning decided with a second source of labels, such as the votes of FER+. It changes nothing.
///
/// Labels: how many agree with `majority`, before and after, over the rows that have one and were dropped by
/// nobody but `relabel`; and how many would, were only the rows with the best `label_quality` kept (not said
/// where no row has one). Non-faces: how many of the rows with at least `non-face-votes` votes
/// `drop-non-faces` dropped, and how many of those without any. By class: of the rows with its majority, how
/// many had its label, have it now, and have it and are kept. The result is a table: `kept` is a share of the
/// rows, `agreement` that of the new labels with the majority, `before` that of the old ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Judge {
    /// Splits whose labels are compared; all unless given.
    #[serde(default)]
    label_splits: Vec<String>,
    /// Splits whose non-faces are compared; all unless given.
    #[serde(default)]
    splits: Vec<String>,
    /// Votes that make a row a non-face.
    #[serde(default = "five")]
    non_face_votes: i64,
}

fn five() -> i64 {
    5
}

impl Stage for Judge {
    const NAME: &'static str = "judge";
    const VERSION: u32 = 5;
    const INPUTS: &'static [Port] = &[
        Port::faces("What was cleaned."),
        Port::one(
            "reference",
            PortType::Table,
            "A table with `row`, `majority` and, for non-faces, `not_a_face`.",
        ),
    ];
    const OUTPUT: PortType = PortType::Table;

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let reference = context.input("reference")?.table()?;
        let keys: Int64Array = reference.typed("row")?;
        let place: HashMap<i64, usize> =
            keys.iter().enumerate().filter_map(|(place, row)| Some((row?, place))).collect();
        let rows = faces.source_rows()?;
        // What was made has a number that may be another face's in the reference.
        let partner: Vec<Option<usize>> = rows
            .iter()
            .zip(faces.generated()?)
            .map(|(row, is_generated)| row.filter(|_| !is_generated).and_then(|row| place.get(&row).copied()))
            .collect();
        let splits = faces.splits()?;
        let (labels, all_before) = self.labels(&faces, &reference, &partner, &splits)?;
        let (agree, with_majority) = all_before;
        if with_majority >= 100 && agree * 5 < with_majority * 2 {
            tracing::warn!(
                "judge: of {with_majority} labels {agree} agree with the votes: are these the votes of these rows? They go by the column `row`"
            );
        }
        let mut judgement = Judgement::of(&labels, all_before, &faces.classes);
        write_curve(&context.table(), &judgement.curve)?;
        if reference.has(NOT_A_FACE) && faces.table.has(VERDICT) {
            judgement.non_faces = Some(self.non_faces(&faces, &reference, &partner, &splits)?);
        }
        Facts::of(&judgement)
    }
}

impl Judge {
    /// The rows that can be judged; and of all rows with a majority, dropped or not, the share whose old
    /// label agrees.
    fn labels(
        &self,
        faces: &Faces,
        reference: &crate::batch::data::Table,
        partner: &[Option<usize>],
        splits: &[String],
    ) -> anyhow::Result<(Vec<Judged>, (usize, usize))> {
        let majority: Int64Array = reference.typed(MAJORITY)?;
        let renumbering = Renumbering::of(reference.schema(), &faces.classes);
        let of_class = |label| renumbering.as_ref().map_or(Some(label), |moved| moved.label(label));
        let after: Int64Array = faces.table.typed(LABEL)?;
        let before: Int64Array = faces.table.optional(ORIGINAL_LABEL)?.unwrap_or_else(|| after.clone());
        let quality: Option<Float32Array> = faces.table.optional(LABEL_QUALITY)?;
        let dropped = faces.dropped()?;
        let dropped_by: Option<StringArray> = faces.table.optional(DROPPED_BY)?;
        let by_relabel = |row: usize| {
            dropped_by.as_ref().is_some_and(|by| by.is_valid(row) && by.value(row) == relabel::NAME)
        };
        let (mut judged, mut agree_before, mut with_majority) = (Vec::new(), 0, 0);
        for (row, partner) in partner.iter().enumerate() {
            let truth = partner.filter(|&place| majority.is_valid(place));
            let truth = truth.and_then(|place| of_class(majority.value(place)));
            let counts = self.label_splits.is_empty() || self.label_splits.contains(&splits[row]);
            let (Some(truth), true, true) = (truth, counts, before.is_valid(row)) else { continue };
            with_majority += 1;
            agree_before += usize::from(before.value(row) == truth);
            let is_kept = dropped[row].is_none();
            if is_kept || by_relabel(row) {
                judged.push(Judged {
                    truth,
                    before: before.value(row),
                    after: after.is_valid(row).then(|| after.value(row)),
                    quality: quality
                        .as_ref()
                        .filter(|quality| quality.is_valid(row))
                        .map(|quality| quality.value(row)),
                    is_kept,
                });
            }
        }
        Ok((judged, (agree_before, with_majority)))
    }

    fn non_faces(
        &self,
        faces: &Faces,
        reference: &crate::batch::data::Table,
        partner: &[Option<usize>],
        splits: &[String],
    ) -> anyhow::Result<NonFaces> {
        let votes: Int64Array = reference.typed(NOT_A_FACE)?;
        let verdicts: StringArray = faces.table.typed(VERDICT)?;
        let (mut bad, mut bad_dropped, mut good, mut good_dropped) = (0usize, 0usize, 0usize, 0usize);
        for (row, partner) in partner.iter().enumerate() {
            let counts = self.splits.is_empty() || self.splits.contains(&splits[row]);
            let Some(place) = partner.filter(|place| counts && votes.is_valid(*place)) else { continue };
            let is_dropped = usize::from(verdicts.is_valid(row));
            match votes.value(place) {
                count if count >= self.non_face_votes => {
                    bad += 1;
                    bad_dropped += is_dropped;
                }
                0 => {
                    good += 1;
                    good_dropped += is_dropped;
                }
                _ => {}
            }
        }
        Ok(NonFaces {
            non_face_votes: self.non_face_votes,
            non_faces: bad,
            non_faces_dropped: share(bad_dropped, bad),
            faces: good,
            faces_dropped: share(good_dropped, good),
        })
    }
}

fn write_curve(path: &std::path::Path, curve: &[Point]) -> anyhow::Result<()> {
    let fields: Vec<_> =
        ["kept", "agreement", "before"].map(|name| Field::new(name, DataType::Float64, false)).to_vec();
    let mut writer = TableWriter::create(path, Schema::new(fields))?;
    let column = |of: fn(&Point) -> f64| Arc::new(curve.iter().map(of).collect::<Float64Array>()) as ArrayRef;
    let columns =
        vec![column(|point| point.kept), column(|point| point.agreement), column(|point| point.before)];
    writer.write(&RecordBatch::try_new(writer.schema(), columns)?)?;
    writer.finish()
}
