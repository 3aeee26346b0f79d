//! Labels and probabilities of a table whose classes are others, or the same in another order.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float32Array, Int64Array, ListArray,
    builder::{Float32Builder, ListBuilder},
};
use arrow_schema::{DataType, Field, Schema};

use super::{
    classes::{self, LABELS},
    columns::PROBABILITIES,
};

/// From one list of classes to another, by name.
#[derive(Clone, Debug)]
pub struct Renumbering {
    /// The new number of each class before; none where there is no such class any more.
    places: Vec<Option<usize>>,
    classes: usize,
}

impl Renumbering {
    /// Between two lists of names.
    pub fn between(from: &[String], to: &[String]) -> Self {
        let place = |name: &String| to.iter().position(|class| class == name);
        Self { places: from.iter().map(place).collect(), classes: to.len() }
    }

    /// From the classes of a schema, where it names some that are not these.
    pub fn of(schema: &Schema, to: &[String]) -> Option<Self> {
        classes::names(schema).filter(|names| names != to).map(|names| Self::between(&names, to))
    }

    /// What a label is now; none where its class is gone.
    pub fn label(&self, label: i64) -> Option<i64> {
        let place =
            usize::try_from(label).ok().and_then(|label| self.places.get(label).copied().flatten())?;
        i64::try_from(place).ok()
    }

    /// A column as it is now: numbers of classes and probabilities in their new order, others as they were.
    pub fn column(&self, name: &str, column: &ArrayRef) -> ArrayRef {
        if let (true, Some(labels)) = (LABELS.contains(&name), column.as_any().downcast_ref::<Int64Array>()) {
            return Arc::new(labels.iter().map(|label| self.label(label?)).collect::<Int64Array>());
        }
        match column.as_any().downcast_ref::<ListArray>().filter(|_| name == PROBABILITIES) {
            Some(lists) => Arc::new(self.probabilities(lists)),
            None => Arc::clone(column),
        }
    }

    /// Probabilities of the classes that are left, made to sum to 1 as before; null where nothing is left, or
    /// where a row has another number of them than there were classes.
    fn probabilities(&self, lists: &ListArray) -> ListArray {
        let item = Field::new("item", DataType::Float32, true);
        let mut moved = ListBuilder::new(Float32Builder::new()).with_field(item);
        for row in 0..lists.len() {
            let values = lists.is_valid(row).then(|| lists.value(row));
            let values = values.as_ref().and_then(|row| row.as_any().downcast_ref::<Float32Array>());
            match values.and_then(|values| self.moved(values.values())) {
                Some(values) => {
                    moved.values().append_slice(&values);
                    moved.append(true);
                }
                None => moved.append_null(),
            }
        }
        moved.finish()
    }

    fn moved(&self, values: &[f32]) -> Option<Vec<f32>> {
        if values.len() != self.places.len() {
            return None;
        }
        let mut moved = vec![0.0; self.classes];
        for (value, place) in values.iter().zip(&self.places) {
            if let Some(place) = place.and_then(|place| moved.get_mut(place)) {
                *place = *value;
            }
        }
        let (all, left): (f32, f32) = (values.iter().sum(), moved.iter().sum());
        if left <= 0.0 {
            return None;
        }
        if left < all {
            moved.iter_mut().for_each(|value| *value *= all / left);
        }
        Some(moved)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow_array::types::Float32Type;

    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).to_vec()
    }

    #[test]
    fn labels_and_probabilities_follow_their_classes() {
        let moved =
            Renumbering::between(&names(["sad", "bored", "angry"]), &names(["angry", "happy", "sad"]));
        let labels: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(2), None, Some(9)]));
        let found = moved.column("label", &labels);
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), None, Some(0), None, None]));
        assert_eq!(&found, &expected);
        assert_eq!(&moved.column("row", &labels), &labels);
        let lists = |rows: Vec<Option<Vec<Option<f32>>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
        };
        let some = |values: [f32; 3]| Some(values.map(Some).to_vec());
        let before = lists(vec![some([0.25, 0.5, 0.25]), some([0.0, 1.0, 0.0]), None, Some(vec![Some(1.0)])]);
        let expected = lists(vec![some([0.5, 0.0, 0.5]), None, None, None]);
        assert_eq!(&moved.column("probabilities", &before), &expected);
    }

    #[test]
    fn the_same_classes_need_no_other_numbers() {
        let classes = names(["angry", "sad"]);
        let schema = classes::with_names(Schema::empty(), &classes);
        assert!(Renumbering::of(&schema, &classes).is_none());
        assert!(Renumbering::of(&Schema::empty(), &classes).is_none());
        assert!(Renumbering::of(&schema, &names(["sad", "angry"])).is_some());
    }
}
