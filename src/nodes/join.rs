//! Brings columns of another table.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use arrow_array::{Array, ArrayRef, Int64Array, StringArray, UInt64Array};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{
        Context, Facts, Stage,
        data::{Renumbering, Table, classes, columns::IMAGE},
    },
    graph::dag::{Port, PortType},
};

/// Adds the columns of another table to each row that has the same keys there; a left join. Rows without a
/// partner get nulls. A column that is there already stays as it is, and must not be asked for by name,
/// unless `prefix` makes the new one another. Where the other table has other classes, or the same in another
/// order, labels and probabilities become those of the rows' classes, by name; a label of a class that the
/// rows do not have becomes null.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Join {
    /// Columns that must be equal: integers or text.
    #[serde(default = "on")]
    on: Vec<String>,
    /// The columns to bring; all but the picture unless given.
    #[serde(default)]
    columns: Vec<String>,
    /// Put before the name of each column that is brought.
    #[serde(default)]
    prefix: String,
}

fn on() -> Vec<String> {
    vec!["row".into()]
}

impl Stage for Join {
    const NAME: &'static str = "join";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] =
        &[Port::faces("The rows."), Port::one("other", PortType::Table, "Where columns come from.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        if self.on.is_empty() { Err("`on` must name a column".into()) } else { Ok(()) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let (left, right) = (context.input("input")?.table()?, context.input("other")?.table()?);
        let mut partner = HashMap::new();
        for (row, key) in keys(&right, &self.on)?.into_iter().enumerate() {
            let Some(key) = key else { continue };
            if let Some(before) = partner.insert(key.clone(), row as u64) {
                let key = key.trim_end_matches('\u{1f}').replace('\u{1f}', ", ");
                bail!("the rows {before} and {row} of `other` have the same {}: {key}", self.on.join(", "));
            }
        }
        let places: UInt64Array =
            keys(&left, &self.on)?.iter().map(|key| partner.get(key.as_ref()?).copied()).collect();
        let matched = places.len() - places.null_count();
        let wanted = |name: &String| match self.columns.is_empty() {
            // The rows have a picture of their own, whatever the other's would be called.
            true => !self.on.contains(name) && name != IMAGE && !left.has(&format!("{}{name}", self.prefix)),
            false => self.columns.contains(name),
        };
        for column in &self.columns {
            right.field(column)?;
            let name = format!("{}{column}", self.prefix);
            if left.has(&name) {
                bail!("`columns`: the rows have a column `{name}` already; give `prefix`, so that both stay");
            }
        }
        // Numbers of classes say something else where classes are others, or in another order.
        let classes = classes::names(left.schema()).unwrap_or_default();
        let renumbering = Renumbering::of(right.schema(), &classes);
        let mut columns = Vec::new();
        for field in right.schema().fields().iter().filter(|field| wanted(field.name())) {
            let mut column = right.column(field.name())?;
            if let Some(renumbering) = &renumbering {
                column = renumbering.column(field.name(), &column);
            }
            let taken = arrow_select::take::take(column.as_ref(), &places, None)?;
            let name = format!("{}{}", self.prefix, field.name());
            columns.push((field.as_ref().clone().with_name(name).with_nullable(true), taken));
        }
        let names: Vec<_> = columns.iter().map(|(field, _)| field.name().clone()).collect();
        left.write_with(&context.table(), &columns)?;
        let facts = Facts::default().with("rows", left.rows()).with("matched", matched);
        Ok(facts.with("columns", names.join(" ")))
    }
}

/// The key of each row, as text; none where a part of it is null.
fn keys(table: &Table, on: &[String]) -> anyhow::Result<Vec<Option<String>>> {
    let mut keys = vec![Some(String::new()); table.rows()];
    for column in on {
        let values = texts(&table.column(column)?).with_context(|| format!("the key column `{column}`"))?;
        for (key, value) in keys.iter_mut().zip(values) {
            *key = key.take().zip(value).map(|(key, value)| format!("{key}{value}\u{1f}"));
        }
    }
    Ok(keys)
}

fn texts(column: &ArrayRef) -> anyhow::Result<Vec<Option<String>>> {
    if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>() {
        return Ok(numbers.iter().map(|value| value.map(|value| value.to_string())).collect());
    }
    match column.as_any().downcast_ref::<StringArray>() {
        Some(texts) => Ok(texts.iter().map(|text| text.map(str::to_owned)).collect()),
        None => bail!("has type {}, and keys must be integers or text", column.data_type()),
    }
}
