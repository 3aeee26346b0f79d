//! Which detection belongs to which track: the assignment of least total cost.

/// Kuhn and Munkres' algorithm with potentials (Jonker and Volgenant's row-by-row form), O(rows² · columns).
/// Scratch space is kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Assigner {
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    row_of_column: Vec<usize>,
    way: Vec<usize>,
    slack: Vec<f64>,
    visited: Vec<bool>,
    pairs: Vec<(usize, usize)>,
}

impl Assigner {
    /// Pairs rows with columns so that the sum of `cost(row, column)` is least, where to leave a row and a column alone
    /// costs `limit` (ByteTrack's `cost_limit`, after Jonker and Volgenant's `lap`): what belongs together is not torn
    /// apart to make more pairs. What is not finite is no pair.
    pub fn assign(
        &mut self,
        rows: usize,
        columns: usize,
        limit: f32,
        cost: impl Fn(usize, usize) -> f32,
    ) -> &[(usize, usize)] {
        self.pairs.clear();
        if rows == 0 || columns == 0 {
            return &self.pairs;
        }
        let transposed = rows > columns;
        let (n, m) = if transposed { (columns, rows) } else { (rows, columns) };
        let capped = |row: usize, column: usize| {
            let (row, column) = if transposed { (column, row) } else { (row, column) };
            let cost = cost(row, column);
            f64::from(if cost.is_finite() { cost.min(limit) } else { limit })
        };
        self.solve(n, m, capped);
        for column in 1..=m {
            let row = self.row_of_column[column];
            if row > 0 {
                let pair = if transposed { (column - 1, row - 1) } else { (row - 1, column - 1) };
                if cost(pair.0, pair.1) <= limit {
                    self.pairs.push(pair);
                }
            }
        }
        &self.pairs
    }

    /// Rows and columns are counted from 1; column 0 stands for "none".
    fn solve(&mut self, n: usize, m: usize, cost: impl Fn(usize, usize) -> f64) {
        refill(&mut self.row_potential, n + 1, 0.0);
        refill(&mut self.column_potential, m + 1, 0.0);
        refill(&mut self.row_of_column, m + 1, 0);
        refill(&mut self.way, m + 1, 0);
        for row in 1..=n {
            self.row_of_column[0] = row;
            let mut column = 0;
            refill(&mut self.slack, m + 1, f64::INFINITY);
            refill(&mut self.visited, m + 1, false);
            // Each turn visits one more column, so there are at most m + 1.
            while self.row_of_column[column] != 0 {
                self.visited[column] = true;
                let current = self.row_of_column[column];
                let (mut delta, mut next) = (f64::INFINITY, 0);
                for candidate in 1..=m {
                    if self.visited[candidate] {
                        continue;
                    }
                    let reduced = cost(current - 1, candidate - 1)
                        - self.row_potential[current]
                        - self.column_potential[candidate];
                    if reduced < self.slack[candidate] {
                        self.slack[candidate] = reduced;
                        self.way[candidate] = column;
                    }
                    if self.slack[candidate] < delta {
                        delta = self.slack[candidate];
                        next = candidate;
                    }
                }
                for candidate in 0..=m {
                    if self.visited[candidate] {
                        self.row_potential[self.row_of_column[candidate]] += delta;
                        self.column_potential[candidate] -= delta;
                    } else {
                        self.slack[candidate] -= delta;
                    }
                }
                column = next;
            }
            while column != 0 {
                let previous = self.way[column];
                self.row_of_column[column] = self.row_of_column[previous];
                column = previous;
            }
        }
    }
}

fn refill<T: Clone>(values: &mut Vec<T>, length: usize, value: T) {
    values.clear();
    values.resize(length, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least sum of costs less the limit, over all ways to pair.
    fn best(costs: &[Vec<f32>], row: usize, used: &mut [bool], limit: f32) -> f32 {
        let Some(of_row) = costs.get(row) else { return 0.0 };
        let mut least = best(costs, row + 1, used, limit);
        for (column, cost) in of_row.iter().enumerate() {
            if !used[column] {
                used[column] = true;
                least = least.min(cost - limit + best(costs, row + 1, used, limit));
                used[column] = false;
            }
        }
        least
    }

    proptest! {
        #[test]
        fn the_cost_is_least_where_to_leave_a_pair_alone_costs_the_limit(
            (rows, columns, flat) in (0usize..5, 0usize..6).prop_flat_map(|(r, c)| (Just(r), Just(c), prop::collection::vec(0f32..1.0, r * c))),
            limit in 0.1f32..1.0,
        ) {
            let costs: Vec<Vec<f32>> = (0..rows).map(|r| flat[r * columns..(r + 1) * columns].to_vec()).collect();
            let mut assigner = Assigner::default();
            let pairs = assigner.assign(rows, columns, limit, |r, c| costs[r][c]).to_vec();
            let total: f32 = pairs.iter().map(|&(r, c)| costs[r][c] - limit).sum();
            prop_assert!((total - best(&costs, 0, &mut vec![false; columns], limit)).abs() < 1e-4);
            prop_assert!(pairs.iter().all(|&(r, c)| costs[r][c] <= limit));
        }
    }
}
