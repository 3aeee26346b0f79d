//! Says how good translated faces are.

mod class;
mod measures;
mod networks;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ferroflow_vision::{
    inference::{Device, SessionOptions},
    model,
    translation::FaceTranslator,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    class::{Class, Table},
    networks::Networks,
};
use super::shared::{
    device,
    translator::{check_size, file_name},
};
use crate::{
    atomic,
    batch::{
        Context, Facts, Input, Needs, Stage,
        data::{
            Faces,
            faces::{TRAIN, train},
        },
    },
    graph::dag::{Port, PortType},
    report::fidelity::{self, Direction, Fidelity as Page},
};

/// Faces in one run of a network.
const BATCH: usize = 32;

/// Says how good the faces are that a network of `cyclegan` translates, each number beside what it is to be
/// compared with.
///
/// For both directions: the share of translated faces that a classifier calls the target class (beside: of real faces
/// of that class, and of the faces before they were translated); Frechet and kernel distance to real faces of the
/// target class, in the features of a face network (beside: between two random halves of the real class, and from the
/// faces before they were translated, all sets of one size, as the Frechet distance grows when sets shrink; means of
/// ten draws); the structural similarity after the way there and back (beside: after the way there, and of two
/// different faces); and the nearest training face of the target class by features and by pixels (beside: the same of
/// real faces, each left out itself), which tells faces that were learnt by heart.
///
/// The classifier is independent of the network that is measured, but mini-Xception has learnt from FER2013's
/// training faces too: what it says of others is measured with `split`. SFace's features are of aligned
/// faces; FER2013's crops of 48x48 gray pixels are enlarged as they are, which is why distances mean
/// something only beside each other.
///
/// The result holds `index.html`, which also shows faces drawn at random, never chosen, and `fidelity.json` with the
/// same numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fidelity {
    /// The split whose faces are translated and compared. The nearest faces are always looked for in `train`.
    #[serde(default = "train")]
    split: String,
    /// Who says which class a face shows: a model's name, or an ONNX file with its card.
    #[serde(default = "classifier")]
    classifier: String,
    /// What gives features of faces: a model's name, or an ONNX file with its card (task `embedding`).
    #[serde(default = "features")]
    features: String,
    /// The most faces of each class that are measured, drawn at random; 0: all.
    #[serde(default = "faces")]
    faces: usize,
    /// Translations that the page shows, for each direction.
    #[serde(default = "pictures")]
    pictures: usize,
    /// Where the networks run: auto, cpu, cuda or cuda:N.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
    /// Another seed draws other faces.
    #[serde(default)]
    seed: u64,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

fn classifier() -> String {
    "mini-xception".to_owned()
}

fn features() -> String {
    "sface".to_owned()
}

fn faces() -> usize {
    1000
}

fn pictures() -> usize {
    24
}

impl Stage for Fidelity {
    const NAME: &'static str = "fidelity";
    const VERSION: u32 = 4;
    const INPUTS: &'static [Port] = &[
        Port::faces("Real faces of both classes, of the size that the network was trained with."),
        Port::one("model", PortType::Model, "What `cyclegan` has trained."),
    ];
    const OUTPUT: PortType = PortType::Files;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        if (1..4).contains(&self.faces) {
            return Err(format!(
                "`faces` is {}: two halves of two faces are needed, so 4 or more, or 0",
                self.faces
            ));
        }
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for name in [&self.classifier, &self.features] {
            files.extend(model::resolve_model(name)?.files());
        }
        Ok(files)
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(512 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let table = Table::of(&Faces::of(context.input("input")?.table()?)?, context.workers)?;
        let model = context.input("model")?;
        let names = classes(model)?;
        let options = SessionOptions { device: self.device, threads: context.workers, ..Default::default() };
        let mut networks = Networks::open(&self.classifier, &self.features, &options, table.size, context)?;
        names.iter().try_for_each(|name| networks.knows(name))?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw = |name: &String| self.draw(&table, name, &mut random);
        let drawn = [draw(&names[0])?, draw(&names[1])?];
        let looks = drawn.iter().map(|class| class.all.len() + class.drawn.len()).sum();
        context.progress.begin(looks, "faces");
        let classes = {
            let mut look = |class| Class::look(class, &table, &mut networks);
            let [from, to] = drawn;
            [look(from)?, look(to)?]
        };
        let mut directions = Vec::new();
        for (source, target) in [(&classes[0], &classes[1]), (&classes[1], &classes[0])] {
            let open = |from: &Class, to: &Class| {
                let path = model.folder.join(file_name(&from.name, &to.name));
                let translator = FaceTranslator::open(&path, &options, BATCH)?;
                check_size(&translator, table.size)?;
                anyhow::Ok(translator)
            };
            let (mut there, mut back) = (open(source, target)?, open(target, source)?);
            let ways = measures::Ways::translate(source, &mut there, &mut back, context)?;
            let measures = measures::measure(source, target, &ways, &mut networks, &mut random)?;
            let mut shown: Vec<usize> = (0..source.drawn.len()).collect();
            shown.shuffle(&mut random);
            shown.truncate(self.pictures);
            directions.push(Direction { pictures: ways.pictures(source, &shown)?, measures });
        }
        let page = Page {
            split: self.split.clone(),
            classifier: networks.classifier_name.clone(),
            features: networks.features_name.clone(),
            epochs: model.facts()?.number("epochs").map(|epochs| epochs as usize),
            losses: std::fs::read_to_string(model.folder.join("losses.svg")).unwrap_or_default(),
            directions,
        };
        let facts = self.facts(&page, &names)?;
        atomic::write(&context.out.join("index.html"), fidelity::page(&page)?.as_bytes())?;
        atomic::write(&context.out.join("fidelity.json"), &serde_json::to_vec_pretty(&facts)?)?;
        Ok(facts)
    }
}

/// The two classes that a network was trained for.
fn classes(model: &Input) -> anyhow::Result<[String; 2]> {
    let facts = model.facts()?;
    let name = |fact: &str| {
        let name = facts.0.get(fact).and_then(serde_json::Value::as_str).map(str::to_owned);
        name.with_context(|| format!("`model` comes from `{}`: it must be one of `cyclegan`", model.kind))
    };
    Ok([name("from")?, name("to")?])
}

impl Fidelity {
    /// The faces of a class that are measured, and those that were trained on.
    fn draw(&self, table: &Table, name: &str, random: &mut ChaCha8Rng) -> anyhow::Result<class::Drawn> {
        let class = table.classes.iter().position(|class| class == name).with_context(|| {
            format!(
                "`model` is for the class `{name}`, which is none here (classes: {})",
                table.classes.join(", ")
            )
        })?;
        let mut drawn = table.rows(class, &self.split);
        if drawn.len() < 4 {
            bail!(
                "the class `{name}` has {} faces in the split `{}`: two halves of two faces are needed at least",
                drawn.len(),
                self.split
            );
        }
        let training = table.rows(class, TRAIN);
        if training.len() < 2 {
            bail!(
                "the class `{name}` has {} faces in the split `{TRAIN}`, where the nearest are looked for: two are needed at least",
                training.len()
            );
        }
        if self.faces > 0 {
            drawn.shuffle(random);
            drawn.truncate(self.faces);
            drawn.sort_unstable();
        }
        Ok(class::Drawn::new(name, drawn, &training))
    }

    fn facts(&self, page: &Page, names: &[String; 2]) -> anyhow::Result<Facts> {
        let directions = page.directions.iter().map(|direction| serde_json::to_value(&direction.measures));
        let mut facts = Facts::default()
            .with("from", names[0].clone())
            .with("to", names[1].clone())
            .with("split", self.split.clone())
            .with("classifier", page.classifier.clone())
            .with("features", page.features.clone());
        for (direction, name) in page.directions.iter().zip(["there", "back"]) {
            let share = direction.measures.called_target.translated;
            facts = facts.with(&format!("called_target_{name}"), share);
        }
        Ok(facts.with("directions", directions.collect::<Result<Vec<_>, _>>()?))
    }
}
