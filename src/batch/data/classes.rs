//! The names of labels, kept where Hugging Face's `datasets` keeps them: in the schema's metadata, as a
//! `ClassLabel` feature.
//!
//! <https://huggingface.co/docs/datasets/about_dataset_features>

use std::collections::HashMap;

use anyhow::{Context, bail};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_vision::face::EXPRESSIONS;
use serde_json::{Map, Value, json};

use super::columns::{LABEL, MAJORITY, ORIGINAL_LABEL};

/// The metadata key of `datasets`.
const KEY: &str = "huggingface";

/// FER2013's classes in its order.
pub fn fer2013() -> Vec<String> {
    EXPRESSIONS.map(str::to_owned).to_vec()
}

/// Columns whose numbers stand for classes; in a table of votes the last.
pub const LABELS: [&str; 3] = [LABEL, ORIGINAL_LABEL, MAJORITY];

/// The class names of the column `label`, or of `majority`, or nothing where the schema has none.
pub fn names(schema: &Schema) -> Option<Vec<String>> {
    let info: Value = serde_json::from_str(schema.metadata().get(KEY)?).ok()?;
    let features = info.pointer("/info/features")?;
    let names = LABELS.iter().find_map(|column| features.get(column)?.get("names")?.as_array())?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The schema with these class names.
pub fn with_names(schema: Schema, names: &[String]) -> Schema {
    let features = json!({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}});
    let metadata = HashMap::from([(KEY.to_owned(), features.to_string())]);
    Schema::new_with_metadata(schema.fields, metadata)
}

/// The schema with a feature for each of its columns. Class names stay as they are.
pub fn with_features(schema: Schema) -> anyhow::Result<Schema> {
    let names = names(&schema);
    let mut features = Map::new();
    for field in schema.fields() {
        features.insert(field.name().clone(), feature(field, names.as_deref())?);
    }
    let info = json!({"info": {"features": features}});
    let metadata = HashMap::from([(KEY.to_owned(), info.to_string())]);
    Ok(Schema::new_with_metadata(schema.fields, metadata))
}

fn feature(field: &Field, names: Option<&[String]>) -> anyhow::Result<Value> {
    let is_label = LABELS.contains(&field.name().as_str());
    if let (true, Some(names)) = (is_label, names) {
        return Ok(json!({"names": names, "_type": "ClassLabel"}));
    }
    if field.name() == "image" {
        return Ok(json!({"_type": "Image"}));
    }
    let feature = |kind: &DataType| -> anyhow::Result<Value> {
        let name = match kind {
            DataType::Utf8 => "string",
            DataType::Boolean => "bool",
            DataType::Int32 => "int32",
            DataType::Int64 => "int64",
            DataType::UInt32 => "uint32",
            DataType::UInt64 => "uint64",
            DataType::Float32 => "float32",
            DataType::Float64 => "float64",
            other => bail!("a column of type {other} cannot be kept"),
        };
        Ok(json!({"dtype": name, "_type": "Value"}))
    };
    let kind = match field.data_type() {
        DataType::FixedSizeList(item, length) => {
            return Ok(json!({"feature": feature(item.data_type())?, "length": length, "_type": "Sequence"}));
        }
        DataType::List(item) | DataType::LargeList(item) => {
            return Ok(json!({"feature": feature(item.data_type())?, "_type": "Sequence"}));
        }
        kind => kind,
    };
    feature(kind).with_context(|| format!("the column `{}`", field.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_votes_keeps_the_names_of_its_majority() {
        let votes = ["sad", "bored", "angry"].map(str::to_owned);
        let schema = Schema::new(vec![Field::new("majority", DataType::Int64, true)]);
        assert_eq!(names(&schema), None);
        // Its column is not called `label`.
        let named = with_features(with_names(schema, &votes));
        assert_eq!(named.ok().and_then(|schema| names(&schema)).as_deref(), Some(&votes[..]));
    }
}
