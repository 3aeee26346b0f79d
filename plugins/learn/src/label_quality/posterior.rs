//! What each label should be: the network and the given label as two witnesses of one unseen true class.
//!
//! Each witness says how likely each class is, and the two are multiplied (a logarithmic opinion pool, Genest
//! & Zidek 1986): `P(true) ~ P(true | picture) * P(true | label)`.
//!
//! - The network's word is sharpened first, since networks that learn smoothed labels are less sure than they are right:
//!   its probabilities are raised to the one power that makes the given labels likeliest (temperature scaling, Guo et al. 2017).
//! - The label's word is counted: among the rows with this label, how many the network takes for each class. That is the
//!   confident joint without thresholds, where no row is left out for being sure of nothing.
//!
//! Both are learnt from some of the rows, those of the training split: what is said of its rows must not
//! depend on labels that are kept for a test. Nothing but labels and probabilities goes in. The count is made
//! once and not iterated (Dawid & Skene 1979): iterating has only the labels to go by, and they agree with
//! themselves. The frequency of the classes counts in both words, so that rare classes need more to be
//! believed; on FER2013, whose wrong labels are mostly frequent classes taken for rarer ones, agreement with
//! the taggers of FER+ rises by about a point over a pool that counts it once. But no class counts as rarer
//! than half of an even share: else a class that networks hardly ever choose loses all its rows to its
//! neighbour, as FER2013's disgust, of which 2 rows of 458 were left, did to anger (235 with the floor). The
//! probabilities rank rows well but promise too much, since the witnesses are not quite independent: there,
//! 0.84 on average where 0.78 of the rows agree.

use super::{Judged, greatest};

/// Rows that are added to each count: no label rules any class out.
const PRIOR_ROWS: f64 = 1.0;

/// Probabilities below this count as this: a network is never sure enough to outvote everything.
const LEAST_PROBABILITY: f64 = 1e-9;

/// Where the power is looked for; beyond, a network is next to ignorant or next to perfect.
const SHARPNESS: (f64, f64) = (0.25, 4.0);

/// What labels should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// The likeliest class of each row.
    pub labels: Vec<u8>,
    /// The probability that this class is the true one, in 0..=1.
    pub label_quality: Vec<f64>,
    /// The probability that the given label is the true class, in 0..=1.
    pub given_quality: Vec<f64>,
    /// Probabilities of all classes, rows x classes.
    pub probabilities: Vec<f64>,
    /// Of the rows that it was learnt from: how many by the class that the network takes them for and by
    /// label, classes x classes.
    pub taken_for: Vec<usize>,
    /// The power that the network's probabilities were raised to; above 1 for a network that is surer than it says.
    pub sharpness: f64,
}

/// The posterior of the class of each row of `judged`, as far as the witnesses can be trusted on the rows of
/// `learnt`, which has the same classes and may be the same. Among equals, the label stays as it is.
pub fn posterior(learnt: &Judged<'_>, judged: &Judged<'_>) -> Posterior {
    let classes = judged.classes;
    let sharpness = sharpness(learnt, &logarithms(learnt));
    let mut taken_for = vec![0usize; classes * classes];
    for (given, row) in learnt.rows() {
        taken_for[greatest(row) * classes + given] += 1;
    }

    let logarithms = logarithms(judged);
    let weights = weights(&taken_for, classes);
    let rows = judged.labels.len();
    let mut found = Posterior {
        labels: Vec::with_capacity(rows),
        label_quality: Vec::with_capacity(rows),
        given_quality: Vec::with_capacity(rows),
        probabilities: Vec::with_capacity(rows * classes),
        taken_for: Vec::new(),
        sharpness,
    };
    let mut pool = vec![0.0; classes];
    for ((given, _), logarithms) in judged.rows().zip(logarithms.chunks_exact(classes)) {
        sharpened(logarithms, sharpness, &mut pool);
        for (class, value) in pool.iter_mut().enumerate() {
            *value *= weights[class] * (taken_for[class * classes + given] as f64 + PRIOR_ROWS);
        }
        // The likeliest class has at least 1 / classes of the first word and one row of the second, which no weight
        // makes smaller: never zero.
        let sum: f64 = pool.iter().sum();
        pool.iter_mut().for_each(|value| *value /= sum);
        let mut best = given;
        for (class, value) in pool.iter().enumerate() {
            if *value > pool[best] {
                best = class;
            }
        }
        found.labels.push(best as u8);
        found.label_quality.push(pool[best]);
        found.given_quality.push(pool[given]);
        found.probabilities.extend(&pool);
    }
    Posterior { taken_for, ..found }
}

fn logarithms(judged: &Judged<'_>) -> Vec<f64> {
    judged.probabilities.iter().map(|value| f64::from(*value).max(LEAST_PROBABILITY).ln()).collect()
}

/// What lifts each class that is rarer than half of an even share to that, and leaves the others as they are.
fn weights(taken_for: &[usize], classes: usize) -> Vec<f64> {
    let counts: Vec<f64> = taken_for
        .chunks_exact(classes)
        .map(|row| row.iter().sum::<usize>() as f64 + PRIOR_ROWS * classes as f64)
        .collect();
    let least = counts.iter().sum::<f64>() / (2 * classes) as f64;
    counts.iter().map(|count| (least / count).max(1.0)).collect()
}

/// The power that makes the given labels likeliest. Their mean logarithm is concave in it, so thirds close in on it.
fn sharpness(judged: &Judged<'_>, logarithms: &[f64]) -> f64 {
    let mut row_of = vec![0.0; judged.classes];
    let mut likelihood = |power: f64| {
        let mut sum = 0.0;
        for ((given, _), logarithms) in judged.rows().zip(logarithms.chunks_exact(judged.classes)) {
            sharpened(logarithms, power, &mut row_of);
            sum += row_of[given].max(f64::MIN_POSITIVE).ln();
        }
        sum
    };
    let (mut low, mut high) = SHARPNESS;
    for _ in 0..24 {
        let third = (high - low) / 3.0;
        if likelihood(low + third) < likelihood(high - third) {
            low += third;
        } else {
            high -= third;
        }
    }
    f64::midpoint(low, high)
}

/// Probabilities to a power, made to sum to 1.
fn sharpened(logarithms: &[f64], power: f64, out: &mut [f64]) {
    let greatest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for (out, logarithm) in out.iter_mut().zip(logarithms) {
        *out = (power * (logarithm - greatest)).exp();
        sum += *out;
    }
    out.iter_mut().for_each(|value| *value /= sum);
}
