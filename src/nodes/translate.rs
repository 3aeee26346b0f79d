//! Gives faces another expression.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_vision::inference::{Device, SessionOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::{
    device,
    translator::{self, BATCH, two_classes},
};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces, TableWriter,
            columns::{GENERATOR, SOURCE_ROW},
            faces::{image_column, train},
            picture::{Gray, encode_png},
        },
    },
    graph::dag::{Port, PortType},
};

/// Translates faces of one class to another with a network of `cyclegan`.
///
/// The result holds the translated faces alone, with the label of the class that they were translated to, and where
/// they come from: `source_row` and `generator`. `split` and `row` are those of what they were made of; other
/// columns say nothing of the new pictures and are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Translate {
    /// The class whose faces are translated, by its name.
    from: String,
    /// The class that they are translated to.
    to: String,
    /// The split whose faces are translated.
    #[serde(default = "train")]
    split: String,
    /// Where the network runs: auto, cpu, cuda or cuda:N.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
}

impl Stage for Translate {
    const NAME: &'static str = "translate";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        Port::faces("Faces, all of the size that the network was trained with."),
        Port::one("model", PortType::Model, "What `cyclegan` has trained."),
    ];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        two_classes(&self.from, &self.to)?;
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(512 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (from, to) = (faces.class(&self.from).context("`from`")?, faces.class(&self.to).context("`to`")?);
        let options =
            SessionOptions { device: self.device, threads: context.workers, ..SessionOptions::default() };
        let mut translator = translator::open(context.input("model")?, &self.from, &self.to, &options)?;
        let rows = faces.rows_by_class(&self.split)?.swap_remove(from);
        if rows.is_empty() {
            bail!("the class `{}` has no faces in the split `{}`", self.from, self.split);
        }
        let (width, height, pixels) = faces.gray_pixels(context.workers)?;
        translator::check_size(&translator, (width, height))?;
        let mut pictures = Vec::with_capacity(rows.len());
        let sources = faces.source_rows()?;
        context.progress.begin(rows.len(), "faces");
        for some in rows.chunks(BATCH) {
            context.check()?;
            let size = width * height;
            let gray: Vec<u8> =
                some.iter().flat_map(|row| &pixels[row * size..(row + 1) * size]).copied().collect();
            let translated = translator.translate_gray(&gray)?;
            for (row, pixels) in some.iter().zip(translated.chunks_exact(size)) {
                let picture = Gray { width, height, pixels: pixels.to_vec() };
                let name = format!("{:07}-{}.png", sources.value(*row), self.to);
                pictures.push((encode_png(&picture)?, name));
            }
            context.progress.advance(some.len());
        }
        let of_source: Int64Array = rows.iter().map(|row| Some(sources.value(*row))).collect();
        let generator = format!("{} to {}", self.from, self.to);
        let new = |name: &str, kind: DataType, array: ArrayRef| (Field::new(name, kind, true), array);
        let ints = |name: &str, values: Int64Array| new(name, DataType::Int64, Arc::new(values));
        let texts = |name: &str, text: &str| {
            new(name, DataType::Utf8, Arc::new(StringArray::from(vec![text; rows.len()])))
        };
        let columns = [
            image_column(&pictures)?,
            ints("label", Int64Array::from_value(i64::try_from(to)?, rows.len())),
            texts("split", &self.split),
            ints("row", of_source.clone()),
            ints(SOURCE_ROW, of_source),
            texts(GENERATOR, &generator),
        ];
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Schema::new_with_metadata(fields, faces.table.schema().metadata().clone());
        let mut writer = TableWriter::create(&context.table(), schema)?;
        writer.write(&RecordBatch::try_new(writer.schema(), arrays)?)?;
        writer.finish()?;
        Ok(Facts::default().with("rows", rows.len()))
    }
}
