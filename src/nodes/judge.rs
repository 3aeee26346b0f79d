//! Compares decisions with a second source of labels.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{drop_non_faces::VERDICT, relabel};
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{Faces, TableWriter, classes},
    },
    graph::dag::{Port, PortType},
};

/// Shares of the rows that the curve is read off at.
const SHARES: [f64; 8] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.5];

/// Compares what cleaning decided with a second source of labels, such as the votes of FER+. It changes nothing.
///
/// Labels: how many agree with `majority`, before and after, over the rows that have one and were dropped by nobody but
/// `relabel`; and how many would, were only the rows with the best `label_quality` kept (not said where no row has one). Non-faces: how many of the
/// rows with at least `non-face-votes` votes `drop-non-faces` dropped, and how many of those without any. By class: of the rows
/// with its majority, how many had its label, have it now, and have it and are kept. The result is a table: `kept` is a
/// share of the rows, `agreement` that of the new labels with the majority, `before` that of the old ones.
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

/// A row whose label can be judged.
struct Judged {
    truth: i64,
    before: i64,
    after: Option<i64>,
    quality: Option<f32>,
    is_kept: bool,
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
        let curve = curve(&labels);
        write_curve(&context.table(), &curve)?;
        let mut facts =
            label_facts(&labels, all_before, &curve).with("by_class", by_class(&labels, &faces.classes));
        if reference.has("not_a_face") && faces.table.has(VERDICT) {
            facts = self.non_faces(&faces, &reference, &partner, &splits, facts)?;
        }
        Ok(facts)
    }
}

impl Judge {
    /// The rows that can be judged; and of all rows with a majority, dropped or not, the share whose old label agrees.
    fn labels(
        &self,
        faces: &Faces,
        reference: &crate::batch::data::Table,
        partner: &[Option<usize>],
        splits: &[String],
    ) -> anyhow::Result<(Vec<Judged>, (usize, usize))> {
        let majority: Int64Array = reference.typed("majority")?;
        let of_class = classes::renumbered(reference.schema(), &faces.classes);
        let after: Int64Array = faces.table.typed("label")?;
        let before: Int64Array = match faces.table.has("original_label") {
            true => faces.table.typed("original_label")?,
            false => after.clone(),
        };
        let quality: Option<Float32Array> = match faces.table.has("label_quality") {
            true => Some(faces.table.typed("label_quality")?),
            false => None,
        };
        let dropped = faces.dropped()?;
        let dropped_by: Option<StringArray> = match faces.table.has("dropped_by") {
            true => Some(faces.table.typed("dropped_by")?),
            false => None,
        };
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
        facts: Facts,
    ) -> anyhow::Result<Facts> {
        let votes: Int64Array = reference.typed("not_a_face")?;
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
        let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
        Ok(facts
            .with("non_face_votes", self.non_face_votes)
            .with("non_faces", bad)
            .with("non_faces_dropped", share(bad_dropped, bad))
            .with("faces", good)
            .with("faces_dropped", share(good_dropped, good)))
    }
}

/// A point of the curve.
struct Point {
    kept: f64,
    agreement: f64,
    before: f64,
}

/// Agreement when only the rows of best quality are kept; nothing where no row has any.
fn curve(labels: &[Judged]) -> Vec<Point> {
    if labels.iter().all(|judged| judged.quality.is_none()) {
        return Vec::new();
    }
    let mut order: Vec<&Judged> = labels.iter().collect();
    order.sort_by(|a, b| b.quality.unwrap_or(0.0).total_cmp(&a.quality.unwrap_or(0.0)));
    let share = |part: &[&Judged], is: &dyn Fn(&Judged) -> bool| {
        part.iter().filter(|judged| is(judged)).count() as f64 / part.len().max(1) as f64
    };
    SHARES
        .iter()
        .map(|&kept| {
            let part = &order[..(kept * order.len() as f64).round() as usize];
            let agreement = share(part, &|judged| judged.after == Some(judged.truth));
            Point { kept, agreement, before: share(part, &|judged| judged.before == judged.truth) }
        })
        .collect()
}

fn label_facts(labels: &[Judged], (agree, with_majority): (usize, usize), curve: &[Point]) -> Facts {
    let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    let kept: Vec<_> = labels.iter().filter(|judged| judged.is_kept).collect();
    let right = kept.iter().filter(|judged| judged.after == Some(judged.truth)).count();
    let changed = |judged: &&Judged| judged.after.is_some_and(|after| after != judged.before);
    let changes: Vec<_> = labels.iter().filter(changed).collect();
    let mended = changes.iter().filter(|judged| judged.after == Some(judged.truth)).count();
    let broken = changes.iter().filter(|judged| judged.before == judged.truth).count();
    let points: Vec<_> = curve
        .iter()
        .map(|point| json!({"kept": point.kept, "agreement": point.agreement, "before": point.before}))
        .collect();
    let before = labels.iter().filter(|judged| judged.before == judged.truth).count();
    let after = labels.iter().filter(|judged| judged.after == Some(judged.truth)).count();
    let mut facts = Facts::default();
    for (name, share) in [("agreement_with_95_percent_kept", 0.95), ("agreement_with_75_percent_kept", 0.75)]
    {
        if let Some(point) = curve.iter().find(|point| point.kept == share) {
            facts = facts.with(name, point.agreement);
        }
    }
    facts
        .with("rows_with_majority", with_majority)
        .with("agreement_of_all_before", share(agree, with_majority))
        .with("judged", labels.len())
        .with("agreement_before", share(before, labels.len()))
        .with("agreement_after", share(after, labels.len()))
        .with("kept", share(kept.len(), labels.len()))
        .with("agreement_of_kept", share(right, kept.len()))
        .with("labels_changed", changes.len())
        .with("changes_right", share(mended, changes.len()))
        .with("changes_that_broke", share(broken, changes.len()))
        .with("curve", points)
}

/// What became of each class, as the majority sees it: rare ones do not show in the whole.
fn by_class(labels: &[Judged], classes: &[String]) -> Vec<serde_json::Value> {
    let one = |(class, name): (usize, &String)| {
        let of_class: Vec<_> =
            labels.iter().filter(|judged| usize::try_from(judged.truth) == Ok(class)).collect();
        let share = |is: &dyn Fn(&Judged) -> bool| {
            of_class.iter().filter(|judged| is(judged)).count() as f64 / of_class.len().max(1) as f64
        };
        let is_right = |judged: &Judged| judged.after == Some(judged.truth);
        json!({
            "class": name,
            "rows": of_class.len(),
            "before": share(&|judged| judged.before == judged.truth),
            "after": share(&is_right),
            "after_and_kept": share(&|judged| is_right(judged) && judged.is_kept),
        })
    };
    classes.iter().enumerate().map(one).collect()
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
