//! The column of pictures.

use std::sync::Arc;

use anyhow::Context;
use arrow_array::{
    Array, ArrayRef, BinaryArray, RecordBatch, StructArray,
    builder::{BinaryBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Fields};

use crate::batch::data::{
    columns::IMAGE,
    picture::{self, Gray},
};

/// Fields of the column `image`.
pub fn image_fields() -> Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into()
}

/// Decodes a piece; row numbers in errors and answers.
pub fn decode_all(first: usize, images: &BinaryArray) -> anyhow::Result<Vec<(usize, Gray)>> {
    decode(first, images, &|_| true)
}

/// As [`decode_all`], but only the rows that are `wanted`.
pub fn decode(
    first: usize,
    images: &BinaryArray,
    wanted: &(dyn Fn(usize) -> bool + Sync),
) -> anyhow::Result<Vec<(usize, Gray)>> {
    let one = |(row, bytes): (usize, Option<&[u8]>)| {
        let bytes = bytes.with_context(|| format!("row {row} has no picture"))?;
        Ok((row, picture::decode_gray(bytes).with_context(|| format!("the picture of row {row}"))?))
    };
    (first..).zip(images.iter()).filter(|(row, _)| wanted(*row)).map(one).collect()
}

/// The bytes in the column `image`.
pub fn image_bytes(batch: &RecordBatch) -> anyhow::Result<BinaryArray> {
    let images = batch.column_by_name(IMAGE).and_then(|column| column.as_any().downcast_ref::<StructArray>());
    let bytes = images.and_then(|images| images.column_by_name("bytes"));
    let bytes = bytes.and_then(|bytes| bytes.as_any().downcast_ref::<BinaryArray>());
    bytes.cloned().context("the column `image` has no `bytes`")
}

/// The column `image` of these pictures, each with a name.
pub fn image_column(pictures: &[(Vec<u8>, String)]) -> anyhow::Result<(Field, ArrayRef)> {
    let (mut bytes, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    for (picture, name) in pictures {
        bytes.append_value(picture);
        paths.append_value(name);
    }
    let parts: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), Arc::new(paths.finish())];
    let column = StructArray::try_new(image_fields(), parts, None)?;
    Ok((Field::new(IMAGE, DataType::Struct(image_fields()), true), Arc::new(column)))
}
