//! Makes faces of a rare class out of those of a frequent one.

mod copies;
mod networks;
mod sources;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use arrow_array::{ArrayRef, Float32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use ferroflow_vision::{faceness::Checker, inference::Device};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    copies::Gallery,
    networks::{Made, Networks, Refusal, classifier, face_settings},
    sources::{Candidate, Sources},
};
use super::shared::{
    device::{self, WorkerSessions},
    translator::{BATCH, two_classes},
};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            columns::{GENERATOR, SOURCE_ROW},
            faces::{TEST, TRAIN, VALIDATION, image_column, train},
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

/// Makes as many faces of a class as it lacks, out of those of another class, with a network of `cyclegan`.
///
/// Real faces that were not dropped, and have no duplicate (`duplicate_group`) in another split, are
/// translated one after the other in an order that `seed` decides: first all as they are and, where these do
/// not suffice, all mirrored. A translation is kept if the classifier calls it the wanted class, a usable
/// face is found in it as `drop-non-faces` finds one, and it is, mirrored or not, no copy of its source, of
/// another row of the table, dropped or not, or of a face that was made before.
///
/// The result is the whole table with the new rows behind it. Of these, `row` goes on from the highest number
/// (so join tables by `row` before), `source_row` is the row that it was made of, `generator` says by which
/// network (`neutral to disgust`), `generated_confidence` is the classifier's probability of the class, and
/// `generated_similarity` the greatest correlation with a real face that it was compared to: its source and
/// those that looked alike. All other columns are null in them, and these are null in the rows before.
/// Several can stand behind one another. `split` leaves what was made, and what it was made of, in `train`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generate {
    /// The class whose faces others are made of, by its name.
    from: String,
    /// The class that lacks faces.
    to: String,
    /// The split that is added to, and whose faces others are made of. Not `test` and not `validation`: what
    /// is measured on must not be learnt from.
    #[serde(default = "train")]
    split: String,
    /// How many faces are made, 1 or more. Unless this or `rows` is given, as many as the class lacks to the
    /// largest of the split.
    #[serde(default)]
    count: Option<usize>,
    /// How many rows the class is to have in the split in the end, as `rows` of `balance`; instead of `count`.
    #[serde(default)]
    rows: Option<usize>,
    /// An expression classifier that has not learnt from the network: a name of the model manifest, `default`
    /// for the manifest's own choice, or an ONNX file with a card.
    #[serde(default = "mini_xception")]
    classifier: String,
    /// The class must be the classifier's first answer, with at least this probability, 0 to 1. 0 is content
    /// with the first answer; more gives fewer and plainer faces.
    #[serde(default)]
    agreement: f32,
    /// Correlation from which two pictures are copies of one another, 0 to 1. Other pictures than the source
    /// are compared if their perceptual hashes differ in at most 3 of 64 bits, as in `deduplicate`.
    #[serde(default = "similarity")]
    similarity: f32,
    /// Where the networks run: auto, cpu, cuda or cuda:N.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
    /// Another seed tries the faces in another order.
    #[serde(default)]
    seed: u64,
}

fn mini_xception() -> String {
    "mini-xception".to_owned()
}

/// As `near-correlation` of `deduplicate`.
fn similarity() -> f32 {
    0.98
}

impl Stage for Generate {
    const NAME: &'static str = "generate";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[
        Port::faces("All faces, of the size that the network was trained with."),
        Port::one("model", PortType::Model, "What `cyclegan` has trained."),
    ];
    const OUTPUT: PortType = PortType::Faces;
    const PATHS: &'static [&'static str] = &["classifier"];

    fn check(&self) -> Result<(), String> {
        two_classes(&self.from, &self.to)?;
        if [TEST, VALIDATION].contains(&self.split.as_str()) {
            return Err(format!(
                "`split` is `{}`: faces must not be made of what models are measured on; `{TRAIN}` is for that",
                self.split
            ));
        }
        if self.count == Some(0) {
            return Err(
                "`count` is 0, and must be 1 or more; leave it out for as many as are lacking".to_owned()
            );
        }
        if self.count.is_some() && self.rows.is_some() {
            return Err("`count` and `rows` both say how many faces are made: give one of them".to_owned());
        }
        for (name, value) in [("agreement", self.agreement), ("similarity", self.similarity)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("`{name}` is {value}, and must be from 0 to 1"));
            }
        }
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let detectors = Checker::models(&face_settings())?;
        let models = std::iter::once(classifier(&self.classifier, &self.to)?).chain(detectors);
        Ok(models.flat_map(|model| model.files()).collect())
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(512 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (from, to) = (faces.class(&self.from).context("`from`")?, faces.class(&self.to).context("`to`")?);
        let wanted = self.wanted(&faces, to)?;
        let sources = Sources::of(&faces, from, &self.split)?;
        let real = Gallery::of(&faces, context)?;
        let tally = self.make(&sources.candidates(self.seed), wanted, &real, context)?;
        self.write(&faces, to, &tally.made, context)?;
        if tally.made.len() < wanted {
            tracing::warn!("{}", self.shortfall(wanted, &sources, &tally));
        }
        let refused: serde_json::Map<_, _> = Refusal::ALL
            .iter()
            .map(|reason| (reason.name().to_owned(), tally.refused(*reason).into()))
            .collect();
        Ok(Facts::default()
            .with("rows", faces.table.rows() + tally.made.len())
            .with("wanted", wanted)
            .with("made", tally.made.len())
            .with("tried", tally.tried)
            .with("sources", sources.rows.len())
            .with("left_out_across_splits", sources.across_splits)
            .with("refused", refused))
    }
}

/// What has become of the translations so far.
struct Tally {
    tried: usize,
    refused: Vec<Refusal>,
    made: Vec<Made>,
    /// The made faces, to find copies among them.
    gallery: Gallery,
    /// The face that was made of a row.
    of_row: HashMap<usize, usize>,
}

impl Tally {
    fn new((width, height): (usize, usize)) -> Self {
        let gallery = Gallery::new(width, height);
        Self { tried: 0, refused: Vec::new(), made: Vec::new(), gallery, of_row: HashMap::new() }
    }

    /// Takes a translation, or refuses it as a copy of one taken before, at this correlation or above.
    fn add(&mut self, translation: Result<Made, Refusal>, similarity: f32) {
        self.tried += 1;
        let is_copy = |made: &Made| {
            // The same face mirrored is asked about whatever its hash.
            let before = self.of_row.get(&made.source.row);
            let to_twin = before.map(|before| made.look.likeness(self.gallery.picture(*before)));
            let closest = self.gallery.closest(&made.look);
            to_twin.into_iter().chain(closest).any(|likeness| likeness >= similarity)
        };
        match translation {
            Err(reason) => self.refused.push(reason),
            Ok(made) if is_copy(&made) => self.refused.push(Refusal::Copy),
            Ok(made) => {
                self.gallery.add(&made.look);
                self.of_row.insert(made.source.row, self.made.len());
                self.made.push(made);
            }
        }
    }

    fn refused(&self, reason: Refusal) -> usize {
        self.refused.iter().filter(|refused| **refused == reason).count()
    }
}

impl Generate {
    /// How many faces are to be made.
    fn wanted(&self, faces: &Faces, to: usize) -> anyhow::Result<usize> {
        if let Some(count) = self.count {
            return Ok(count);
        }
        let sizes: Vec<usize> = faces.rows_by_class(&self.split)?.iter().map(Vec::len).collect();
        let rows = self.rows.or_else(|| sizes.iter().max().copied()).unwrap_or(0);
        Ok(rows.saturating_sub(sizes[to]))
    }

    /// Tries candidates until there are as many faces as wanted, or no more candidates.
    fn make(
        &self,
        candidates: &[Candidate],
        wanted: usize,
        real: &Gallery,
        context: &Context,
    ) -> anyhow::Result<Tally> {
        let model = context.input("model")?;
        let size = real.picture_size();
        let enough = AtomicBool::new(wanted == 0);
        let sessions = WorkerSessions::new(Self::NAME, self.device);
        let is_enough = || enough.load(Ordering::Relaxed);
        let mut tally = Tally::new(size);
        context.progress.begin(wanted, "faces");
        let pieces = candidates.chunks(BATCH).take_while(|_| !is_enough()).map(Ok);
        let open = || Networks::open(self, model, size, &sessions.next());
        // What is on the way when there are enough is looked at no more, so that what counts is the same for
        // any number of workers.
        let work = |networks: &mut Networks<'_>, some: &[Candidate]| match is_enough() {
            true => Ok(Vec::new()),
            false => networks.make(some, real),
        };
        flow::in_order(pieces, context.workers, open, work, |translations| {
            context.check()?;
            for translation in translations {
                if tally.made.len() < wanted {
                    tally.add(translation, self.similarity);
                }
            }
            enough.store(tally.made.len() >= wanted, Ordering::Relaxed);
            context.progress.set(tally.made.len());
            context.progress.message(format!("of {} translations", tally.tried));
            Ok(())
        })?;
        Ok(tally)
    }

    fn write(&self, faces: &Faces, to: usize, made: &[Made], context: &Context) -> anyhow::Result<()> {
        let rows = faces.source_rows()?;
        let next = rows.iter().flatten().max().map_or(0, |highest| highest + 1);
        let name = |made: &Made| {
            let way = if made.source.is_mirrored { "-mirrored" } else { "" };
            format!("{:07}-{}{way}.png", rows.value(made.source.row), self.to)
        };
        let pictures: Vec<_> = made.iter().map(|made| (made.png.clone(), name(made))).collect();
        let generator = format!("{} to {}", self.from, self.to);
        let new = |name: &str, kind: DataType, array: ArrayRef| (Field::new(name, kind, true), array);
        let ints = |name: &str, values: Int64Array| new(name, DataType::Int64, Arc::new(values));
        let texts = |name: &str, text: &str| {
            let array = StringArray::from_iter_values(made.iter().map(|_| text));
            new(name, DataType::Utf8, Arc::new(array))
        };
        let floats = |name: &str, value: fn(&Made) -> f32| {
            let array = Float32Array::from_iter_values(made.iter().map(value));
            new(name, DataType::Float32, Arc::new(array))
        };
        let label = i64::try_from(to)?;
        let columns = [
            image_column(&pictures)?,
            ints("label", Int64Array::from_value(label, made.len())),
            texts("split", &self.split),
            ints("row", Int64Array::from_iter_values((next..).take(made.len()))),
            ints(SOURCE_ROW, made.iter().map(|made| Some(rows.value(made.source.row))).collect()),
            texts(GENERATOR, &generator),
            floats("generated_confidence", |made| made.confidence),
            floats("generated_similarity", |made| made.similarity),
        ];
        faces.table.write_appended(&context.table(), &columns)
    }

    /// Why fewer were made than wanted, and what to do.
    fn shortfall(&self, wanted: usize, sources: &Sources, tally: &Tally) -> String {
        let [classifier, no_face, copies] = Refusal::ALL.map(|reason| tally.refused(reason));
        let mut advice = vec!["train longer"];
        let most = classifier.max(no_face).max(copies);
        if classifier == most && self.agreement > 0.0 {
            advice.push("lower `agreement`");
        } else if classifier == most {
            advice.push("name another `classifier`");
        } else if copies == most {
            advice.push("raise `similarity`");
        }
        if tally.tried < wanted {
            advice.push("make faces of a larger class");
        }
        format!(
            "{} to {}: {} of {wanted} faces were made. Of {} translations ({} faces, as they are and mirrored) {classifier} \
             were not called {}, {no_face} show no usable face, and {copies} are copies: {}",
            self.from,
            self.to,
            tally.made.len(),
            tally.tried,
            sources.rows.len(),
            self.to,
            advice.join(", or "),
        )
    }
}
