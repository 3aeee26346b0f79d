//! What `judge` found, in words.

use crate::{
    nodes::judge::{JudgedClass, Judgement},
    report::{
        cleaning,
        format::{percent, thousands},
    },
};

/// As the page shows it.
pub(super) fn shown(judgement: &Judgement) -> cleaning::Judgement {
    cleaning::Judgement {
        numbers: numbers(judgement),
        curve: judgement.curve.iter().map(|point| [point.kept, point.agreement, point.before]).collect(),
        by_class: judgement.by_class.iter().map(class).collect(),
    }
}

fn numbers(judgement: &Judgement) -> Vec<(String, String)> {
    let (all, some) = (thousands, |share: f64| Some(percent(share)));
    let of_non_faces = judgement.non_faces.as_ref();
    let votes = of_non_faces.map_or(0, |found| found.non_face_votes);
    let numbers = [
        ("rows with a majority, duplicates included", Some(all(judgement.rows_with_majority))),
        ("their labels agree, as they came", some(judgement.agreement_of_all_before)),
        ("rows that came to relabelling", Some(all(judgement.judged))),
        ("labels agree, as they came", some(judgement.agreement_before)),
        ("labels agree, labelled anew", some(judgement.agreement_after)),
        ("the same, the surest 95 % of the rows kept", judgement.agreement_with_95_percent_kept.map(percent)),
        ("the same, the surest 75 % of the rows kept", judgement.agreement_with_75_percent_kept.map(percent)),
        ("rows kept here", some(judgement.kept)),
        ("labels agree among these", some(judgement.agreement_of_kept)),
        ("labels changed, also of rows dropped for their label", Some(all(judgement.labels_changed))),
        ("changes to what the majority says", some(judgement.changes_right)),
        ("changes away from it", some(judgement.changes_that_broke)),
        (
            &format!("non-faces ({votes} votes and more) taken out"),
            of_non_faces.map(|found| percent(found.non_faces_dropped)),
        ),
        ("faces (no such vote) taken out", of_non_faces.map(|found| percent(found.faces_dropped))),
    ];
    numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn class(found: &JudgedClass) -> cleaning::JudgedClass {
    let share = |share: f64| if found.rows == 0 { "–".to_owned() } else { percent(share) };
    cleaning::JudgedClass {
        name: found.class.clone(),
        rows: found.rows,
        shares: [share(found.before), share(found.after), share(found.after_and_kept)],
    }
}
