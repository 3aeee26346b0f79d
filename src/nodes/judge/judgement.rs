//! What a second source of labels says of a cleaned data set: the facts of `judge`, which `report` shows.

use serde::{Deserialize, Serialize};

/// Shares of the rows that the curve is read off at.
const SHARES: [f64; 8] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.5];

/// A row whose label can be judged.
pub(super) struct Judged {
    pub truth: i64,
    pub before: i64,
    pub after: Option<i64>,
    pub quality: Option<f32>,
    pub is_kept: bool,
}

/// All that is found. Shares are from 0 to 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// Rows with a majority, dropped or not.
    pub rows_with_majority: usize,
    /// Of these, those whose old label is the majority's.
    pub agreement_of_all_before: f64,
    /// Rows with a majority that nobody but `relabel` dropped; all that follows is of these.
    pub judged: usize,
    /// Whose old label is the majority's.
    pub agreement_before: f64,
    /// Whose new label is.
    pub agreement_after: f64,
    /// As `agreement_after`, with the surest 95 % of the rows kept; nothing where no row has a quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_with_95_percent_kept: Option<f64>,
    /// With the surest 75 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement_with_75_percent_kept: Option<f64>,
    /// That were kept.
    pub kept: f64,
    /// Of the kept ones, those whose new label is the majority's.
    pub agreement_of_kept: f64,
    /// With another label than before.
    pub labels_changed: usize,
    /// Of these, those changed to the majority's.
    pub changes_right: f64,
    /// Those changed away from it.
    pub changes_that_broke: f64,
    /// Agreement over the share of rows kept.
    pub curve: Vec<Point>,
    /// What became of each class.
    pub by_class: Vec<JudgedClass>,
    /// Pictures that are no faces, where the source has votes for that.
    #[serde(flatten)]
    pub non_faces: Option<NonFaces>,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The share of rows kept, the surest ones.
    pub kept: f64,
    /// The share of these whose new label is the majority's.
    pub agreement: f64,
    /// Whose old label is.
    pub before: f64,
}

/// What became of a class, as the majority sees it: rare ones do not show in the whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JudgedClass {
    /// Its name.
    pub class: String,
    /// Rows that are of it.
    pub rows: usize,
    /// The share that had its label.
    pub before: f64,
    /// That has it now.
    pub after: f64,
    /// That has it and is kept.
    pub after_and_kept: f64,
}

/// How many non-faces were dropped, and how many faces.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NonFaces {
    /// Votes that make a row a non-face.
    pub non_face_votes: i64,
    /// Rows with so many.
    pub non_faces: usize,
    /// The share of these that was dropped.
    pub non_faces_dropped: f64,
    /// Rows without any.
    pub faces: usize,
    /// The share of these that was dropped.
    pub faces_dropped: f64,
}

impl Judgement {
    /// Of the labels of rows; of all rows with a majority, so many agreed before.
    pub(super) fn of(labels: &[Judged], (agree, with_majority): (usize, usize), classes: &[String]) -> Self {
        let is_right = |judged: &Judged| judged.after == Some(judged.truth);
        let was_right = |judged: &Judged| judged.before == judged.truth;
        let all: Vec<&Judged> = labels.iter().collect();
        let kept: Vec<&Judged> = labels.iter().filter(|judged| judged.is_kept).collect();
        let is_changed = |judged: &&Judged| judged.after.is_some_and(|after| after != judged.before);
        let changes: Vec<&Judged> = labels.iter().filter(is_changed).collect();
        let curve = curve(labels);
        let at = |share: f64| curve.iter().find(|point| point.kept == share).map(|point| point.agreement);
        Self {
            rows_with_majority: with_majority,
            agreement_of_all_before: share(agree, with_majority),
            judged: labels.len(),
            agreement_before: share_that(&all, was_right),
            agreement_after: share_that(&all, is_right),
            agreement_with_95_percent_kept: at(0.95),
            agreement_with_75_percent_kept: at(0.75),
            kept: share(kept.len(), labels.len()),
            agreement_of_kept: share_that(&kept, is_right),
            labels_changed: changes.len(),
            changes_right: share_that(&changes, is_right),
            changes_that_broke: share_that(&changes, was_right),
            by_class: classes
                .iter()
                .enumerate()
                .map(|(class, name)| {
                    let of_class = |judged: &&Judged| usize::try_from(judged.truth) == Ok(class);
                    let rows: Vec<&Judged> = labels.iter().filter(of_class).collect();
                    JudgedClass {
                        class: name.clone(),
                        rows: rows.len(),
                        before: share_that(&rows, was_right),
                        after: share_that(&rows, is_right),
                        after_and_kept: share_that(&rows, |judged| is_right(judged) && judged.is_kept),
                    }
                })
                .collect(),
            curve,
            non_faces: None,
        }
    }
}

/// Agreement when only the rows of best quality are kept; nothing where no row has any.
fn curve(labels: &[Judged]) -> Vec<Point> {
    if labels.iter().all(|judged| judged.quality.is_none()) {
        return Vec::new();
    }
    let mut order: Vec<&Judged> = labels.iter().collect();
    order.sort_by(|a, b| b.quality.unwrap_or(0.0).total_cmp(&a.quality.unwrap_or(0.0)));
    let point = |kept: f64| {
        let surest = &order[..(kept * order.len() as f64).round() as usize];
        Point {
            kept,
            agreement: share_that(surest, |judged| judged.after == Some(judged.truth)),
            before: share_that(surest, |judged| judged.before == judged.truth),
        }
    };
    SHARES.into_iter().map(point).collect()
}

fn share_that(rows: &[&Judged], is: impl Fn(&Judged) -> bool) -> f64 {
    share(rows.iter().filter(|judged| is(judged)).count(), rows.len())
}

/// A part as a share of all, 0 of nothing.
pub(super) fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}
