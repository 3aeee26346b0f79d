//! Trains networks that translate faces of one class to another and back.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use ferroflow_learn::{
    Device, Faces as Pictures,
    cyclegan::{self, Direction, Epoch, Normalisation, Progress, Samples, Settings, Trained},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::shared::{
    device, learning,
    translator::{file_name, two_classes},
};
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::train,
            picture::{Gray, encode_png},
        },
    },
    graph::dag::{Port, PortType},
    report::training,
};

/// The folder with sample grids, in the checkpoints and in the result.
const SAMPLES: &str = "samples";
/// What the names of sample grids begin with.
const SAMPLE: &str = "epoch-";

/// Trains a CycleGAN: two networks that translate faces of one class to another and back, learnt from faces
/// that are no pairs.
///
/// The defaults are those of Mazen, Nashat & Abdel Azeem Abul Seoud, and where they are silent those of Zhu
/// et al. 2017. The result holds `FROM-to-TO.onnx` and `TO-to-FROM.onnx` (gray faces in -1..1 in and out),
/// `losses.svg`, and `samples/`: pictures of a few faces of each class, with their translation and the way
/// back below them. Losses are means over an epoch, without their weights. A training that is stopped goes on
/// where it was.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CycleGan {
    /// The class that faces are translated from, by its name.
    from: String,
    /// The class that they are translated to.
    to: String,
    /// The split that it learns from.
    #[serde(default = "train")]
    split: String,
    /// Epochs at the full learning rate.
    #[serde(default = "epochs")]
    epochs: usize,
    /// Epochs over which it then falls to zero.
    #[serde(default = "decay_epochs")]
    decay_epochs: usize,
    /// Faces of each class in an epoch; 0: as many as the larger class has.
    #[serde(default)]
    epoch_faces: usize,
    /// Faces of each class in a step.
    #[serde(default = "batch_size")]
    batch_size: usize,
    /// The learning rate of Adam.
    #[serde(default = "learning_rate")]
    learning_rate: f64,
    /// Channels of the generators at full size.
    #[serde(default = "generator_width")]
    generator_width: usize,
    /// Residual blocks of the generators.
    #[serde(default = "generator_blocks")]
    generator_blocks: usize,
    /// The part of a block's values that is left out at random, 0 or more and less than 1.
    #[serde(default = "dropout")]
    dropout: f32,
    /// Channels of the discriminators' first layer.
    #[serde(default = "discriminator_width")]
    discriminator_width: usize,
    /// How often the discriminators halve the size: 2 judges patches of 34x34 pixels, 3 of 70x70.
    #[serde(default = "discriminator_halvings")]
    discriminator_halvings: usize,
    /// What is normalised together.
    #[serde(default)]
    normalisation: Normalised,
    /// Weight of the adversarial loss.
    #[serde(default = "adversarial_weight")]
    adversarial_weight: f64,
    /// Weight of the identity loss: what is changed of faces that are of the target class already.
    #[serde(default = "identity_weight")]
    identity_weight: f64,
    /// Weight of the cycle loss: what is lost on the way there and back.
    #[serde(default = "cycle_weight")]
    cycle_weight: f64,
    /// What the cycle loss is the mean of. `["l1"]` is the one of Zhu et al.
    #[serde(default = "cycle_terms")]
    cycle_terms: Vec<Term>,
    /// Generated faces that the discriminators draw from; 0 shows them only the newest.
    #[serde(default = "buffer")]
    buffer: usize,
    /// Whether discriminators call generated faces 1 and real ones 0, rather than the other way.
    #[serde(default = "yes")]
    flipped_labels: bool,
    /// Whether each face is mirrored half the time.
    #[serde(default = "yes")]
    mirrored: bool,
    /// Epochs between two pictures of samples; the last epoch always has one.
    #[serde(default = "sample_every")]
    sample_every: usize,
    /// Another seed trains other networks.
    #[serde(default)]
    seed: u64,
    /// Where it is trained: cpu, cuda, cuda:N, or auto, which takes a CUDA device where there is one.
    /// Networks differ from those of the CPU in their last digits at first, so another device begins anew.
    #[serde(default = "device::cpu", skip_serializing_if = "device::is_cpu")]
    #[schemars(with = "String", extend("default" = "cpu"))]
    device: Device,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// What is normalised together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Normalised {
    /// A channel over the whole batch. Over batches of one face, this is what `instance` does.
    #[default]
    Batch,
    /// A channel of each face for itself.
    Instance,
}

/// A term of the cycle loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Term {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    L2,
    /// One less the structural similarity.
    Ssim,
}

fn yes() -> bool {
    true
}

fn sample_every() -> usize {
    10
}

fn cycle_terms() -> Vec<Term> {
    vec![Term::L1, Term::L2, Term::Ssim]
}

/// Defaults that are those of the library.
macro_rules! defaults {
    ($($name:ident: $type:ty = $($field:ident).+;)+) => {
        $(fn $name() -> $type { Settings::default().$($field).+ })+
    };
}

defaults! {
    epochs: usize = epochs;
    decay_epochs: usize = decay_epochs;
    batch_size: usize = batch_size;
    learning_rate: f64 = learning_rate;
    generator_width: usize = generator.width;
    generator_blocks: usize = generator.blocks;
    dropout: f32 = generator.dropout;
    discriminator_width: usize = discriminator.width;
    discriminator_halvings: usize = discriminator.halvings;
    adversarial_weight: f64 = losses.adversarial;
    identity_weight: f64 = losses.identity;
    cycle_weight: f64 = losses.cycle;
    buffer: usize = buffer;
}

impl Stage for CycleGan {
    const NAME: &'static str = "cyclegan";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::faces("Faces of both classes, of one size.")];
    const OUTPUT: PortType = PortType::Model;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        two_classes(&self.from, &self.to)?;
        if self.sample_every == 0 {
            return Err("`sample-every` is 0, and must be 1 or more".to_owned());
        }
        self.settings().check().map_err(|error| learning::setting(error, parameter))
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        let device = device::needed(self.device);
        // One thread for each direction, or for the device.
        let cores = if device.is_some() { 1 } else { 2 };
        Needs { cores, memory_per_core: 1 << 30, device }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let classes = [faces.class(&self.from).context("`from`")?, faces.class(&self.to).context("`to`")?];
        let (width, height, pixels) = faces.gray_pixels(context.workers)?;
        let rows = [faces.real_rows(classes[0], &self.split)?, faces.real_rows(classes[1], &self.split)?];
        let of_class = rows.map(|rows| {
            let faces = rows.iter().flat_map(|row| &pixels[row * width * height..(row + 1) * width * height]);
            faces.copied().collect::<Vec<u8>>()
        });
        drop(pixels);
        let pictures = [0, 1].map(|class| Pictures { pixels: &of_class[class], width, height });
        for (name, pictures) in [&self.from, &self.to].into_iter().zip(&pictures) {
            if pictures.count() < 2 {
                let (count, split) = (pictures.count(), &self.split);
                bail!("the class `{name}` has {count} faces in the split `{split}`: two are needed at least");
            }
        }
        let device = device::for_training(self.device, context)?;
        let checkpoints = device::checkpoints(&context.checkpoints, device);
        let trained = self.train(pictures, device, &checkpoints, context)?;
        self.write(&trained, &checkpoints.join(SAMPLES), context)?;
        Ok(self.facts(&trained, pictures.map(|pictures| pictures.count())))
    }
}

/// What a setting of the library is called here.
fn parameter(setting: &str) -> String {
    match setting {
        "generator.dropout" => "dropout".to_owned(),
        "losses.cycle" => "cycle-weight".to_owned(),
        "losses.identity" => "identity-weight".to_owned(),
        "losses.adversarial" => "adversarial-weight".to_owned(),
        other => other.replace(['.', '_'], "-"),
    }
}

impl CycleGan {
    fn settings(&self) -> Settings {
        let on = |term: Term| self.cycle_terms.contains(&term);
        Settings {
            generator: cyclegan::Generator {
                width: self.generator_width,
                blocks: self.generator_blocks,
                dropout: self.dropout,
                ..Default::default()
            },
            discriminator: cyclegan::Discriminator {
                width: self.discriminator_width,
                halvings: self.discriminator_halvings,
            },
            normalisation: match self.normalisation {
                Normalised::Batch => Normalisation::Batch,
                Normalised::Instance => Normalisation::Instance,
            },
            losses: cyclegan::Losses {
                adversarial: self.adversarial_weight,
                identity: self.identity_weight,
                cycle: self.cycle_weight,
                cycle_l1: on(Term::L1),
                cycle_l2: on(Term::L2),
                cycle_ssim: on(Term::Ssim),
            },
            batch_size: self.batch_size,
            epochs: self.epochs,
            decay_epochs: self.decay_epochs,
            epoch_faces: self.epoch_faces,
            learning_rate: self.learning_rate,
            buffer: self.buffer,
            flipped_labels: self.flipped_labels,
            mirrored: self.mirrored,
            seed: self.seed,
        }
    }

    fn train(
        &self,
        classes: [Pictures<'_>; 2],
        device: Device,
        checkpoints: &Path,
        context: &Context,
    ) -> anyhow::Result<Trained> {
        let folder = checkpoints.join(SAMPLES);
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be written", folder.display()))?;
        let failed = RefCell::new(None);
        let step = |at: Progress| {
            context.progress.set_of(at.epoch * at.steps + at.step, at.epochs * at.steps, "steps");
        };
        let epoch = |epoch: &Epoch<'_>| {
            self.tell(epoch, context);
            let number = epoch.epoch + 1;
            if number.is_multiple_of(self.sample_every) || number == epoch.epochs {
                let picture = grid(&epoch.samples, classes[0].width, classes[0].height);
                let path = folder.join(format!("{SAMPLE}{number:04}.png"));
                let written = encode_png(&picture).and_then(|bytes| atomic::write(&path, &bytes));
                if let Err(error) = written {
                    failed.replace(Some(error));
                }
            }
        };
        let run = learning::run(device, checkpoints, context);
        let outcome = cyclegan::train(classes, &self.settings(), &run, &step, &epoch);
        if let Some(error) = failed.take() {
            return Err(error);
        }
        let advice = "lower `batch-size`, then `generator-width` and `discriminator-width`";
        outcome.map_err(|error| learning::stopped(error, device, advice))
    }

    /// Says how far an epoch has come, and what looks wrong.
    fn tell(&self, epoch: &Epoch<'_>, context: &Context) {
        let Some([there, back]) = epoch.history.last() else { return };
        let mean = |value: fn(&Direction) -> f32| f64::from(value(there) + value(back)) / 2.0;
        let measures: [(&'static str, f64); 5] = [
            ("epoch", (epoch.epoch + 1) as f64),
            ("adversarial_loss", mean(|direction| direction.adversarial)),
            ("identity_loss", mean(|direction| direction.identity)),
            ("cycle_loss", mean(|direction| direction.cycle)),
            ("discriminator_loss", mean(|direction| direction.discriminator)),
        ];
        measures.into_iter().for_each(|(what, value)| context.progress.measure(what, value));
        context.progress.message(format!(
            "epoch {}/{}: cycle {:.3} and {:.3}, adversarial {:.3} and {:.3}, discriminators {:.3} and {:.3}",
            epoch.epoch + 1,
            epoch.epochs,
            there.cycle,
            back.cycle,
            there.adversarial,
            back.adversarial,
            there.discriminator,
            back.discriminator,
        ));
        let names = [(&self.from, &self.to), (&self.to, &self.from)];
        for ((from, to), warnings) in names.into_iter().zip(&epoch.warnings) {
            for warning in warnings {
                tracing::warn!("{from} to {to}, epoch {}: {warning}", epoch.epoch + 1);
            }
        }
    }

    fn write(&self, trained: &Trained, samples: &Path, context: &Context) -> anyhow::Result<()> {
        let names = [(&self.from, &self.to), (&self.to, &self.from)];
        for ((from, to), translator) in names.into_iter().zip(&trained.translators) {
            let metadata = [("from", from.clone()), ("to", to.clone())];
            let bytes = translator.to_onnx(&format!("{from}-to-{to}"), &metadata)?;
            atomic::write(&context.out.join(file_name(from, to)), &bytes)?;
        }
        let plot = training::losses_over_epochs(&trained.history)?;
        atomic::write(&context.out.join("losses.svg"), plot.as_bytes())?;
        let to = context.out.join(SAMPLES);
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(samples)? {
            let entry = entry?;
            // What a kill left of a grid has another name.
            if entry.file_name().to_string_lossy().starts_with(SAMPLE) {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    fn facts(&self, trained: &Trained, faces: [usize; 2]) -> Facts {
        let one = |direction: &Direction| {
            json!({
                "adversarial": direction.adversarial,
                "identity": direction.identity,
                "cycle": direction.cycle,
                "similarity": direction.similarity,
                "discriminator": direction.discriminator,
            })
        };
        let epochs = trained.history.iter().map(|epoch| json!(epoch.each_ref().map(one)));
        let mut facts = Facts::default()
            .with("from", self.from.clone())
            .with("to", self.to.clone())
            .with("faces_from", faces[0])
            .with("faces_to", faces[1])
            .with("epochs", trained.history.len());
        if let Some([there, back]) = trained.history.last() {
            let similarity = (there.similarity + back.similarity) / 2.0;
            facts = facts.with("cycle_similarity", f64::from(similarity));
        }
        facts.with("history", epochs.collect::<Vec<_>>())
    }
}

/// For each direction three lines of faces: as they are, translated, and back; each pixel twice as large.
fn grid(samples: &[Samples; 2], width: usize, height: usize) -> Gray {
    const SCALE: usize = 2;
    const GAP: usize = 2;
    let (cell_width, cell_height) = (width * SCALE + GAP, height * SCALE + GAP);
    let columns = samples.iter().map(|samples| samples.real.len() / (width * height)).max().unwrap_or(0);
    let lines: Vec<&Vec<u8>> =
        samples.iter().flat_map(|samples| [&samples.real, &samples.translated, &samples.returned]).collect();
    let mut picture = Gray {
        width: columns * cell_width + GAP,
        height: lines.len() * cell_height + GAP,
        pixels: Vec::new(),
    };
    picture.pixels.resize(picture.width * picture.height, 255);
    for (line, faces) in lines.into_iter().enumerate() {
        for (column, face) in faces.chunks_exact(width * height).enumerate() {
            for y in 0..height * SCALE {
                let start = (GAP + line * cell_height + y) * picture.width + GAP + column * cell_width;
                let row = &face[y / SCALE * width..][..width];
                let out = &mut picture.pixels[start..start + width * SCALE];
                out.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = row[x / SCALE]);
            }
        }
    }
    picture
}
