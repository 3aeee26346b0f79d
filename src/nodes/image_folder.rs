//! Source: a folder of pictures, a folder for each class.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use image::imageops::FilterType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use super::shared::bad_rows::BadRows;
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        context::FACTS,
        data::{
            faces::{FacesWriter, NewFace, TEST, TRAIN, VALIDATION, train},
            picture::{self, Gray},
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

/// The most pixels of a side that pictures are resized to.
const MOST_SIDE: usize = 4096;

/// Reads pictures (PNG, JPEG) from folders: `SPLIT/CLASS/picture.jpg`, or `CLASS/picture.jpg`.
///
/// Splits may be called train, training, val, valid, validation, test, testing. Pictures in a folder
/// `unlabelled` have no label, as `export` writes them, unless `classes` names it. What EXIF says of how the
/// camera was held is followed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageFolder {
    /// The folder.
    path: PathBuf,
    /// The classes in the order of their labels; all folders of pictures but `unlabelled`, in alphabetical
    /// order, unless given.
    #[serde(default)]
    classes: Vec<String>,
    /// The split of pictures that are in no folder of a split.
    #[serde(default = "train")]
    split: String,
    /// Pixels of a side to which each picture is made gray and resized, 4096 at most; 0 keeps pictures as they are.
    #[serde(default)]
    size: usize,
    /// How many pictures may be bad before it is an error: cut short, or no picture in spite of their names.
    /// They are left out, and told with name and reason.
    #[serde(default, skip_serializing_if = "is_none")]
    bad_rows: usize,
}

impl Stage for ImageFolder {
    const NAME: &'static str = "image-folder";
    const VERSION: u32 = 4;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        let mut classes = self.classes.iter().enumerate();
        match classes.find(|(at, class)| self.classes[..*at].contains(class)) {
            Some((_, twice)) => Err(format!("`classes` has `{twice}` twice")),
            None if self.size > MOST_SIDE => {
                Err(format!("`size` is {}, and must be {MOST_SIDE} at most", self.size))
            }
            None => Ok(()),
        }
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        files(&self.path)
    }

    fn names_below(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn needs(&self) -> Needs {
        Needs::all_cores(64 << 20)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let split = split_name(&self.split).unwrap_or(&self.split);
        let options = Options { classes: &self.classes, split, size: self.size, bad_rows: self.bad_rows };
        read(&self.path, &options, context)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The folder of pictures that have no label.
pub const UNLABELLED: &str = "unlabelled";

/// All pictures below a folder, in the order of their paths. What is hidden is passed over.
pub fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(all_files(path)?.into_iter().filter(|file| is_picture(file)).collect())
}

/// All files below a folder that are not hidden, nor in a hidden folder, in the order of their paths.
fn all_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let is_shown =
        |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut files = Vec::new();
    for entry in WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_shown)
    {
        let entry = entry.with_context(|| format!("{} cannot be read", path.display()))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Whether `export` has written a file beside its pictures.
fn is_facts(root: &Path, file: &Path) -> bool {
    file.parent() == Some(root) && file.file_name().is_some_and(|name| name == FACTS)
}

/// Whether a file is a picture that can be read, by its name.
fn is_picture(file: &Path) -> bool {
    let extension = file.extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ["png", "jpg", "jpeg"].iter().any(|known| extension == *known))
}

/// What the folders say of a picture.
struct Placed {
    path: PathBuf,
    name: String,
    class: String,
    split: String,
}

/// How a folder is read.
pub struct Options<'a> {
    /// The classes' names; without any, what the folders are called.
    pub classes: &'a [String],
    /// The split of pictures that are in no folder of one.
    pub split: &'a str,
    /// Pixels of a side to resize to; 0 does not.
    pub size: usize,
    /// Pictures that may be bad.
    pub bad_rows: usize,
}

/// Reads a folder.
pub fn read(path: &Path, options: &Options<'_>, context: &Context) -> anyhow::Result<Facts> {
    let Options { classes, split, size, bad_rows } = *options;
    let (pictures, others): (Vec<_>, Vec<_>) =
        all_files(path)?.into_iter().partition(|file| is_picture(file));
    let placed: Vec<_> =
        pictures.into_iter().map(|file| place(path, file, split)).collect::<anyhow::Result<_>>()?;
    let mut others = others.iter().filter(|file| !is_facts(path, file));
    if let Some(one) = others.next().filter(|_| !placed.is_empty()) {
        let count = 1 + others.count();
        tracing::warn!(
            "{count} files are no PNG or JPEG by their names, and are left out: {} first",
            one.display()
        );
    }
    if placed.is_empty() {
        bail!("{} holds no pictures (PNG, JPEG) in folders of classes", path.display());
    }
    let found = placed.iter().map(|placed| placed.class.as_str());
    let found: BTreeSet<&str> = found.filter(|class| *class != UNLABELLED).collect();
    let classes: Vec<String> = match classes {
        [] => found.iter().map(ToString::to_string).collect(),
        given => given.to_vec(),
    };
    if let Some(unknown) = found.iter().find(|name| !classes.iter().any(|class| class == *name)) {
        bail!("{}: the folder `{unknown}` is none of the classes {}", path.display(), classes.join(", "));
    }
    let mut writer = FacesWriter::create(&context.table(), &classes)?;
    context.progress.begin(placed.len(), "pictures");
    let mut bad = BadRows::new(path, bad_rows);
    let load = |(): &mut (), row: usize| Ok((row, load(&placed[row].path, size)));
    let (mut rows, mut by_split) = (0, BTreeMap::<&str, usize>::new());
    flow::in_order(
        (0..placed.len()).map(Ok),
        context.workers,
        || Ok(()),
        load,
        |(row, loaded): (usize, anyhow::Result<Vec<u8>>)| {
            context.check()?;
            let placed = &placed[row];
            context.progress.advance(1);
            let image = match loaded {
                Ok(image) => image,
                Err(error) => return bad.add(&placed.name, format!("{error:#}")),
            };
            let label = classes.iter().position(|class| *class == placed.class);
            rows += 1;
            *by_split.entry(&placed.split).or_default() += 1;
            writer.add(&NewFace { image: &image, path: &placed.name, label, split: &placed.split, row }, &[])
        },
    )?;
    writer.finish()?;
    let count = |split: &str| by_split.get(split).copied().unwrap_or(0);
    let facts = Facts::default().with("rows", rows).with("train", count(TRAIN));
    Ok(bad.tell(facts.with("validation", count(VALIDATION)).with("test", count(TEST))))
}

/// A picture as the table has it.
fn load(path: &Path, size: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if size == 0 {
        picture::size(&bytes)?;
        return Ok(bytes);
    }
    picture::encode_png(&resize(picture::decode_gray(&bytes)?, size)?)
}

fn place(root: &Path, file: PathBuf, split: &str) -> anyhow::Result<Placed> {
    let relative = file.strip_prefix(root).unwrap_or(&file);
    let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let name = parts.join("/");
    let (split, class) = match parts.as_slice() {
        [class, _] => (split.to_owned(), class.clone()),
        [first, class, _] => match split_name(first) {
            Some(split) => (split.to_owned(), class.clone()),
            None => bail!("{}: `{first}` is no split: call it train, validation or test", file.display()),
        },
        _ => bail!("{}: pictures must lie in CLASS/ or SPLIT/CLASS/", file.display()),
    };
    Ok(Placed { path: file, name, class, split })
}

/// A split by any of the names that it goes by.
pub fn split_name(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(TRAIN),
        "val" | "valid" | "validation" => Some(VALIDATION),
        "test" | "testing" => Some(TEST),
        _ => None,
    }
}

/// Resizes to a square.
pub fn resize(picture: Gray, side: usize) -> anyhow::Result<Gray> {
    if (picture.width, picture.height) == (side, side) {
        return Ok(picture);
    }
    let (width, height) = (u32::try_from(picture.width)?, u32::try_from(picture.height)?);
    let image =
        image::GrayImage::from_raw(width, height, picture.pixels).context("a bug: pixels of another size")?;
    let target = u32::try_from(side)?;
    let resized = image::imageops::resize(&image, target, target, FilterType::CatmullRom);
    Ok(Gray { width: side, height: side, pixels: resized.into_raw() })
}
