//! Which faces others are made of.

use std::collections::BTreeMap;

use anyhow::bail;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::batch::data::Faces;

/// A face that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its row.
    pub row: usize,
    /// Whether left and right are changed before it is translated.
    pub is_mirrored: bool,
}

/// Real faces of a class that nothing outside its split is a duplicate of.
#[derive(Debug)]
pub struct Sources {
    /// Their rows.
    pub rows: Vec<usize>,
    /// Faces left out because a duplicate of theirs is in another split.
    pub across_splits: usize,
}

impl Sources {
    /// Those of this class and split that were neither dropped nor generated; an error where there are none.
    pub fn of(faces: &Faces, class: usize, split: &str) -> anyhow::Result<Self> {
        let (splits, groups) = (faces.splits()?, faces.groups()?);
        // Of each group its split, or nothing where it has several.
        let mut split_of_group = BTreeMap::<u32, Option<&str>>::new();
        for (group, split) in groups.iter().zip(&splits) {
            let of_group = split_of_group.entry(*group).or_insert(Some(split));
            *of_group = of_group.filter(|before| before == split);
        }
        let is_within = |row: &usize| split_of_group.get(&groups[*row]).is_some_and(Option::is_some);
        let (rows, across): (Vec<usize>, Vec<usize>) =
            faces.real_rows(class, split)?.into_iter().partition(is_within);
        let name = faces.classes.get(class).map_or("", String::as_str);
        match (rows.is_empty(), across.len()) {
            (true, 0) => bail!("the class `{name}` has no faces in the split `{split}`"),
            (true, count) => bail!(
                "all {count} faces of `{name}` in the split `{split}` have duplicates in other splits: nothing may be made of them"
            ),
            (false, across_splits) => Ok(Self { rows, across_splits }),
        }
    }

    /// In the order in which they are tried: all as they are, shuffled, and then all mirrored.
    pub fn candidates(&self, seed: u64) -> Vec<Candidate> {
        let mut rows = self.rows.clone();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let ways = [false, true].into_iter();
        ways.flat_map(|is_mirrored| rows.iter().map(move |&row| Candidate { row, is_mirrored })).collect()
    }
}
