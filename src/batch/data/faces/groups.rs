//! Which rows belong together.

use std::collections::{BTreeMap, HashMap};

use anyhow::bail;
use arrow_array::{Array, Int64Array, StringArray};

use super::Faces;
use crate::batch::data::{
    columns::{DUPLICATE_GROUP, GROUP, SOURCE_ROW},
    sets::DisjointSets,
};

impl Faces {
    /// The group that each row belongs to: its duplicates (`duplicate_group`), where somebody has looked for
    /// them, its copies, which have its `row`, what was made of it (`source_row`), and those of the same
    /// `group`, such as a video: a network that has learnt from some of them knows the others.
    pub fn groups(&self) -> anyhow::Result<Vec<u32>> {
        let of_rows = self.copies()?;
        if !self.table.has(GROUP) {
            return Ok(of_rows);
        }
        let column = self.table.column(GROUP)?;
        let groups: Vec<Option<String>> = if let Some(names) = column.as_any().downcast_ref::<StringArray>() {
            names.iter().map(|name| name.map(str::to_owned)).collect()
        } else if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>() {
            numbers.iter().map(|number| number.map(|number| number.to_string())).collect()
        } else {
            bail!("the column `{GROUP}` is {}, and must be text or whole numbers", column.data_type());
        };
        Ok(joined(&of_rows, &groups))
    }

    fn copies(&self) -> anyhow::Result<Vec<u32>> {
        let rows = self.source_rows()?;
        let groups: Option<Int64Array> = self.table.optional(DUPLICATE_GROUP)?;
        let mut numbers = BTreeMap::new();
        let mut next = 0u32;
        let mut fresh = || {
            next += 1;
            next - 1
        };
        let mut number = |at: usize| {
            let group = groups.as_ref().filter(|groups| groups.is_valid(at)).map(|groups| groups.value(at));
            let row = rows.is_valid(at).then(|| rows.value(at));
            match (group, row.filter(|_| group.is_none())) {
                (None, None) => fresh(),
                known => *numbers.entry(known).or_insert_with(&mut fresh),
            }
        };
        let mut of_rows: Vec<u32> = (0..self.table.rows()).map(&mut number).collect();
        let generated = self.generated()?;
        if generated.contains(&true) && self.table.has(SOURCE_ROW) {
            let sources: Int64Array = self.table.typed(SOURCE_ROW)?;
            let real = (0..of_rows.len()).filter(|at| !generated[*at] && rows.is_valid(*at));
            let of_source: BTreeMap<i64, u32> = real.map(|at| (rows.value(at), of_rows[at])).collect();
            for at in (0..of_rows.len()).filter(|at| generated[*at] && sources.is_valid(*at)) {
                of_rows[at] = of_source.get(&sources.value(at)).copied().unwrap_or(of_rows[at]);
            }
        }
        Ok(of_rows)
    }
}

/// Groups of rows that share a number or a name, or do so through others.
fn joined(numbers: &[u32], names: &[Option<String>]) -> Vec<u32> {
    let mut sets = DisjointSets::new(numbers.iter().max().map_or(0, |most| *most as usize + 1));
    let mut first = HashMap::new();
    for (&number, name) in numbers.iter().zip(names) {
        if let Some(name) = name {
            sets.join(*first.entry(name).or_insert(number) as usize, number as usize);
        }
    }
    // No set has a number beyond those that came in.
    numbers.iter().map(|&number| sets.first(number as usize) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn rows_that_share_a_number_or_a_name_are_one_group_also_through_others() {
        let name = |name: &str| Some(name.to_owned());
        // Two videos with a copy in common, one alone, one row of none.
        let names = [name("a"), name("a"), name("b"), name("b"), name("c"), None, None];
        let groups = joined(&[0, 1, 1, 2, 3, 4, 4], &names);
        assert!(groups[..4].iter().all(|group| *group == groups[0]), "{groups:?}");
        assert_eq!(groups[5], groups[6]);
        let distinct: std::collections::BTreeSet<_> = groups.iter().collect();
        assert_eq!(distinct.len(), 3);
        assert!(joined(&[], &[]).is_empty());
    }
}
