//! Takes the rows that fit.

use std::collections::BTreeMap;

use anyhow::Context as _;
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, UInt64Array,
    cast::AsArray,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{
        Context, Facts, Stage,
        data::{Faces, Renumbering, Table, classes, columns::PROBABILITIES, faces::check_splits},
    },
    graph::dag::{Port, PortType},
};

/// Takes the rows for which all of this holds; the others are not in the result.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Filter {
    /// Only rows that were not dropped.
    #[serde(default)]
    kept: bool,
    /// Only these splits, which must have rows; all unless given.
    #[serde(default)]
    splits: Vec<String>,
    /// Only these classes; all unless given.
    #[serde(default)]
    classes: Vec<String>,
    /// Whether the others are no classes any more, so that a network can be trained for those that are left:
    /// labels are numbered anew, in the order in which they were, and probabilities are those among the
    /// classes that are left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    shrink: bool,
    /// Only rows whose number in a column is at least this: `at-least = { label_quality = 0.5 }`.
    #[serde(default)]
    at_least: BTreeMap<String, f64>,
    /// Only rows whose number in a column is at most this.
    #[serde(default)]
    at_most: BTreeMap<String, f64>,
}

impl Stage for Filter {
    const NAME: &'static str = "filter";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::faces("Where rows are taken from.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        let mut limits = self.at_least.iter().chain(&self.at_most);
        match limits.find(|(_, limit)| limit.is_nan()) {
            Some((column, _)) => Err(format!("the limit of `{column}` is no number: nothing would be left")),
            None if self.shrink && self.classes.is_empty() => {
                Err("`shrink` leaves the classes that `classes` names, and none is named".to_owned())
            }
            None => Ok(()),
        }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, splits, dropped) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let classes =
            self.classes.iter().map(|name| faces.class(name)).collect::<anyhow::Result<Vec<_>>>()?;
        check_splits(&self.splits, &splits)?;
        let mut fits: Vec<bool> = (0..labels.len())
            .map(|row| {
                (!self.kept || dropped[row].is_none())
                    && (self.splits.is_empty() || self.splits.contains(&splits[row]))
                    && (classes.is_empty() || labels[row].is_some_and(|label| classes.contains(&label)))
            })
            .collect();
        for (limits, is_least) in [(&self.at_least, true), (&self.at_most, false)] {
            for (column, &limit) in limits {
                let values = numbers(&faces.table.column(column)?)
                    .with_context(|| format!("the column `{column}` holds no numbers"))?;
                for (fits, value) in fits.iter_mut().zip(values) {
                    *fits &=
                        value.is_some_and(|value| if is_least { value >= limit } else { value <= limit });
                }
            }
        }
        let rows: Vec<usize> = (0..fits.len()).filter(|&row| fits[row]).collect();
        let (table, columns) = match self.shrink {
            true => self.shrunk(&faces, &rows)?,
            false => (faces.table, Vec::new()),
        };
        table.write_rows(&context.table(), &rows, &columns)?;
        Ok(Facts::default().with("rows", rows.len()).with("left_out", fits.len() - rows.len()))
    }
}

impl Filter {
    /// The table with the names of the classes that are left, and of these rows the columns that go by them.
    fn shrunk(&self, faces: &Faces, rows: &[usize]) -> anyhow::Result<(Table, Vec<(Field, ArrayRef)>)> {
        let left: Vec<String> =
            faces.classes.iter().filter(|name| self.classes.contains(name)).cloned().collect();
        let renumbering = Renumbering::between(&faces.classes, &left);
        let places: UInt64Array = rows.iter().map(|row| *row as u64).collect();
        let by_class = classes::LABELS.into_iter().chain([PROBABILITIES]);
        let columns = by_class.filter(|name| faces.table.has(name)).map(|name| {
            let column = renumbering.column(name, &faces.table.column(name)?);
            Ok((faces.table.field(name)?.clone(), arrow_select::take::take(column.as_ref(), &places, None)?))
        });
        let columns = columns.collect::<anyhow::Result<Vec<_>>>()?;
        Ok((faces.table.with_classes(&left), columns))
    }
}

/// A column as numbers, if it is one.
pub fn numbers(column: &ArrayRef) -> Option<Vec<Option<f64>>> {
    fn of<T: ArrowPrimitiveType<Native: Into<f64>>>(column: &ArrayRef) -> Vec<Option<f64>> {
        column.as_primitive::<T>().iter().map(|value| value.map(Into::into)).collect()
    }
    Some(match column.data_type() {
        DataType::Float64 => of::<Float64Type>(column),
        DataType::Float32 => of::<Float32Type>(column),
        DataType::Int64 => {
            column.as_primitive::<Int64Type>().iter().map(|value| value.map(|value| value as f64)).collect()
        }
        DataType::UInt64 => {
            column.as_primitive::<UInt64Type>().iter().map(|value| value.map(|value| value as f64)).collect()
        }
        DataType::Int32 => of::<Int32Type>(column),
        DataType::Int16 => of::<Int16Type>(column),
        DataType::Int8 => of::<Int8Type>(column),
        DataType::UInt32 => of::<UInt32Type>(column),
        DataType::UInt16 => of::<UInt16Type>(column),
        DataType::UInt8 => of::<UInt8Type>(column),
        _ => return None,
    })
}
