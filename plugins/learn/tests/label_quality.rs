//! Confident learning gives cleanlab's answers, and nothing but numbers on any input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;

use ferroflow_learn::LearnError;
use ferroflow_learn::label_quality::{
    FilterBy, Judged, confidence_weighted_entropy, confident_joint, confident_thresholds, find_label_issues,
    normalized_margin, posterior, self_confidence,
};
use proptest::prelude::*;

#[derive(serde::Deserialize)]
struct Case {
    classes: usize,
    labels: Vec<u8>,
    probabilities: Vec<f32>,
    confident_thresholds: Vec<f64>,
    confident_joint: Vec<usize>,
    confident_joint_uncalibrated: Vec<usize>,
    scores: HashMap<String, Vec<f64>>,
    issues: HashMap<String, Vec<usize>>,
}

fn near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-9, "{what}, row {row}: {found} but cleanlab says {expected}");
    }
}

/// `cleanlab.json` comes from `benches/cleanlab_fixture.py`.
#[test]
fn answers_are_those_of_cleanlab() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cleanlab.json")).unwrap();
    for (index, case) in cases.iter().enumerate() {
        let judged = Judged::new(&case.labels, &case.probabilities, case.classes).unwrap();
        near(&confident_thresholds(&judged), &case.confident_thresholds, "thresholds");
        assert_eq!(confident_joint(&judged, false), case.confident_joint_uncalibrated, "case {index}");
        assert_eq!(confident_joint(&judged, true), case.confident_joint, "case {index}");
        near(&self_confidence(&judged), &case.scores["self_confidence"], "self_confidence");
        near(&normalized_margin(&judged), &case.scores["normalized_margin"], "normalized_margin");
        near(
            &confidence_weighted_entropy(&judged),
            &case.scores["confidence_weighted_entropy"],
            "confidence_weighted_entropy",
        );
        for (name, expected) in &case.issues {
            let filter_by: FilterBy = serde_json::from_value(serde_json::json!(name)).unwrap();
            let issues = find_label_issues(&judged, filter_by);
            let found: Vec<usize> = (0..issues.len()).filter(|row| issues[*row]).collect();
            assert_eq!(&found, expected, "case {index}, {name}");
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_told() {
    assert!(matches!(Judged::new(&[], &[], 3), Err(LearnError::Empty)));
    assert!(matches!(Judged::new(&[0], &[1.0], 1), Err(LearnError::Setting { name: "classes", .. })));
    assert!(matches!(Judged::new(&[0], &[1.0], 2), Err(LearnError::Length { what: "probabilities", .. })));
    assert!(matches!(Judged::new(&[2], &[0.5, 0.5], 2), Err(LearnError::Label { row: 0, label: 2, .. })));
    assert!(matches!(
        Judged::new(&[0], &[f32::NAN, 0.5], 2),
        Err(LearnError::Probability { row: 0, class: 0, .. })
    ));
    let error = Judged::new(&[0, 1], &[0.5, 0.5, 0.5, 0.2], 2).unwrap_err();
    assert!(matches!(error, LearnError::Sum { row: 1, .. }), "{error}");
}

#[test]
fn a_wrong_label_gives_way_to_a_sure_network_and_stays_before_an_unsure_one() {
    // Three classes; the network is right and sure in the first 90 rows, one of which has a wrong label.
    let mut labels: Vec<u8> = (0..90).map(|row| row % 3).collect();
    let mut probabilities: Vec<f32> = Vec::new();
    for label in &labels {
        let mut row = [0.05; 3];
        row[usize::from(*label)] = 0.9;
        probabilities.extend(row);
    }
    labels[0] = 1;
    labels.push(2);
    probabilities.extend([0.36, 0.32, 0.32]);
    let judged = Judged::new(&labels, &probabilities, 3).unwrap();
    let found = posterior(&judged, &judged);
    assert_eq!(found.labels[0], 0, "the network is sure");
    assert_eq!(found.labels[90], 2, "the network is not");
    assert!(
        found.label_quality[1] > found.label_quality[0],
        "two witnesses are better than one against the other"
    );
    assert!(found.given_quality[0] < 0.5);
}

#[test]
fn classes_that_never_occur_do_no_harm() {
    let labels = [0, 0, 1];
    let probabilities = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let judged = Judged::new(&labels, &probabilities, 3).unwrap();
    let found = posterior(&judged, &judged);
    assert!(found.probabilities.iter().all(|value| value.is_finite()));
    assert_eq!(confident_thresholds(&judged)[2], 2.0, "cleanlab's mark of a class without rows");
}

#[test]
fn a_rare_class_is_not_swallowed_by_its_neighbour() {
    // Class 2 is one row in fifty, and the network leans to class 1 for all of it, but not by much.
    let (mut labels, mut probabilities) = (Vec::new(), Vec::new());
    for row in 0..500u16 {
        let (label, values) = match row % 50 {
            0 => (2, [0.1f32, 0.5, 0.4]),
            odd if odd % 2 == 1 => (0, [0.9, 0.08, 0.02]),
            _ => (1, [0.1, 0.85, 0.05]),
        };
        labels.push(label);
        probabilities.extend(values);
    }
    // Once in a while it does choose class 2.
    probabilities[..3].copy_from_slice(&[0.1, 0.3, 0.6]);
    let judged = Judged::new(&labels, &probabilities, 3).unwrap();
    let found = posterior(&judged, &judged);
    let kept = labels.iter().zip(&found.labels).filter(|pair| *pair == (&2, &2)).count();
    assert_eq!(kept, 10);
}

/// Labels with distributions, some of them with zeros or all in one class.
fn judged() -> impl Strategy<Value = (usize, Vec<u8>, Vec<f32>)> {
    (2usize..8, 1usize..60).prop_flat_map(|(classes, rows)| {
        let labels = prop::collection::vec(0..classes as u8, rows);
        let weight = prop_oneof![2 => Just(0.0f32), 5 => 1e-6f32..1.0, 1 => Just(1.0f32)];
        let weights = prop::collection::vec(weight, rows * classes);
        (Just(classes), labels, weights).prop_map(|(classes, labels, mut weights)| {
            for row in weights.chunks_exact_mut(classes) {
                row[0] += 1e-7;
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= sum);
            }
            (classes, labels, weights)
        })
    })
}

proptest! {
    #[test]
    fn all_answers_are_numbers_in_their_range((classes, labels, probabilities) in judged()) {
        let judged = Judged::new(&labels, &probabilities, classes).unwrap();
        for scores in [self_confidence(&judged), normalized_margin(&judged), confidence_weighted_entropy(&judged)] {
            prop_assert!(scores.iter().all(|score| (-1e-6..=1.000_001).contains(score)), "{:?}", scores);
        }
        let joint = confident_joint(&judged, true);
        prop_assert_eq!(joint.iter().sum::<usize>(), labels.len());
        for (class, row) in joint.chunks_exact(classes).enumerate() {
            let count = labels.iter().filter(|label| usize::from(**label) == class).count();
            prop_assert_eq!(row.iter().sum::<usize>(), count);
        }
        let both = find_label_issues(&judged, FilterBy::Both);
        let by_class = find_label_issues(&judged, FilterBy::PruneByClass);
        let by_rate = find_label_issues(&judged, FilterBy::PruneByNoiseRate);
        for row in 0..labels.len() {
            prop_assert_eq!(both[row], by_class[row] && by_rate[row]);
        }
        let found = posterior(&judged, &judged);
        for (row, values) in found.probabilities.chunks_exact(classes).enumerate() {
            prop_assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert_eq!(values[usize::from(found.labels[row])], found.label_quality[row]);
            prop_assert!(values.iter().all(|value| *value <= found.label_quality[row]));
            prop_assert_eq!(values[usize::from(labels[row])], found.given_quality[row]);
        }
        prop_assert_eq!(found.taken_for.iter().sum::<usize>(), labels.len());
        prop_assert!((0.25..=4.0).contains(&found.sharpness));
    }
}

#[test]
fn what_is_said_of_rows_depends_on_no_labels_but_those_that_are_learnt_from() {
    let said = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.4, 0.5], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4]];
    let probabilities: Vec<f32> = said.iter().cycle().take(60).flatten().copied().collect();
    let labels: Vec<u8> = (0..60).map(|row| [0, 1, 2, 1, 0][row % 5]).collect();
    let learnt = Judged::new(&labels[..40], &probabilities[..120], 3).unwrap();
    let with = |last: u8| {
        let others: Vec<u8> = labels[..40].iter().copied().chain([last; 20]).collect();
        posterior(&learnt, &Judged::new(&others, &probabilities, 3).unwrap())
    };
    let (one, other) = (with(0), with(2));
    assert_eq!(one.label_quality[..40], other.label_quality[..40]);
    assert_eq!((one.sharpness, &one.taken_for), (other.sharpness, &other.taken_for));
    assert_ne!(one.label_quality[40..], other.label_quality[40..]);
}
