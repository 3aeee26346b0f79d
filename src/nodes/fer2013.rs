//! Source: FER2013 in any of the forms that it goes round in.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image_folder;
use super::shared::bad_rows::BadRows;
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            classes,
            faces::{FacesWriter, NewFace, TEST, TRAIN, VALIDATION},
            picture::{self, Gray},
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

/// Pixels of a side.
const SIDE: usize = 48;

/// Reads FER2013. Takes Kaggle's `fer2013.csv`, plain, gzipped or in its tar.gz; `icml_face_data.csv`; and
/// the folders `train/happy/*.jpg` with the seven class names.
///
/// The splits Training, PublicTest and PrivateTest become `train`, `validation` and `test`. `row` is the
/// number of the row in the csv, from 0, which FER+ goes by.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fer2013 {
    /// The csv, the archive, or the folder.
    path: PathBuf,
    /// How many rows may be bad before it is an error: cut short, with wrong numbers of pixels, with unknown
    /// labels. They are left out, and told with number and reason.
    #[serde(default)]
    bad_rows: usize,
}

impl Stage for Fer2013 {
    const NAME: &'static str = "fer2013";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["path"];

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        if self.path.is_dir() { image_folder::files(&self.path) } else { Ok(vec![self.path.clone()]) }
    }

    // The csv may be called as one likes; folders are splits and classes.
    fn names_below(&self) -> Option<&Path> {
        Some(self.path.as_path()).filter(|path| path.is_dir())
    }

    fn needs(&self) -> crate::batch::Needs {
        crate::batch::Needs::all_cores(64 << 20)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        if self.path.is_dir() {
            let classes = classes::fer2013();
            let options =
                image_folder::Options { classes: &classes, split: TRAIN, size: 0, bad_rows: self.bad_rows };
            return image_folder::read(&self.path, &options, context);
        }
        let mut bad = BadRows::new(&self.path, self.bad_rows);
        let mut writer = FacesWriter::create(&context.table(), &classes::fer2013())?;
        let mut counts = [0usize; 3];
        let rows = rows(&self.path)?;
        context.progress.begin_open("rows");
        let encode = |(): &mut (), (row, parsed): (usize, Result<Row, String>)| {
            let encoded = match parsed {
                Ok(row) => Ok((picture::encode_png(&row.picture)?, row.label, row.split)),
                Err(reason) => Err(reason),
            };
            Ok((row, encoded))
        };
        flow::in_order(
            rows,
            context.workers,
            || Ok(()),
            encode,
            |(row, encoded)| {
                context.check()?;
                context.progress.advance(1);
                match encoded {
                    Ok((image, label, split)) => {
                        let path = format!("fer{row:07}.png");
                        let (label, image) = (Some(label), image.as_slice());
                        let place = [TRAIN, VALIDATION, TEST].iter().position(|name| *name == split);
                        place.into_iter().for_each(|place| counts[place] += 1);
                        writer.add(&NewFace { image, path: &path, label, split, row }, &[])
                    }
                    // As people count lines: the header is the first.
                    Err(reason) => bad.add(&format!("row {row} (line {})", row + 2), reason),
                }
            },
        )?;
        writer.finish()?;
        let [train, validation, test] = counts;
        if train + validation + test == 0 {
            bail!("{} has no rows", self.path.display());
        }
        let facts = Facts::default().with("rows", train + validation + test).with("train", train);
        Ok(bad.tell(facts.with("validation", validation).with("test", test)))
    }
}

struct Row {
    label: usize,
    split: &'static str,
    picture: Gray,
}

/// Where the columns are.
#[derive(Clone, Copy)]
struct Columns {
    emotion: usize,
    pixels: usize,
    usage: usize,
}

type Parsed = (usize, Result<Row, String>);

/// All rows of the csv in whatever it is wrapped.
fn rows(path: &Path) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Parsed>> + Send>> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut file = BufReader::new(File::open(path).with_context(cannot)?);
    let name = path.to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        return from_archive(path);
    }
    // Whatever it is called: gzip begins with these.
    let is_gzip = file.fill_buf().with_context(cannot)?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read + Send> = match is_gzip {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    Ok(Box::new(parse(path, reader)?))
}

/// The csv in Kaggle's archive. The archive is read in a thread of its own: its entries borrow it.
fn from_archive(path: &Path) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Parsed>> + Send>> {
    let (send, receive) = crossbeam_channel::bounded(256);
    let path = path.to_owned();
    std::thread::spawn(move || {
        let read = || -> anyhow::Result<()> {
            let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
            for entry in archive.entries()? {
                let entry = entry.with_context(|| format!("{} is damaged or cut short", path.display()))?;
                let is_csv = entry
                    .path()?
                    .file_name()
                    .is_some_and(|name| matches!(name.to_str(), Some("fer2013.csv" | "icml_face_data.csv")));
                if !is_csv {
                    continue;
                }
                for row in parse(&path, entry)? {
                    if send.send(row).is_err() {
                        break;
                    }
                }
                return Ok(());
            }
            bail!("{} holds neither fer2013.csv nor icml_face_data.csv", path.display())
        };
        if let Err(error) = read() {
            // Whoever reads the rows may be gone, and then needs no error.
            let _ = send.send(Err(error));
        }
    });
    Ok(Box::new(receive.into_iter()))
}

fn parse<R: Read>(
    path: &Path,
    reader: R,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Parsed>> + use<R>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(reader);
    let headers = reader.headers().with_context(|| format!("{} is no csv", path.display()))?.clone();
    let find = |name: &str| headers.iter().position(|header| header.eq_ignore_ascii_case(name));
    let columns = match (find("emotion"), find("pixels"), find("Usage")) {
        (Some(emotion), Some(pixels), Some(usage)) => Columns { emotion, pixels, usage },
        _ => bail!(
            "{} is not FER2013: its header must have emotion, pixels and Usage, and has: {}",
            path.display(),
            headers.iter().take(8).map(|header| shown(header.as_bytes())).collect::<Vec<_>>().join(", ")
        ),
    };
    let (path, mut record, mut row) = (path.to_owned(), csv::ByteRecord::new(), 0);
    let fields = headers.len();
    let next = move || match reader.read_byte_record(&mut record) {
        Ok(false) => None,
        Ok(true) => {
            row += 1;
            Some(Ok((row - 1, parse_row(&record, columns, fields))))
        }
        Err(error) => {
            let end = match error.kind() {
                csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
                    anyhow!(
                        "{} is cut short, or goes on with something else: its compressed data ends after {row} rows",
                        path.display()
                    )
                }
                _ => anyhow!("{}: after {row} rows: {error}", path.display()),
            };
            Some(Err(end))
        }
    };
    // After an error there is nothing more to read.
    let mut has_failed = false;
    Ok(std::iter::from_fn(next).take_while(move |row| {
        let goes = !has_failed;
        has_failed |= row.is_err();
        goes
    }))
}

fn parse_row(record: &csv::ByteRecord, columns: Columns, fields: usize) -> Result<Row, String> {
    if record.len() != fields {
        return Err(format!("has {} fields instead of {fields}", record.len()));
    }
    let field = |at: usize| record.get(at).unwrap_or_default();
    let classes = classes::fer2013().len();
    let emotion = field(columns.emotion);
    let label = number(emotion).filter(|label| usize::from(*label) < classes);
    let label =
        label.ok_or_else(|| format!("its emotion is `{}`, not 0 to {}", shown(emotion), classes - 1))?;
    let usage = field(columns.usage);
    let split = match usage {
        b"Training" => TRAIN,
        b"PublicTest" => VALIDATION,
        b"PrivateTest" => TEST,
        _ => {
            let known = "Training, PublicTest or PrivateTest";
            return Err(format!("its Usage is `{}`, not {known}", shown(usage)));
        }
    };
    let mut pixels = Vec::with_capacity(SIDE * SIDE);
    for (at, text) in
        field(columns.pixels).split(u8::is_ascii_whitespace).filter(|text| !text.is_empty()).enumerate()
    {
        let value =
            number(text).ok_or_else(|| format!("its pixel {at} is `{}`, not 0 to 255", shown(text)))?;
        pixels.push(value);
    }
    if pixels.len() != SIDE * SIDE {
        return Err(format!("has {} pixels instead of {}", pixels.len(), SIDE * SIDE));
    }
    Ok(Row { label: usize::from(label), split, picture: Gray { width: SIDE, height: SIDE, pixels } })
}

/// The beginning of a field, for messages.
fn shown(field: &[u8]) -> String {
    match field.get(..20) {
        Some(begin) if field.len() > 20 => format!("{}...", String::from_utf8_lossy(begin)),
        _ => String::from_utf8_lossy(field).into_owned(),
    }
}

/// A number from 0 to 255 of one to three digits.
fn number(text: &[u8]) -> Option<u8> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0u8, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
