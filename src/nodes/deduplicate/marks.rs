//! What duplicates are told of: columns for each row, counts for the record.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef,
    builder::{Int64Builder, StringBuilder},
};
use arrow_schema::{DataType, Field};

use super::{Member, Policy};
use crate::batch::data::{
    Faces,
    columns::{DUPLICATE, DUPLICATE_GROUP, DUPLICATE_OF},
};

/// What is counted of groups.
#[derive(Default)]
pub(super) struct Groups {
    groups: usize,
    rows: usize,
    conflicting: usize,
    across_splits: usize,
}

impl Groups {
    pub fn add(&mut self, members: &[Member<'_>]) {
        self.groups += 1;
        self.rows += members.len() - 1;
        self.conflicting += usize::from(members.iter().any(|member| member.label != members[0].label));
        self.across_splits += usize::from(members.iter().any(|member| member.split != members[0].split));
    }

    pub fn facts(&self) -> serde_json::Value {
        serde_json::json!({
            "groups": self.groups,
            "rows_too_many": self.rows,
            "conflicting_groups": self.conflicting,
            "groups_across_splits": self.across_splits,
        })
    }
}

/// For each row of a group the one that stays; nothing where none does.
pub(super) type Stays = BTreeMap<usize, Option<usize>>;

/// The columns that say which rows are duplicates.
pub(super) struct Marks {
    /// Group, row that stays, and kind, of each row that is in a group.
    of: Vec<Option<(usize, Option<usize>, &'static str)>>,
    groups: usize,
}

impl Marks {
    pub fn new(rows: usize) -> Self {
        Self { of: vec![None; rows], groups: 0 }
    }

    /// A group of near duplicates takes the exact ones of its members along. If it is dropped but for one,
    /// that one is also what stays of those.
    pub fn add(&mut self, stays: &Stays, kind: &'static str, policy: Policy) {
        let is_dropped = policy == Policy::Drop;
        let older: Vec<usize> =
            stays.keys().filter_map(|&row| self.of[row].map(|(group, ..)| group)).collect();
        for mark in self.of.iter_mut().flatten().filter(|(group, ..)| older.contains(group)) {
            mark.0 = self.groups;
            if let (true, Some(row)) = (is_dropped, mark.1) {
                mark.1 = stays.get(&row).copied().unwrap_or(mark.1);
            }
        }
        for (&row, &instead) in stays {
            let mark = self.of[row].get_or_insert((self.groups, instead, kind));
            if is_dropped {
                mark.1 = instead;
            }
        }
        self.groups += 1;
    }

    pub fn columns(&self, faces: &Faces) -> anyhow::Result<Vec<(Field, ArrayRef)>> {
        let rows = faces.source_rows()?;
        let (mut groups, mut of, mut kinds) =
            (Int64Builder::new(), Int64Builder::new(), StringBuilder::new());
        for (row, mark) in self.of.iter().enumerate() {
            let stays = mark.and_then(|(_, stays, _)| stays).filter(|stays| *stays != row);
            groups.append_option(mark.map(|(group, ..)| group as i64));
            of.append_option(stays.map(|stays| rows.value(stays)));
            kinds.append_option(mark.map(|(_, _, kind)| kind));
        }
        Ok(vec![
            (Field::new(DUPLICATE_GROUP, DataType::Int64, true), Arc::new(groups.finish()) as ArrayRef),
            (Field::new(DUPLICATE_OF, DataType::Int64, true), Arc::new(of.finish())),
            (Field::new(DUPLICATE, DataType::Utf8, true), Arc::new(kinds.finish())),
        ])
    }
}
