//! Columns as the house keeps them: other programs write text and numbers of other types.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::ArrayRef;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field};

use crate::batch::data::columns;

/// The type that a column has once [`native`] has been there.
pub fn native_type(name: &str, kind: &DataType) -> DataType {
    columns::kind(name).unwrap_or_else(|| plain(kind))
}

/// Text as plain strings: pandas and polars write dictionaries, large strings and views.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) if plain(values) == DataType::Utf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// The same column, of the type that the columns of this name have; text as plain strings.
///
/// # Errors
/// If its values are none of that type.
pub fn native(name: &str, column: &ArrayRef) -> anyhow::Result<ArrayRef> {
    let (from, to) = (column.data_type(), native_type(name, column.data_type()));
    if *from == to {
        return Ok(Arc::clone(column));
    }
    // A value that does not fit is told of, not made null.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column.as_ref(), &to, &options)
        .with_context(|| format!("the column `{name}` has type {from}, expected {to}"))
}

/// The field that a native column has.
pub fn native_field(field: &Field) -> Field {
    let kind = native_type(field.name(), field.data_type());
    field.clone().with_data_type(kind).with_nullable(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow_array::{
        DictionaryArray, Float32Array, Float64Array, LargeStringArray, ListArray, StringArray,
        StringViewArray,
        types::{Float32Type, Float64Type, Int8Type},
    };

    use super::*;

    #[test]
    fn text_is_the_same_however_it_is_kept() {
        let words = [Some("train"), None, Some("test"), Some("train")];
        let expected: ArrayRef = Arc::new(StringArray::from_iter(words));
        let kept: [ArrayRef; 4] = [
            Arc::clone(&expected),
            Arc::new(LargeStringArray::from_iter(words)),
            Arc::new(StringViewArray::from_iter(words)),
            Arc::new(DictionaryArray::<Int8Type>::from_iter(words)),
        ];
        for column in kept {
            assert_eq!(&native("who", &column).unwrap(), &expected, "{}", column.data_type());
            assert_eq!(native_type("who", column.data_type()), DataType::Utf8);
        }
    }

    #[test]
    fn columns_that_stages_know_have_their_types_and_others_keep_theirs() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 2.0]));
        assert_eq!(&native("age", &doubles).unwrap(), &doubles);
        let weights: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 2.0]));
        assert_eq!(&native("weight", &doubles).unwrap(), &weights);
        let rows = [Some(vec![Some(0.25), Some(0.75)]), None];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        let rows = [Some(vec![Some(0.25), Some(0.75)]), None];
        let expected: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows));
        assert_eq!(&native("probabilities", &lists).unwrap(), &expected);
        let words: ArrayRef = Arc::new(StringArray::from(vec!["heavy"]));
        let error = native("weight", &words).unwrap_err().to_string();
        assert_eq!(error, "the column `weight` has type Utf8, expected Float32");
    }
}
