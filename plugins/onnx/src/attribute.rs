//! Attributes of nodes.

use crate::proto::AttributeProto;

/// An attribute of whole numbers, such as the sides of a kernel.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, kind: 7, ..AttributeProto::default() }
}

/// An attribute of one whole number.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), kind: 2, ..AttributeProto::default() }
}

/// An attribute of text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.to_owned(), s: Some(value.into()), kind: 3, ..AttributeProto::default() }
}

/// An attribute of one number.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), kind: 1, ..AttributeProto::default() }
}
