//! Finds pictures that are there more than once.

mod marks;
mod near;

use std::collections::BTreeMap;

use ferroflow_vision::perceptual_hash::Hasher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::marks::{Groups, Marks, Stays};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::{Decision, Reason, TEST, VALIDATION, decode_all, dropped_columns},
            picture::Gray,
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

/// Finds exact and near duplicates, those that cross a split, and those whose labels disagree.
///
/// Exact duplicates have the same pixels. Near ones have perceptual hashes that differ in at most 3 of 64 bits, and
/// correlate at least as `near-correlation` says. Nothing is removed: rows too many get a reason in `dropped`
/// (`duplicate`, `leak` where the one that stays is in another split, `conflict` where labels disagree), and
/// all of a group share `duplicate_group`; `duplicate_of` is the `row` of the one that stays, `duplicate`
/// says `exact` or `near`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deduplicate {
    /// What becomes of exact duplicates.
    #[serde(default = "drop")]
    exact: Policy,
    /// What becomes of near duplicates.
    #[serde(default = "mark")]
    near: Policy,
    /// Which copy stays when a group crosses a split.
    #[serde(default)]
    keep: Keep,
    /// What becomes of exact duplicates whose labels disagree.
    #[serde(default)]
    conflicts: Conflicts,
    /// Least correlation of two near duplicates, 0 to 1.
    #[serde(default = "near_correlation")]
    near_correlation: f32,
}

/// What becomes of duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    /// One stays, the others are dropped.
    Drop,
    /// All stay; the columns say that they are duplicates.
    Mark,
    /// Nobody looks for them.
    Ignore,
}

/// Which copy stays when a group crosses a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Keep {
    /// That in `test`, else `validation`: what is measured stays comparable, and nothing of it is learnt by heart.
    #[default]
    Evaluation,
    /// That in `train`.
    Train,
    /// One in each split: the leak stays.
    Each,
}

/// What becomes of exact duplicates whose labels disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Conflicts {
    /// One with the label of the majority stays; without a majority, none.
    #[default]
    Majority,
    /// None stays.
    Drop,
    /// As if they agreed.
    Ignore,
}

fn drop() -> Policy {
    Policy::Drop
}

fn mark() -> Policy {
    Policy::Mark
}

fn near_correlation() -> f32 {
    0.98
}

/// What is remembered of each picture.
struct Print {
    exact: [u8; 16],
    near: Option<u64>,
}

/// A row with what is decided on.
#[derive(Clone, Copy)]
struct Member<'a> {
    row: usize,
    label: Option<usize>,
    split: &'a str,
}

impl Stage for Deduplicate {
    const NAME: &'static str = "deduplicate";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port::faces("What is searched.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        match self.near_correlation {
            value if (0.0..=1.0).contains(&value) => Ok(()),
            value => Err(format!("`near-correlation` is {value}, and must be from 0 to 1")),
        }
    }

    fn needs(&self) -> Needs {
        Needs::all_cores(256 << 20)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, splits, before) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let prints = self.prints(&faces, context)?;
        let member = |row: usize| Member { row, label: labels[row], split: &splits[row] };
        let counts = |row: &usize| before[*row].is_none();
        let exact: Vec<Vec<usize>> = match self.exact {
            Policy::Ignore => Vec::new(),
            _ => groups_by(prints.iter().map(|print| print.exact).enumerate().filter(|(row, _)| counts(row))),
        };
        let mut decisions: Vec<Decision> = vec![None; prints.len()];
        let mut marks = Marks::new(prints.len());
        let mut facts = Groups::default();
        for group in &exact {
            let members: Vec<_> = group.iter().map(|&row| member(row)).collect();
            facts.add(&members);
            let (stays, reasons) = self.decide(&members);
            marks.add(&stays, "exact", self.exact);
            if self.exact == Policy::Drop {
                reasons.into_iter().for_each(|(row, reason)| decisions[row] = Some((reason, 1.0)));
            }
        }
        let mut near = Groups::default();
        if self.near != Policy::Ignore {
            let is_there = |row: usize| counts(&row) && decisions[row].is_none();
            let found = near::groups(&faces, &prints, &is_there, self.near_correlation, context)?;
            for (group, least) in &found {
                let members: Vec<_> = group.iter().map(|&row| member(row)).collect();
                near.add(&members);
                // Labels of pictures that differ may differ rightly.
                let (stays, reasons) = Self { conflicts: Conflicts::Ignore, ..self.clone() }.decide(&members);
                marks.add(&stays, "near", self.near);
                if self.near == Policy::Drop {
                    reasons
                        .into_iter()
                        .for_each(|(row, reason)| decisions[row] = Some((nearly(reason), *least)));
                }
            }
        }
        let mut columns = dropped_columns(&faces, Self::NAME, &decisions)?;
        columns.extend(marks.columns(&faces)?);
        faces.table.write_with(&context.table(), &columns)?;
        let dropped = decisions.iter().flatten().count();
        Ok(Facts::default()
            .with("rows", prints.len())
            .with("dropped", dropped)
            .with("exact", facts.facts())
            .with("near", near.facts()))
    }
}

impl Deduplicate {
    fn prints(&self, faces: &Faces, context: &Context) -> anyhow::Result<Vec<Print>> {
        context.progress.begin(faces.table.rows(), "pictures");
        let mut prints = Vec::with_capacity(faces.table.rows());
        let work = |hasher: &mut Hasher, (first, images)| {
            let one = |(_, picture): (usize, Gray)| Print {
                exact: exact_print(&picture),
                near: hasher.hash(&picture.pixels, picture.width, picture.height),
            };
            Ok(decode_all(first, &images)?.into_iter().map(one).collect::<Vec<_>>())
        };
        flow::in_order(
            faces.images()?,
            context.workers,
            || Ok(Hasher::default()),
            work,
            |piece: Vec<Print>| {
                context.check()?;
                context.progress.advance(piece.len());
                prints.extend(piece);
                Ok(())
            },
        )?;
        Ok(prints)
    }

    /// For each row of a group the one that stays, itself or another; and those that do not stay, with the reason.
    fn decide(&self, members: &[Member<'_>]) -> (Stays, Vec<(usize, Reason)>) {
        let priority = |member: &Member| {
            let evaluation = match member.split {
                TEST => 0,
                VALIDATION => 1,
                _ => 2,
            };
            if self.keep == Keep::Train { 2 - evaluation } else { evaluation }
        };
        let disagree = members.iter().any(|member| member.label != members[0].label);
        let candidates: Vec<&Member> = match (disagree, self.conflicts) {
            (false, _) | (_, Conflicts::Ignore) => members.iter().collect(),
            (true, Conflicts::Drop) => Vec::new(),
            (true, Conflicts::Majority) => {
                let winner = majority(members);
                members
                    .iter()
                    .filter(|member| winner.is_some_and(|winner| member.label == Some(winner)))
                    .collect()
            }
        };
        let mut stays: Vec<&Member> = Vec::new();
        if self.keep == Keep::Each {
            for member in &candidates {
                if !stays.iter().any(|other| other.split == member.split) {
                    stays.push(member);
                }
            }
        } else {
            stays.extend(candidates.iter().min_by_key(|member| (priority(member), member.row)));
        }
        // The one in the same split, where each split has one.
        let instead_of = |member: &Member| {
            let in_split = stays.iter().find(|stays| stays.split == member.split);
            in_split.or(stays.first()).copied()
        };
        let reason = |member: &Member| match instead_of(member) {
            None => Reason::Conflict,
            Some(_) if !candidates.iter().any(|candidate| candidate.row == member.row) => Reason::Conflict,
            Some(stays) if stays.split != member.split => Reason::Leak,
            Some(_) => Reason::Duplicate,
        };
        let goes = members.iter().filter(|member| !stays.iter().any(|stays| stays.row == member.row));
        let reasons = goes.map(|member| (member.row, reason(member))).collect();
        let instead = members.iter().map(|member| (member.row, instead_of(member).map(|stays| stays.row)));
        (instead.collect(), reasons)
    }
}

/// What a copy is dropped for where it is nearly one.
fn nearly(reason: Reason) -> Reason {
    if reason == Reason::Leak { Reason::NearLeak } else { Reason::NearDuplicate }
}

fn exact_print(picture: &Gray) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&picture.width.to_le_bytes()).update(&picture.pixels);
    let mut print = [0; 16];
    print.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    print
}

/// Rows with the same key, where there is more than one; each group and all groups in the order of rows.
fn groups_by<K: Ord>(rows: impl Iterator<Item = (usize, K)>) -> Vec<Vec<usize>> {
    let mut by_key = BTreeMap::<K, Vec<usize>>::new();
    rows.for_each(|(row, key)| by_key.entry(key).or_default().push(row));
    let mut groups: Vec<_> = by_key.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    groups
}

/// The label of more than any other; nothing where two are even.
fn majority(members: &[Member<'_>]) -> Option<usize> {
    let mut votes = BTreeMap::<usize, usize>::new();
    members.iter().filter_map(|member| member.label).for_each(|label| *votes.entry(label).or_default() += 1);
    let most = votes.values().max().copied()?;
    let mut winners = votes.into_iter().filter(|(_, count)| *count == most).map(|(label, _)| label);
    let winner = winners.next();
    if winners.next().is_some() { None } else { winner }
}
