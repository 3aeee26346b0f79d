//! Pictures of a table inside a page.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;

use crate::{
    batch::{
        Context,
        data::{Faces, picture},
    },
    report::data_uri::data_uri,
};

/// The pictures of these rows as `data:` addresses.
pub fn embedded(
    faces: &Faces,
    wanted: &BTreeSet<usize>,
    context: &Context,
) -> anyhow::Result<BTreeMap<usize, String>> {
    context.progress.begin(faces.table.rows(), "rows");
    let mut pictures = BTreeMap::new();
    for piece in faces.images()? {
        context.check()?;
        let (first, images) = piece?;
        context.progress.advance(images.len());
        for row in wanted.range(first..first + images.len()) {
            let bytes = images.value(row - first);
            let format = picture::format(bytes).unwrap_or("png");
            pictures.insert(*row, data_uri(format, bytes));
        }
    }
    Ok(pictures)
}
