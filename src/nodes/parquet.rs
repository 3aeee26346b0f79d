//! Source: Parquet files in Hugging Face's layout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use arrow_array::{
    Array, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray, cast::AsArray, types::Int32Type,
};
use arrow_schema::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::image_folder::split_name;
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Table, classes,
            faces::{FacesWriter, NewFace, TRAIN},
            picture,
        },
    },
    graph::dag::{Port, PortType},
};

/// Reads Parquet with pictures and labels, as Hugging Face's `datasets` writes it, or as another graph exported it.
///
/// A folder is read with all `.parquet` files below it. The split is that of the column `split`, else the one that a file's
/// name begins with (`train-00000-of-00001.parquet`), else `train`; training, val, valid and testing are taken for what they
/// mean.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parquet {
    /// A file or a folder.
    path: PathBuf,
    /// The column with pictures: a struct of bytes and path, or bytes.
    #[serde(default = "image")]
    image: String,
    /// The column with labels: integers with names in the file's metadata or in `classes`, or text.
    #[serde(default = "label")]
    label: String,
    /// The classes in the order of their labels, where the file does not say.
    #[serde(default)]
    classes: Vec<String>,
}

fn image() -> String {
    "image".into()
}

fn label() -> String {
    "label".into()
}

impl Stage for Parquet {
    const NAME: &'static str = "parquet";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["path"];

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.path.is_dir() {
            return Ok(vec![self.path.clone()]);
        }
        let entries = WalkDir::new(&self.path).follow_links(true).sort_by_file_name().into_iter();
        let files = entries.filter_map(Result::ok).map(walkdir::DirEntry::into_path);
        let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "parquet")).collect();
        if files.is_empty() {
            bail!("{} holds no .parquet files", self.path.display());
        }
        Ok(files)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let tables: Vec<_> =
            Stage::files(self)?.iter().map(|path| Table::open(path)).collect::<anyhow::Result<_>>()?;
        let classes = self.classes_of(&tables)?;
        let mut writer = FacesWriter::create(&context.table(), &classes)?;
        let total = tables.iter().map(Table::rows).sum();
        context.progress.begin(total, "rows");
        let mut row = 0;
        for table in &tables {
            let of_file = table.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of_file = of_file.split(['-', '.', '_']).next().and_then(split_name).unwrap_or(TRAIN);
            for batch in table.batches(None)? {
                context.check()?;
                let batch = batch?;
                self.add(&batch, table.path(), &classes, of_file, &mut row, &mut writer)?;
                context.progress.advance(batch.num_rows());
            }
        }
        writer.finish()?;
        if total == 0 {
            bail!("{} has no rows", self.path.display());
        }
        Ok(Facts::default().with("rows", total))
    }
}

impl Parquet {
    /// Given, or from the metadata, or, for labels of text, all there are.
    fn classes_of(&self, tables: &[Table]) -> anyhow::Result<Vec<String>> {
        if !self.classes.is_empty() {
            return Ok(self.classes.clone());
        }
        let mut found = std::collections::BTreeSet::new();
        for table in tables {
            if let Some(names) = classes::names(table.schema()) {
                return Ok(names);
            }
            if *table.field(&self.label)?.data_type() != DataType::Utf8 {
                bail!(
                    "{} does not say what its labels are called: give `classes = [...]` in the order of the labels",
                    table.path().display()
                );
            }
            let labels: StringArray = table.typed(&self.label)?;
            found.extend(labels.iter().flatten().map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    fn add(
        &self,
        batch: &RecordBatch,
        file: &Path,
        classes: &[String],
        of_file: &'static str,
        row: &mut usize,
        writer: &mut FacesWriter,
    ) -> anyhow::Result<()> {
        let missing = |name: &str| {
            let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            format!("{} has no column `{name}`; it has: {}", file.display(), names.join(", "))
        };
        let images = batch.column_by_name(&self.image).with_context(|| missing(&self.image))?;
        let images = bytes_of(images).with_context(|| {
            let kind = images.data_type();
            format!(
                "the column `{}` of {} has type {kind}, expected a struct of bytes and path, or bytes",
                self.image,
                file.display()
            )
        })?;
        let labels = batch.column_by_name(&self.label).with_context(|| missing(&self.label))?;
        let splits =
            batch.column_by_name("split").and_then(|splits| splits.as_any().downcast_ref::<StringArray>());
        for at in 0..batch.num_rows() {
            let what = || format!("row {} of {}", *row, file.display());
            let bytes = images.is_valid(at).then(|| images.value(at));
            let bytes = bytes.with_context(|| format!("{} has no picture", what()))?;
            picture::size(bytes).with_context(what)?;
            let label = label_of(labels, at, classes).with_context(what)?;
            let split =
                splits.filter(|splits| splits.is_valid(at)).map_or(of_file, |splits| splits.value(at));
            let split = split_name(split).unwrap_or(split);
            let extension = picture::format(bytes).unwrap_or("png");
            let path = format!("{row:07}.{extension}");
            writer.add(&NewFace { image: bytes, path: &path, label, split, row: *row }, &[])?;
            *row += 1;
        }
        Ok(())
    }
}

fn bytes_of(column: &arrow_array::ArrayRef) -> Option<BinaryArray> {
    let bytes = match column.as_any().downcast_ref::<StructArray>() {
        Some(parts) => parts.column_by_name("bytes")?.clone(),
        None => column.clone(),
    };
    bytes.as_any().downcast_ref::<BinaryArray>().cloned()
}

fn label_of(labels: &arrow_array::ArrayRef, at: usize, classes: &[String]) -> anyhow::Result<Option<usize>> {
    if labels.is_null(at) {
        return Ok(None);
    }
    let number = match labels.data_type() {
        DataType::Int64 => labels.as_any().downcast_ref::<Int64Array>().map(|labels| labels.value(at)),
        DataType::Int32 => Some(i64::from(labels.as_primitive::<Int32Type>().value(at))),
        DataType::Utf8 => {
            let name = labels.as_string::<i32>().value(at);
            let found = classes.iter().position(|class| class == name);
            return found
                .map(Some)
                .with_context(|| format!("the label `{name}` is none of {}", classes.join(", ")));
        }
        other => bail!("labels have type {other}, expected integers or text"),
    };
    match number.map(usize::try_from) {
        Some(Ok(label)) if label < classes.len() => Ok(Some(label)),
        // What `datasets` writes where there is no label.
        Some(Err(_)) if number == Some(-1) => Ok(None),
        _ => bail!("the label {} is beyond the {} classes", number.unwrap_or_default(), classes.len()),
    }
}
