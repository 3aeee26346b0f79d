//! Writes a data set for other programs.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use arrow_array::{Array, BinaryArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image_folder::UNLABELLED;
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Faces, classes,
            faces::{TEST, TRAIN, VALIDATION, decode_all},
            picture,
        },
    },
    graph::dag::{Port, PortType},
};

/// Writes a data set as Parquet in Hugging Face's layout, as a folder of pictures, or as Kaggle's csv.
///
/// What it writes is kept in the store and copied to `path`; a copy that is there already stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Export {
    /// The folder. It must be new, empty, or one that was exported before.
    path: PathBuf,
    /// In which form.
    #[serde(default)]
    format: Format,
    /// Also rows that were dropped; in Parquet they keep their reasons.
    #[serde(default)]
    dropped: bool,
}

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// `data/train-00000-of-00001.parquet` and so on, with all columns; `datasets.load_dataset(path)` reads it.
    #[default]
    Parquet,
    /// `train/happy/0000000.png` and so on; rows without a label go to `unlabelled`.
    ImageFolder,
    /// `fer2013.csv` with emotion, pixels, Usage. Pictures must all be of one size.
    Csv,
}

impl Stage for Export {
    const NAME: &'static str = "export";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port::faces("What is written.")];
    const OUTPUT: PortType = PortType::Files;
    const PATHS: &'static [&'static str] = &["path"];

    fn destination(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let dropped = faces.dropped()?;
        let goes: Vec<bool> = dropped.iter().map(|reason| self.dropped || reason.is_none()).collect();
        let rows = goes.iter().filter(|goes| **goes).count();
        if rows == 0 {
            bail!("no rows are left to export");
        }
        match self.format {
            Format::Parquet => parquet(&faces, &goes, context)?,
            Format::ImageFolder => image_folder(&faces, &goes, context)?,
            Format::Csv => csv(&faces, &goes, context)?,
        }
        Ok(Facts::default().with("rows", rows))
    }
}

/// A file for each split that has rows.
fn parquet(faces: &Faces, goes: &[bool], context: &Context) -> anyhow::Result<()> {
    let splits = faces.splits()?;
    let folder = context.out.join("data");
    fs::create_dir_all(&folder)?;
    let mut names: Vec<&str> = vec![TRAIN, VALIDATION, TEST];
    let others = splits.iter().map(String::as_str).filter(|split| ![TRAIN, VALIDATION, TEST].contains(split));
    names.extend(others.collect::<std::collections::BTreeSet<_>>());
    context.progress.begin(names.len(), "splits");
    let mut taken = std::collections::BTreeSet::new();
    for name in names {
        context.check()?;
        let rows: Vec<usize> = (0..goes.len()).filter(|&row| goes[row] && splits[row] == name).collect();
        if !rows.is_empty() {
            let safe: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            // Another split may be the same in plain letters.
            let numbered = (2..).map(|number| format!("{safe}_{number}"));
            let free = std::iter::once(safe.clone()).chain(numbered).find(|name| !taken.contains(name));
            let safe = free.unwrap_or(safe);
            taken.insert(safe.clone());
            faces.table.write_rows(&folder.join(format!("{safe}-00000-of-00001.parquet")), &rows, &[])?;
        }
        context.progress.advance(1);
    }
    Ok(())
}

/// Calls `each` with the stored picture of every row that goes.
fn pictures(
    faces: &Faces,
    goes: &[bool],
    context: &Context,
    mut each: impl FnMut(usize, usize, &BinaryArray, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    context.progress.begin(goes.len(), "rows");
    for piece in faces.images()? {
        context.check()?;
        let (first, images) = piece?;
        for at in 0..images.len() {
            if goes[first + at] {
                each(first + at, at, &images, first)?;
            }
        }
        context.progress.advance(images.len());
    }
    Ok(())
}

fn image_folder(faces: &Faces, goes: &[bool], context: &Context) -> anyhow::Result<()> {
    let (labels, splits, rows) = (faces.labels()?, faces.splits()?, faces.source_rows()?);
    for (at, class) in faces.classes.iter().enumerate() {
        if let Some(other) = faces.classes[..at].iter().find(|other| plain(other) == plain(class)) {
            bail!("the classes `{other}` and `{class}` would have one folder");
        }
    }
    let mut taken = BTreeMap::<PathBuf, usize>::new();
    pictures(faces, goes, context, |row, at, images, _| {
        let bytes = images
            .is_valid(at)
            .then(|| images.value(at))
            .with_context(|| format!("row {row} has no picture"))?;
        let class = labels[row].and_then(|label| faces.classes.get(label)).map_or(UNLABELLED, String::as_str);
        let folder = context.out.join(plain(&splits[row])).join(plain(class));
        fs::create_dir_all(&folder)?;
        let extension = if picture::format(bytes) == Some("jpeg") { "jpg" } else { "png" };
        let name = folder.join(format!("{:07}.{extension}", rows.value(row)));
        // The same source row may be there more than once, after oversampling.
        let copy = taken.entry(name.clone()).or_default();
        let path = match *copy {
            0 => name,
            copy => folder.join(format!("{:07}-{copy}.{extension}", rows.value(row))),
        };
        *copy += 1;
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    })
}

/// A name that is one folder wherever it came from.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c == '/' || c == '\0' { '_' } else { c }).collect();
    if plain.is_empty() || plain.starts_with('.') { format!("_{plain}") } else { plain }
}

fn csv(faces: &Faces, goes: &[bool], context: &Context) -> anyhow::Result<()> {
    let (labels, splits) = (faces.labels()?, faces.splits()?);
    // The form has numbers of its own for its classes.
    let known = classes::fer2013();
    let number = |class: &String| {
        known.iter().position(|known| known == class).with_context(|| {
            format!(
                "the class `{class}` is none of FER2013's ({}), which a csv has numbers for",
                known.join(", ")
            )
        })
    };
    let numbers = faces.classes.iter().map(number).collect::<anyhow::Result<Vec<_>>>()?;
    let path = context.out.join("fer2013.csv");
    let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut out = csv::Writer::from_writer(file);
    out.write_record(["emotion", "pixels", "Usage"])?;
    let (mut line, mut size) = (String::new(), None);
    pictures(faces, goes, context, |row, at, images, first| {
        let Some((_, picture)) = decode_all(first + at, &images.slice(at, 1))?.pop() else { return Ok(()) };
        let this = (picture.width, picture.height);
        let (width, height) = *size.get_or_insert(this);
        if this != (width, height) {
            bail!(
                "row {row} has {}x{} pixels, the rows before {width}x{height}: a csv has one size",
                this.0,
                this.1
            );
        }
        let usage = match splits[row].as_str() {
            TRAIN => "Training",
            VALIDATION => "PublicTest",
            TEST => "PrivateTest",
            other => other,
        };
        line.clear();
        for (at, pixel) in picture.pixels.iter().enumerate() {
            use std::fmt::Write;
            let _ = write!(line, "{}{pixel}", if at == 0 { "" } else { " " });
        }
        let label = labels[row].and_then(|label| numbers.get(label));
        let label = label.map_or_else(String::new, ToString::to_string);
        Ok(out.write_record([label.as_str(), &line, usage])?)
    })?;
    let file = out.into_inner().map_err(csv::IntoInnerError::into_error)?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))
}
