//! What a network sees in faces, once for all.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Context as _;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, RecordBatch,
    builder::{FixedSizeListBuilder, Float32Builder},
    cast::AsArray,
    types::Float32Type,
};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_vision::{embedding::FaceEmbedder, frame::Frame, inference::Device};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::backbone::Backbone;
use super::shared::device::{self, WorkerSessions};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces, TableWriter,
            faces::{decode_all, image_bytes},
            picture::Gray,
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

pub mod backbone;

/// The column with the features of each face.
pub const FEATURES: &str = "features";
/// The column with those of the mirrored face.
pub const MIRRORED: &str = "features_mirrored";

/// Faces in one run of the network.
pub const BATCH: usize = 32;

/// Gives each row the answer of a network for its face, laid flat, in the column `features`.
///
/// The network, the backbone, is any ONNX file with a card: what it is for does not matter. Its answer, or that of a
/// layer inside it, is what `finetune` learns from, so that the slow part of a transfer learning is computed once. A
/// picture is shown whole, as it is: it is a face cut out already. Rows that were dropped get null. The column says
/// which backbone made it, and other nodes keep it with its rows; behind them, only rows that are new are
/// asked about.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Features {
    /// The network, by name or file.
    backbone: String,
    /// The value inside the network that is taken, by its name in the file, such as what its last convolution gives;
    /// unless given, its only output.
    #[serde(default)]
    layer: Option<String>,
    /// Whether the mirrored face is asked about as well, for the column `features_mirrored`.
    #[serde(default)]
    mirrored: bool,
    /// Where the network runs: cpu, cuda, cuda:N or auto.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
}

impl Stage for Features {
    const NAME: &'static str = "features";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::faces("Faces to be asked about.")];
    const OUTPUT: PortType = PortType::Faces;

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        backbone::files(&self.backbone)
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(512 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let dropped = faces.dropped()?;
        let backbone = Backbone::of(&self.backbone, self.layer.as_deref())?;
        let model = backbone.model(&context.checkpoints)?;
        let sessions = WorkerSessions::new(Self::NAME, self.device);
        let open = || FaceEmbedder::backbone(&model, &sessions.next(), BATCH).context("`backbone`");
        let dimensions = open()?.dimensions();
        let names: &[&str] = if self.mirrored { &[FEATURES, MIRRORED] } else { &[FEATURES] };
        let mut fields: Vec<Field> =
            faces.table.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
        let kind = DataType::FixedSizeList(item(), i32::try_from(dimensions)?);
        // Columns whose features are this backbone's already.
        let known = |name: &str| {
            let found = fields.iter().find(|field| field.name() == name);
            found.is_some_and(|field| *field.data_type() == kind && backbone.has_made(field))
        };
        let known: Vec<bool> = names.iter().map(|name| known(name)).collect();
        fields.retain(|field| ![FEATURES, MIRRORED].contains(&field.name().as_str()));
        fields.extend(
            names.iter().map(|name| Field::new(*name, kind.clone(), true).with_metadata(backbone.marks())),
        );
        let schema = Schema::new_with_metadata(fields, faces.table.schema().metadata().clone());
        let mut writer = TableWriter::create(&context.table(), schema)?;
        let schema = writer.schema();
        let mut first = 0;
        let batches = faces.table.batches(None)?.map(|batch| {
            let batch = batch?;
            first += batch.num_rows();
            Ok((first - batch.num_rows(), batch))
        });
        context.progress.begin(faces.table.rows(), "faces");
        let asked = AtomicUsize::new(0);
        let ask = |embedder: &mut FaceEmbedder, (first, batch): (usize, RecordBatch)| {
            let pictures = decode_all(first, &image_bytes(&batch)?)?;
            let is_wanted: Vec<bool> = pictures.iter().map(|(row, _)| dropped[*row].is_none()).collect();
            let mut made = Vec::with_capacity(names.len());
            for (name, known) in names.iter().zip(&known) {
                let old = known.then(|| batch.column_by_name(name)).flatten();
                let old = old.and_then(|old| old.as_fixed_size_list_opt());
                let is_new = |at: usize| is_wanted[at] && old.is_none_or(|old| old.is_null(at));
                let new = pictures.iter().enumerate().filter(|(at, _)| is_new(*at));
                let mut new: Vec<_> = new.map(|(_, picture)| picture.clone()).collect();
                if *name == MIRRORED {
                    new.iter_mut().for_each(|(_, picture)| mirror(picture));
                }
                asked.fetch_add(new.len(), Ordering::Relaxed);
                let mut answers = Vec::with_capacity(new.len() * dimensions);
                for new in new.chunks(BATCH) {
                    context.check()?;
                    answers.extend(features(embedder, new)?);
                }
                made.push(column(old, &answers, &is_wanted, dimensions)?);
            }
            let array = |field: &Arc<Field>| -> anyhow::Result<ArrayRef> {
                if let Some(at) = names.iter().position(|name| name == field.name()) {
                    return Ok(Arc::new(made[at].clone()));
                }
                batch.column_by_name(field.name()).cloned().context("a bug: a column is gone")
            };
            let arrays = schema.fields().iter().map(array).collect::<anyhow::Result<_>>()?;
            Ok(RecordBatch::try_new(Arc::clone(&schema), arrays)?)
        };
        flow::in_order(batches, context.workers, open, ask, |batch: RecordBatch| {
            context.check()?;
            context.progress.advance(batch.num_rows());
            writer.write(&batch)
        })?;
        writer.finish()?;
        let facts = Facts::default().with("rows", dropped.len()).with("asked", asked.into_inner());
        Ok(backbone.facts(facts).with("dimensions", dimensions).with("mirrored", self.mirrored))
    }
}

/// Numbers of a list.
fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

/// The features of pictures, one after the other.
pub fn features(embedder: &mut FaceEmbedder, pictures: &[(usize, Gray)]) -> anyhow::Result<Vec<f32>> {
    let mut frames = Vec::with_capacity(pictures.len());
    for (row, picture) in pictures {
        let frame = Frame::gray(&picture.pixels, picture.width, picture.height);
        frames.push(frame.with_context(|| format!("the picture of row {row}"))?);
    }
    Ok(embedder.embed(&frames)?)
}

/// A column with the features of the rows that are wanted: those from before, else the next new ones. It is
/// null in the others.
fn column(
    old: Option<&FixedSizeListArray>,
    new: &[f32],
    is_wanted: &[bool],
    dimensions: usize,
) -> anyhow::Result<FixedSizeListArray> {
    let values = Float32Builder::with_capacity(is_wanted.len() * dimensions);
    let mut lists = FixedSizeListBuilder::new(values, i32::try_from(dimensions)?).with_field(item());
    let mut new = new.chunks_exact(dimensions);
    for (at, is_wanted) in is_wanted.iter().enumerate() {
        let before = old.filter(|old| old.is_valid(at)).map(|old| old.value(at));
        let before = before.as_ref().map(|row| row.as_primitive::<Float32Type>().values().as_ref());
        match is_wanted.then(|| before.or_else(|| new.next())).flatten() {
            Some(row) => lists.values().append_slice(row),
            None => lists.values().append_nulls(dimensions),
        }
        lists.append(*is_wanted);
    }
    Ok(lists.finish())
}

/// Left becomes right.
fn mirror(picture: &mut Gray) {
    picture.pixels.chunks_exact_mut(picture.width.max(1)).for_each(<[u8]>::reverse);
}
