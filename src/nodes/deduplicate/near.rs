//! Groups of pictures that are nearly the same.

use std::collections::BTreeMap;

use arrow_array::Array;
use ferroflow_vision::{correlation::correlation, perceptual_hash::each_close_pair};

use super::Print;
use crate::batch::{
    Context,
    data::{Faces, picture::decode_gray, sets::DisjointSets},
};

/// Rows that belong together, and of the first of each set the least correlation that brought two of it together.
struct Sets {
    rows: DisjointSets,
    least: Vec<f32>,
}

impl Sets {
    fn new(rows: usize) -> Self {
        Self { rows: DisjointSets::new(rows), least: vec![1.0; rows] }
    }

    fn first(&mut self, row: usize) -> usize {
        self.rows.first(row)
    }

    fn join(&mut self, a: usize, b: usize, correlation: f32) {
        let (of_a, of_b) = (self.first(a), self.first(b));
        let least = self.least[of_a].min(self.least[of_b]).min(correlation);
        self.rows.join(a, b);
        let first = self.first(a);
        self.least[first] = least;
    }
}

/// Groups of near duplicates among the rows that are there, in the order of rows, each with the least
/// correlation that joined it. Rows that others have brought together already are not compared: of thousands
/// of copies of one picture each is compared about once.
pub(super) fn groups(
    faces: &Faces,
    prints: &[Print],
    is_there: &dyn Fn(usize) -> bool,
    least_correlation: f32,
    context: &Context,
) -> anyhow::Result<Vec<(Vec<usize>, f32)>> {
    let hashes: Vec<_> =
        prints.iter().enumerate().map(|(row, print)| print.near.filter(|_| is_there(row))).collect();
    let mut has_partner = vec![false; hashes.len()];
    each_close_pair(&hashes, |a, b| {
        (has_partner[a], has_partner[b]) = (true, true);
        context.check()
    })?;
    let pictures = pictures(faces, &has_partner, context)?;
    let mut sets = Sets::new(hashes.len());
    each_close_pair(&hashes, |a, b| {
        context.check()?;
        if sets.first(a) == sets.first(b) {
            return Ok(());
        }
        let is_same = prints[a].exact == prints[b].exact;
        let similarity = if is_same { 1.0 } else { correlation(&pictures[a], &pictures[b]) };
        if similarity >= least_correlation {
            sets.join(a, b, similarity);
        }
        anyhow::Ok(())
    })?;
    let mut groups = BTreeMap::<usize, Vec<usize>>::new();
    for row in (0..hashes.len()).filter(|row| has_partner[*row]) {
        groups.entry(sets.first(row)).or_default().push(row);
    }
    groups.retain(|_, group| group.len() > 1);
    Ok(groups.into_iter().map(|(first, group)| (group, sets.least[first])).collect())
}

/// The pixels of the rows that are wanted; nothing for the others.
fn pictures(faces: &Faces, wanted: &[bool], context: &Context) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut pictures = vec![Vec::new(); wanted.len()];
    context.progress.begin(wanted.len(), "pictures compared");
    for piece in faces.images()? {
        context.check()?;
        let (first, images) = piece?;
        context.progress.advance(images.len());
        for (row, bytes) in (first..).zip(&images) {
            if let (true, Some(bytes)) = (wanted[row], bytes) {
                pictures[row] = decode_gray(bytes)?.pixels;
            }
        }
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_called_by_its_first_row_and_remembers_the_least_correlation_that_joined_it() {
        let mut sets = Sets::new(6);
        sets.join(4, 5, 0.99);
        sets.join(2, 3, 0.985);
        sets.join(5, 3, 0.995);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|row| sets.first(row)), [0, 1, 2, 2, 2, 2]);
        assert_eq!((sets.least[0], sets.least[2]), (1.0, 0.985));
    }
}
