//! Text as other programs keep it: pandas and polars write dictionaries, large strings and views.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray};
use arrow_schema::DataType;

/// The type of a column once [`plain`] has been there.
pub fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) if plain_type(values) == DataType::Utf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// The same column, its text as plain strings; what is no text stays as it is.
pub fn plain(column: &ArrayRef) -> anyhow::Result<ArrayRef> {
    let plain: ArrayRef = match column.data_type() {
        kind if plain_type(kind) == *kind => Arc::clone(column),
        DataType::LargeUtf8 => Arc::new(column.as_string::<i64>().iter().collect::<StringArray>()),
        DataType::Utf8View => Arc::new(column.as_string_view().iter().collect::<StringArray>()),
        _ => {
            let dictionary = column.as_any_dictionary();
            arrow_select::take::take(&plain(dictionary.values())?, dictionary.keys(), None)?
        }
    };
    Ok(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow_array::{DictionaryArray, Int64Array, LargeStringArray, StringViewArray, types::Int8Type};

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
            assert_eq!(&plain(&column).unwrap(), &expected, "{}", column.data_type());
            assert_eq!(plain_type(column.data_type()), DataType::Utf8);
        }
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert_eq!(&plain(&numbers).unwrap(), &numbers);
        let of_numbers = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64));
        assert_eq!(plain_type(&of_numbers), of_numbers);
    }
}
