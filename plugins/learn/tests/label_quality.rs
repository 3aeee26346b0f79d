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
    assert!(matches!(Judged::new(&[0], &[f32::NAN, 0.5], 2), Err(LearnError::Probability { row: 0, class: 0, .. })));
    let error = Judged::new(&[0, 1], &[0.5, 0.5, 0.5, 0.2], 2).unwrap_err();
    assert!(matches!(error, LearnError::Sum { row: 1, .. }), "{error}");
}
