//! Groups of duplicates on the page.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::view::View;
use crate::report::format::thousands;

/// Groups of duplicates, those first that cross a split or disagree.
pub(super) fn draw(view: &View, most: usize, random: &mut ChaCha8Rng) -> Vec<(Vec<usize>, String)> {
    let Some(groups) = &view.groups else { return Vec::new() };
    let mut members = BTreeMap::<i64, Vec<usize>>::new();
    for (row, group) in groups.iter().enumerate() {
        if let Some(group) = group {
            members.entry(group).or_default().push(row);
        }
    }
    let mut all: Vec<Vec<usize>> = members.into_values().collect();
    all.shuffle(random);
    let remark = |rows: &[usize]| {
        let labels: BTreeSet<_> = rows.iter().map(|&row| view.before[row]).collect();
        let splits: BTreeSet<_> = rows.iter().map(|&row| view.first_splits[row].as_str()).collect();
        let mut remarks = Vec::new();
        if labels.len() > 1 {
            remarks.push("labels disagree");
        }
        if splits.len() > 1 {
            remarks.push("crosses a split");
        }
        remarks.join(", ")
    };
    let mut all: Vec<_> = all.into_iter().map(|rows| (remark(&rows), rows)).collect();
    all.sort_by_key(|(remark, _)| std::cmp::Reverse(remark.len()));
    all.truncate(most);
    // A group of a thousand black pictures says no more than one of six.
    all.into_iter().map(|(remark, rows)| (rows.into_iter().take(6).collect(), remark)).collect()
}

/// How many groups there are of each sort.
pub(super) fn numbers(view: &View) -> Vec<(String, &'static str)> {
    let (Some(groups), Some(kinds)) = (&view.groups, &view.kinds) else { return Vec::new() };
    let mut members = BTreeMap::<i64, Vec<usize>>::new();
    let mut exact = BTreeSet::new();
    for row in 0..groups.len() {
        if groups.is_valid(row) {
            members.entry(groups.value(row)).or_default().push(row);
            if kinds.is_valid(row) && kinds.value(row) == "exact" {
                exact.insert(groups.value(row));
            }
        }
    }
    let differ = |of: &dyn Fn(usize) -> String| {
        members
            .values()
            .filter(|rows| rows.iter().map(|&row| of(row)).collect::<BTreeSet<_>>().len() > 1)
            .count()
    };
    vec![
        (thousands(exact.len()), "groups with exact copies"),
        ((members.len() - exact.len()).to_string(), "groups of near copies"),
        (differ(&|row| view.first_splits[row].clone()).to_string(), "groups that cross a split"),
        (differ(&|row| view.class(view.before[row]).to_owned()).to_string(), "groups whose labels disagree"),
    ]
}
