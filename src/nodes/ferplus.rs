//! Source: the votes of FER+.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            TableWriter, classes,
            columns::{MAJORITY, NOT_A_FACE},
            table::BATCH,
        },
    },
    graph::dag::{Port, PortType},
};

/// The csv's column for each of FER2013's classes in its order.
const COLUMNS: [&str; 7] = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"];

/// Far more taggers than FER+ had (ten): a greater number is damage.
const MOST_VOTES: i64 = 1_000_000;

/// Reads `fer2013new.csv`: ten votes for each row of FER2013 (Barsoum et al., Training Deep Networks for
/// Facial Expression Recognition with Crowd-Sourced Label Distribution, 2016).
///
/// The result has a row for each: `row`, one column of votes for each class of FER2013, `contempt`, `unknown`,
/// `not_a_face`, and `majority`: the class that more than half of the taggers agree on, null where there is none.
/// `row` is the column `Row` of the file where it has one, else the number of the line, from 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FerPlus {
    /// The csv.
    path: PathBuf,
}

impl Stage for FerPlus {
    const NAME: &'static str = "ferplus";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Table;
    const PATHS: &'static [&'static str] = &["path"];

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.path.clone()])
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let path = self.path.display();
        let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&self.path);
        let mut reader = reader.with_context(|| format!("{path} cannot be read"))?;
        let headers = reader.headers().with_context(|| format!("{path}, line 1"))?.clone();
        let find = |name: &str| headers.iter().position(|header| header.eq_ignore_ascii_case(name));
        let need = |name: &str| {
            find(name).with_context(|| {
                format!(
                    "{path} is not FER+: it has no column `{name}`, but: {}",
                    headers.iter().collect::<Vec<_>>().join(", ")
                )
            })
        };
        let mut places = COLUMNS.iter().map(|name| need(name)).collect::<anyhow::Result<Vec<_>>>()?;
        places.extend([need("contempt")?, need("unknown")?, need("NF")?]);
        let row_column = find("Row");
        let mut columns: Vec<Vec<Option<i64>>> = vec![Vec::new(); places.len() + 2];
        for (line, record) in reader.records().enumerate() {
            let record = record.with_context(|| format!("{path}, line {}", line + 2))?;
            let number = |at: usize| -> anyhow::Result<i64> {
                let text = record.get(at).unwrap_or_default();
                text.parse().with_context(|| format!("{path}, line {}: `{text}` is no number", line + 2))
            };
            let row = match row_column {
                Some(at) => number(at)?,
                None => line as i64,
            };
            let votes = places.iter().map(|&at| number(at)).collect::<anyhow::Result<Vec<_>>>()?;
            if let Some(wrong) = votes.iter().find(|votes| !(0..=MOST_VOTES).contains(*votes)) {
                bail!("{path}, line {}: {wrong} votes cannot be", line + 2);
            }
            let total: i64 = votes.iter().sum();
            let majority = votes.iter().take(COLUMNS.len()).position(|&count| 2 * count > total);
            let values = std::iter::once(Some(row))
                .chain(votes.into_iter().map(Some))
                .chain([majority.map(|class| class as i64)]);
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        let names = classes::fer2013();
        let names = names.iter().map(String::as_str).chain(["contempt", "unknown", NOT_A_FACE, MAJORITY]);
        let fields: Vec<_> =
            std::iter::once("row").chain(names).map(|name| Field::new(name, DataType::Int64, true)).collect();
        let rows = columns.first().map_or(0, Vec::len);
        if rows == 0 {
            bail!("{path} has no rows");
        }
        let judged = columns.last().map_or(0, |majority| majority.iter().flatten().count());
        let mut writer = TableWriter::create(
            &context.table(),
            classes::with_names(Schema::new(fields), &classes::fer2013()),
        )?;
        let arrays =
            columns.into_iter().map(|column| Arc::new(Int64Array::from(column)) as ArrayRef).collect();
        let all = RecordBatch::try_new(writer.schema(), arrays)?;
        for begin in (0..rows).step_by(BATCH) {
            writer.write(&all.slice(begin, BATCH.min(rows - begin)))?;
        }
        writer.finish()?;
        Ok(Facts::default().with("rows", rows).with("with_majority", judged))
    }
}
