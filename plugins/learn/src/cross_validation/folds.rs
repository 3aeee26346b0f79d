//! Which row is judged by which network.

use crate::random::Random;

/// The fold of each row: whole groups, every class spread evenly, the same for the same seed.
///
/// Groups are taken in random order, the largest first; each goes to the fold that has the fewest rows of the
/// group's classes, and among equals to the one with the fewest rows.
pub fn assign(labels: &[u8], groups: &[u32], folds: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|row| groups[*row]);
    let mut members: Vec<&[usize]> = order.chunk_by(|a, b| groups[*a] == groups[*b]).collect();
    Random::new(&[seed, u64::from_le_bytes(*b"folds\0\0\0")]).shuffle(&mut members);
    members.sort_by_key(|rows| std::cmp::Reverse(rows.len()));

    let classes = labels.iter().max().map_or(0, |label| usize::from(*label) + 1);
    let mut counts = vec![vec![0usize; classes]; folds];
    let mut totals = vec![0usize; folds];
    let mut assigned = vec![0; labels.len()];
    for rows in members {
        let crowding =
            |fold: usize| rows.iter().map(|row| counts[fold][usize::from(labels[*row])]).sum::<usize>();
        let fold = (0..folds).min_by_key(|fold| (crowding(*fold), totals[*fold])).unwrap_or(0);
        for row in rows {
            counts[fold][usize::from(labels[*row])] += 1;
            assigned[*row] = fold;
        }
        totals[fold] += rows.len();
    }
    assigned
}
