//! Rows of a table with their features.

use anyhow::{Context, bail};
use arrow_array::{Array, FixedSizeListArray, Float32Array};
use arrow_schema::{DataType, Field};
use ferroflow_learn::head::Examples;

use crate::{
    batch::data::Faces,
    nodes::{
        features::{FEATURES, MIRRORED, backbone::Backbone},
        train::Chosen,
    },
};

/// Faces that take part as the backbone sees them, and what is wanted of them.
pub struct Seen {
    /// Their rows.
    pub chosen: Chosen,
    features: Vec<f32>,
    mirrored: Option<Vec<f32>>,
    dimensions: usize,
    /// The column that the features are of.
    column: Field,
}

impl Seen {
    /// Takes the rows as [`Chosen::of`] does.
    pub fn of(faces: &Faces, splits: [&str; 2], soft: f32) -> anyhow::Result<Self> {
        let field = |name: &str| faces.table.field(name).cloned();
        let column = field(FEATURES)
            .with_context(|| format!("the column `{FEATURES}` is needed, which the node `features` makes"))?;
        let dimensions = match column.data_type() {
            DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
                usize::try_from(*length)?
            }
            other => bail!(
                "the column `{FEATURES}` has type {other}, where as many singles in each row are needed: make it with `features`"
            ),
        };
        let mut mirrored = None;
        if faces.table.has(MIRRORED) {
            let other = field(MIRRORED)?;
            if (other.data_type(), other.metadata()) != (column.data_type(), column.metadata()) {
                bail!(
                    "the columns `{FEATURES}` and `{MIRRORED}` are of different backbones: make both with one `features`"
                );
            }
            mirrored = Some(MIRRORED);
        }
        let chosen = Chosen::of(faces, splits, soft)?;
        let read = |name| read(faces, name, &chosen.rows, dimensions);
        let (features, mirrored) = (read(FEATURES)?, mirrored.map(read).transpose()?);
        Ok(Self { chosen, features, mirrored, dimensions, column })
    }

    /// The network of this name or file, if it is the one that the features are of.
    pub fn backbone(&self, name: &str) -> anyhow::Result<Backbone> {
        Backbone::behind(&self.column, name)
    }

    /// Features of a face.
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The features of the first so many faces, one face after the other.
    pub fn first(&self, count: usize) -> &[f32] {
        &self.features[..self.features.len().min(count * self.dimensions)]
    }

    /// As the library takes them.
    pub fn examples(&self) -> Examples<'_> {
        Examples {
            features: &self.features,
            mirrored: self.mirrored.as_deref(),
            dimensions: self.dimensions,
            targets: &self.chosen.targets,
            weights: self.chosen.weights.as_deref(),
            classes: self.chosen.classes,
        }
    }
}

/// The features of these rows, which rise, one row after the other.
fn read(faces: &Faces, name: &str, rows: &[usize], dimensions: usize) -> anyhow::Result<Vec<f32>> {
    let mut all = Vec::with_capacity(rows.len() * dimensions);
    let (mut rest, mut first) = (rows, 0);
    for batch in faces.table.batches(Some(&[name]))? {
        let batch = batch?;
        let lists =
            batch.columns().first().and_then(|lists| lists.as_any().downcast_ref::<FixedSizeListArray>());
        let lists = lists.with_context(|| format!("a bug: `{name}` is no list"))?;
        let (here, later) = rest.split_at(rest.partition_point(|row| *row < first + lists.len()));
        for row in here {
            if lists.is_null(row - first) {
                bail!(
                    "row {row} takes part and has no `{name}`: put `features` behind the nodes that add rows or bring dropped ones back"
                );
            }
            let values = lists.value(row - first);
            let values = values.as_any().downcast_ref::<Float32Array>();
            all.extend_from_slice(
                values.with_context(|| format!("a bug: `{name}` holds no singles"))?.values(),
            );
        }
        (rest, first) = (later, first + lists.len());
    }
    Ok(all)
}
