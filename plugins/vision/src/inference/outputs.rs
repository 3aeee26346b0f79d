//! What a run gives, and each requester's part of it, read where ONNX Runtime left it.

use ort::value::DynValue;
use smallvec::SmallVec;

/// One output of a run, borrowed: dimensions and values, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Dimensions, outermost first.
    pub shape: &'a [i64],
    /// The values.
    pub values: &'a [f32],
}

/// Dimensions; no network here has more than six.
pub(super) type Shape = SmallVec<[i64; 6]>;

/// Most outputs that are read without an allocation: YuNet has twelve.
const OUTPUTS: usize = 16;

/// Of a value and of one: how far two runs may lie apart, on a device of few bits too.
const TOLERANCE: f32 = 0.01;

/// Which items of a run are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Items before.
    pub first: usize,
    /// Items meant.
    pub items: usize,
    /// Items of the whole run.
    pub of: usize,
}

/// The outputs of one run.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub values: Vec<DynValue>,
}

impl Outputs {
    /// The dimensions of every output, or why one cannot be read.
    pub fn shapes(&self) -> Result<Vec<Shape>, String> {
        let shape = |(index, value)| Ok(tensor(index, value)?.0.into());
        self.values.iter().enumerate().map(shape).collect()
    }

    /// Whether this part is what its items give when they run by themselves. Kernels for batches of other sizes round
    /// otherwise, so a few values in a hundred may differ.
    pub fn is_alike(&self, part: Part, alone: &Self) -> Result<bool, String> {
        let [mut values, mut differing] = [0usize; 2];
        self.read(part, |outputs| {
            for (index, output) in outputs.iter().enumerate() {
                let Some((_, expected)) = alone.values.get(index).and_then(|value| tensor(index, value).ok())
                else {
                    return;
                };
                let differs = |(a, b): &(&f32, &f32)| {
                    let difference = (*a - *b).abs();
                    difference.is_nan() || difference > TOLERANCE * (1.0 + b.abs())
                };
                values += expected.len();
                differing += output.values.iter().zip(expected).filter(differs).count();
            }
        })?;
        Ok(differing * 100 <= values * 3)
    }

    /// Hands the outputs to `read`; of a run of several requests only this part, which [`Division`] has checked.
    pub fn read<R>(&self, part: Part, read: impl FnOnce(&[Output<'_>]) -> R) -> Result<R, String> {
        let mut shapes = SmallVec::<[Shape; OUTPUTS]>::new();
        let mut values = SmallVec::<[&[f32]; OUTPUTS]>::new();
        for (index, value) in self.values.iter().enumerate() {
            let (shape, all) = tensor(index, value)?;
            let mut shape = Shape::from_slice(shape);
            let mut own = all;
            if part.items != part.of {
                let length = all.len() / part.of.max(1);
                own = all
                    .get(length * part.first..length * (part.first + part.items))
                    .ok_or_else(|| format!("output {index} is too short for {} items", part.of))?;
                if let Some(rows) = shape.iter_mut().find(|side| **side != 1) {
                    *rows = *rows / part.of.max(1) as i64 * part.items as i64;
                }
            }
            shapes.push(shape);
            values.push(own);
        }
        let outputs: SmallVec<[Output<'_>; OUTPUTS]> =
            shapes.iter().zip(values).map(|(shape, values)| Output { shape, values }).collect();
        Ok(read(&outputs))
    }
}

fn tensor(index: usize, value: &DynValue) -> Result<(&[i64], &[f32]), String> {
    let (shape, values) =
        value.try_extract_tensor::<f32>().map_err(|error| format!("output {index}: {error}"))?;
    Ok((shape, values))
}

/// What is known of a network's outputs from a run of one request, to tell whether a batch of several may be divided.
#[derive(Debug)]
pub(super) struct Division {
    /// Items of that request.
    pub items: usize,
    shapes: Vec<Shape>,
}

impl Division {
    /// Remembers the outputs of a run of one request.
    pub fn new(items: usize, outputs: &Outputs) -> Result<Self, String> {
        Ok(Self { items, shapes: outputs.shapes()? })
    }

    /// Says why the outputs of a batch of this many items are not those of its items, one behind the other.
    ///
    /// They are if just one side of each output has grown with the items, and nothing but sides of 1 comes before it:
    /// `[items, classes]` and `[1, items · cells, 4]`, but not `[classes, items]`. Whether cells lie item by
    /// item, their number does not tell: see [`Order`].
    pub fn check(&self, items: usize, outputs: &Outputs) -> Result<Order, String> {
        let mut order = Order::Certain;
        let shapes = outputs.shapes()?;
        if shapes.len() != self.shapes.len() {
            return Err(format!("{} outputs, alone {}", shapes.len(), self.shapes.len()));
        }
        for (index, (batch, alone)) in shapes.iter().zip(&self.shapes).enumerate() {
            let grown = batch.iter().position(|&side| side != 1).filter(|&side| {
                let same = |range: std::ops::Range<usize>| batch.get(range.clone()) == alone.get(range);
                let times = |side: Option<&i64>, factor: usize| side.map(|&side| side * factor as i64);
                batch.len() == alone.len()
                    && same(0..side)
                    && same(side + 1..batch.len())
                    && times(batch.get(side), self.items) == times(alone.get(side), items)
                    && batch.get(side).is_some_and(|&rows| rows > 0 && rows % items as i64 == 0)
            });
            let Some(grown) = grown else {
                return Err(format!(
                    "output {index} is {:?} for {} items and {:?} for {items}",
                    alone.as_slice(),
                    self.items,
                    batch.as_slice()
                ));
            };
            if batch.get(grown).is_some_and(|&rows| rows != items as i64) {
                order = Order::ToBeProven;
            }
        }
        Ok(order)
    }
}

/// Whether a batch's outputs lie item by item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// They do: an item is a row.
    Certain,
    /// An item has several rows. Some networks give the first cell of every item, then the second of every item.
    ToBeProven,
}

#[cfg(test)]
mod tests {
    use ort::value::Tensor;
    use proptest::prelude::*;

    use super::*;
    use crate::inference::runtime::environment;

    fn outputs(shapes: &[&[i64]]) -> Outputs {
        environment().unwrap();
        let tensor = |shape: &&[i64]| {
            let length = shape.iter().product::<i64>() as usize;
            let values: Vec<f32> = (0..length).map(|value| value as f32).collect();
            Tensor::from_array((shape.to_vec(), values)).unwrap().into_dyn()
        };
        Outputs { values: shapes.iter().map(tensor).collect() }
    }

    fn check(alone: (usize, &[i64]), batch: (usize, &[i64])) -> Result<Order, String> {
        Division::new(alone.0, &outputs(&[alone.1])).unwrap().check(batch.0, &outputs(&[batch.1]))
    }

    #[test]
    fn outputs_that_grow_with_the_items_can_be_divided() {
        assert_eq!(check((1, &[1, 7]), (5, &[5, 7])), Ok(Order::Certain));
        assert_eq!(check((2, &[2, 7]), (3, &[3, 7])), Ok(Order::Certain));
        assert_eq!(check((1, &[1]), (3, &[3])), Ok(Order::Certain));
        assert_eq!(check((1, &[1, 20, 4]), (3, &[1, 60, 4])), Ok(Order::ToBeProven));
    }

    #[test]
    fn outputs_that_do_not_grow_or_interleave_the_items_cannot() {
        for (alone, batch) in
            [(&[10, 1], &[10, 2]), (&[4, 7], &[4, 7]), (&[1, 7], &[1, 7]), (&[1, 3], &[1, 5])]
        {
            assert!(check((1, alone), (2, batch)).is_err(), "{alone:?} {batch:?}");
        }
        let message = check((1, &[1, 7]), (2, &[3, 7])).unwrap_err();
        assert_eq!(message, "output 0 is [1, 7] for 1 items and [3, 7] for 2");
    }

    #[test]
    fn cells_that_lie_between_those_of_another_item_are_seen() {
        let cells = |values: [f32; 4]| {
            environment().unwrap();
            let tensor = Tensor::from_array((vec![values.len() as i64, 1], values.to_vec())).unwrap();
            Outputs { values: vec![tensor.into_dyn()] }
        };
        environment().unwrap();
        let alone = Tensor::from_array((vec![2i64, 1], vec![1.0f32, 2.0])).unwrap();
        let alone = Outputs { values: vec![alone.into_dyn()] };
        let part = Part { first: 0, items: 1, of: 2 };
        assert_eq!(cells([1.0, 2.001, 3.0, 4.0]).is_alike(part, &alone), Ok(true));
        assert_eq!(cells([1.0, 3.0, 2.0, 4.0]).is_alike(part, &alone), Ok(false));
        assert_eq!(cells([f32::NAN, 2.0, 3.0, 4.0]).is_alike(part, &alone), Ok(false));
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_in_order(
            items in prop::collection::vec(1usize..5, 1..6),
            cells in 1i64..6,
            first_side in any::<bool>(),
        ) {
            let of: usize = items.iter().sum();
            let shape = if first_side { vec![of as i64, cells] } else { vec![1, of as i64 * cells, 2] };
            let whole = outputs(&[&shape]);
            let mut joined = Vec::new();
            let mut first = 0;
            for items in items {
                let part = Part { first, items, of };
                whole.read(part, |outputs| {
                    let length: i64 = outputs[0].shape.iter().product();
                    assert_eq!(length as usize, outputs[0].values.len());
                    joined.extend_from_slice(outputs[0].values);
                }).unwrap();
                first += items;
            }
            let length = shape.iter().product::<i64>();
            prop_assert_eq!(joined, (0..length).map(|value| value as f32).collect::<Vec<_>>());
        }
    }
}
