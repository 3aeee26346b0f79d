//! Which rows the page shows, and what it says of them.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, Float32Array};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{duplicates, view::View};
use crate::{
    batch::data::faces::Reason as Dropped,
    report::{
        cleaning::{Changes, Class, Cleaning, Duplicates, Group, Judgement, Picture, Reason},
        format::thousands,
    },
};

/// Rows that the page will show.
pub(super) struct Draft {
    classes: Vec<Vec<usize>>,
    unlabelled: Vec<usize>,
    reasons: Vec<(String, usize, Vec<usize>)>,
    changed: Vec<usize>,
    groups: Vec<(Vec<usize>, String)>,
}

impl Draft {
    /// Draws rows: so many of each class and each reason.
    pub fn of(view: &View, pictures: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |mut rows: Vec<usize>, most: usize| {
            rows.shuffle(&mut random);
            rows.truncate(most);
            rows
        };
        let all = 0..view.labels.len();
        let of_class = |class: Option<usize>| {
            let is_of = |row: &usize| view.is_kept(*row) && !view.is_copy[*row] && view.labels[*row] == class;
            all.clone().filter(is_of).collect::<Vec<_>>()
        };
        let classes =
            (0..view.faces.classes.len()).map(|class| draw(of_class(Some(class)), pictures)).collect();
        let mut by_reason = BTreeMap::<&str, Vec<usize>>::new();
        for row in all.clone() {
            if let Some(reason) = &view.dropped[row] {
                by_reason.entry(reason).or_default().push(row);
            }
        }
        let mut reasons: Vec<_> = by_reason
            .into_iter()
            .map(|(reason, rows)| (reason.to_owned(), rows.len(), draw(rows, pictures)))
            .collect();
        reasons.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        let changed: Vec<_> = all.clone().filter(|&row| view.is_kept(row) && view.is_changed(row)).collect();
        let changed = draw(changed, 3 * pictures);
        let unlabelled = draw(of_class(None), pictures);
        Self {
            classes,
            unlabelled,
            reasons,
            changed,
            groups: duplicates::draw(view, pictures.div_ceil(2), &mut random),
        }
    }

    /// The rows whose pictures are needed.
    pub fn wanted(&self) -> BTreeSet<usize> {
        let classes = self.classes.iter().flatten();
        let reasons = self.reasons.iter().flat_map(|(.., rows)| rows);
        let groups = self.groups.iter().flat_map(|(rows, _)| rows);
        classes.chain(&self.unlabelled).chain(reasons).chain(&self.changed).chain(groups).copied().collect()
    }

    /// The page with these pictures.
    pub fn finish(
        &self,
        view: &View,
        pictures: &BTreeMap<usize, String>,
        title: String,
        judgement: Option<Judgement>,
    ) -> Cleaning {
        let number = |array: &Option<Float32Array>, row: usize| {
            array.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
        };
        let show = |row: usize, caption: String| Picture {
            source: pictures.get(&row).cloned().unwrap_or_default(),
            caption,
            title: format!(
                "row {}, {}, {}",
                view.rows.value(row),
                view.splits[row],
                view.class(view.before[row])
            ),
        };
        let count = |is: &dyn Fn(usize) -> bool| (0..view.labels.len()).filter(|&row| is(row)).count();
        let class = |name: &str, class: Option<usize>, shown: &[usize]| Class {
            name: name.to_owned(),
            before: count(&|row| view.before[row] == class && !view.is_added[row]),
            after: count(&|row| view.is_kept(row) && view.labels[row] == class),
            pictures: shown.iter().map(|&row| show(row, String::new())).collect(),
        };
        let classes = view.faces.classes.iter().zip(&self.classes).enumerate();
        let classes: Vec<_> = classes.map(|(at, (name, shown))| class(name, Some(at), shown)).collect();
        let unlabelled = class("no label", None, &self.unlabelled);
        let score = |row: usize| match number(&view.score, row) {
            // Of a copy there is no doubt.
            Some(score) if score != 1.0 => format!("{} {score:.2}", view.class(view.before[row])),
            _ => view.class(view.before[row]).to_owned(),
        };
        let reasons = self.reasons.iter().map(|(name, rows, shown)| Reason {
            name: name.clone(),
            rows: *rows,
            meaning: Dropped::all().find(|reason| reason.name() == name).map_or("", Dropped::meaning),
            pictures: shown.iter().map(|&row| show(row, score(row))).collect(),
        });
        let reasons: Vec<_> = reasons.collect();
        let relabelled = count(&|row| view.is_kept(row) && view.is_changed(row));
        let changed = |row: usize| {
            let quality =
                number(&view.quality, row).map_or_else(String::new, |quality| format!(" {quality:.2}"));
            format!("{} → {}{quality}", view.class(view.before[row]), view.class(view.labels[row]))
        };
        let changes = (relabelled > 0).then(|| Changes {
            rows: relabelled,
            matrix: matrix(view),
            pictures: self.changed.iter().map(|&row| show(row, changed(row))).collect(),
        });
        let place = |row: usize| format!("{}, {}", view.class(view.before[row]), view.first_splits[row]);
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|(rows, remark)| Group {
                pictures: rows.iter().map(|&row| show(row, place(row))).collect(),
                remark: remark.clone(),
            })
            .collect();
        let has_groups = view.groups.as_ref().is_some_and(|groups| groups.null_count() < groups.len());
        let duplicates = has_groups.then(|| Duplicates { numbers: duplicates::numbers(view), groups });
        let (rows, kept) = (count(&|row| !view.is_added[row]), count(&|row| view.is_kept(row)));
        let added = count(&|row| view.is_added[row]);
        let mut totals = vec![
            (thousands(rows), "rows"),
            (thousands(kept), "kept"),
            (thousands(count(&|row| !view.is_kept(row))), "taken out"),
            (thousands(relabelled), "labelled anew"),
        ];
        if added > 0 {
            totals.insert(1, (thousands(added), "made or repeated"));
        }
        Cleaning {
            title,
            rows,
            added,
            kept,
            totals,
            classes,
            unlabelled: Some(unlabelled).filter(|class| class.before + class.after > 0),
            reasons,
            changes,
            duplicates,
            judgement,
        }
    }
}

/// For each old label, how many kept rows have each new one.
fn matrix(view: &View) -> Vec<Vec<usize>> {
    let classes = view.faces.classes.len();
    let mut matrix = vec![vec![0; classes]; classes];
    for row in (0..view.labels.len()).filter(|&row| view.is_kept(row)) {
        if let (Some(old), Some(new)) = (view.before[row], view.labels[row])
            && let Some(cell) = matrix.get_mut(old).and_then(|line| line.get_mut(new))
        {
            *cell += 1;
        }
    }
    matrix
}
