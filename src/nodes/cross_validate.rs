//! Trains networks that judge rows they have not seen.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, bail};
use arrow_array::{
    ArrayRef,
    builder::{Float32Builder, Int64Builder, ListBuilder},
};
use arrow_schema::{DataType, Field};
use ferroflow_learn::{
    Device, Faces as Pictures, classifier,
    cross_validation::{Progress, Rows, Settings, assign, out_of_fold},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::{device, learning};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            columns::PROBABILITIES,
            faces::{TRAIN, check_splits},
        },
    },
    graph::dag::{Port, PortType},
};

/// Gives each row out-of-fold probabilities: what a network says of it that has seen neither it nor a
/// duplicate of it.
///
/// The rows are divided into folds, stratified by label, duplicates (`duplicate_group`) and what is of one
/// `group`, a video for one, together. For each fold, a convolutional network is trained on those rows of the
/// others that belong to the splits `learn-splits`, so that no label of a test part comes into what is learnt
/// later from these probabilities. Rows without a label, and those that were dropped before, take no part.
/// Pictures must all be of one size. Columns: `probabilities`, one for each class, and `fold`. A run that is
/// stopped goes on from its last epoch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CrossValidate {
    /// Into how many parts the rows are divided.
    #[serde(default = "folds")]
    folds: usize,
    /// The splits that networks learn from. The rows of all splits are judged.
    #[serde(default = "learn_splits")]
    learn_splits: Vec<String>,
    /// How often a network sees each of its faces.
    #[serde(default = "epochs")]
    epochs: usize,
    /// Faces in a step.
    #[serde(default = "batch_size")]
    batch_size: usize,
    /// The greatest learning rate.
    #[serde(default = "learning_rate")]
    learning_rate: f64,
    /// Another seed divides the rows otherwise and trains other networks.
    #[serde(default)]
    seed: u64,
    /// Where networks are trained: cpu, cuda, cuda:N, or auto, which takes a CUDA device where there is one.
    /// Networks differ from those of the CPU in their last digits at first, so another device begins anew.
    #[serde(default = "device::cpu", skip_serializing_if = "device::is_cpu")]
    #[schemars(with = "String", extend("default" = "cpu"))]
    device: Device,
}

fn folds() -> usize {
    Settings::default().folds
}

/// What networks learn from unless told otherwise.
pub fn learn_splits() -> Vec<String> {
    vec![TRAIN.to_owned()]
}

fn epochs() -> usize {
    Settings::default().network.epochs
}

fn batch_size() -> usize {
    Settings::default().network.batch_size
}

fn learning_rate() -> f64 {
    Settings::default().network.learning_rate
}

impl Stage for CrossValidate {
    const NAME: &'static str = "cross-validate";
    const VERSION: u32 = 5;
    const INPUTS: &'static [Port] = &[Port::faces("Faces with labels.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        self.settings().check().map_err(|error| learning::setting(error, learning::dashed))
    }

    fn needs(&self) -> Needs {
        let device = device::needed(self.device);
        let cores = if device.is_some() { classifier::LOADER_THREADS } else { usize::MAX };
        Needs { cores, memory_per_core: 512 << 20, device }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (rows, labels) = taking_part(&faces)?;
        let (all_groups, splits) = (faces.groups()?, faces.splits()?);
        check_splits(&self.learn_splits, &splits).context("`learn-splits`")?;
        let groups: Vec<u32> = rows.iter().map(|&row| all_groups[row]).collect();
        let teaches: Vec<bool> = rows.iter().map(|&row| self.learn_splits.contains(&splits[row])).collect();
        if !teaches.contains(&true) {
            bail!(
                "no row of the splits to learn from ({}) has a label and was not dropped: name others in `learn-splits`",
                self.learn_splits.join(", ")
            );
        }
        for (class, name) in (0u8..).zip(&faces.classes) {
            let mut of_class =
                labels.iter().zip(&groups).filter(|(label, _)| **label == class).map(|(_, group)| group);
            if let Some(first) = of_class.next()
                && of_class.next().is_some()
                && labels.iter().zip(&groups).all(|(label, group)| *label != class || group == first)
            {
                tracing::warn!(
                    "cross-validate: all faces of {name} are of one group, a video for one: no network that judges them will have seen the class"
                );
            }
        }
        let (width, height, all) = faces.gray_pixels(context.workers)?;
        let of_row = |row: &usize| &all[row * width * height..(row + 1) * width * height];
        let pixels: Vec<u8> = rows.iter().flat_map(of_row).copied().collect();
        drop(all);
        let classes = faces.classes.len();
        let probabilities = self.train(
            Rows {
                faces: Pictures { pixels: &pixels, width, height },
                labels: &labels,
                classes,
                groups: &groups,
                teaches: &teaches,
            },
            context,
        )?;
        let folds = assign(&labels, &groups, self.folds, self.seed);
        let agreeing = probabilities
            .chunks_exact(classes)
            .zip(&labels)
            .filter(|(row, label)| row.iter().all(|value| *value <= row[usize::from(**label)]))
            .count();
        let item = Field::new("item", DataType::Float32, true);
        let mut lists = ListBuilder::new(Float32Builder::new()).with_field(item.clone());
        let mut numbers = Int64Builder::new();
        let mut taking_part = rows.iter().zip(probabilities.chunks_exact(classes)).zip(folds).peekable();
        for row in 0..faces.table.rows() {
            match taking_part.next_if(|((at, _), _)| **at == row) {
                Some(((_, values), fold)) => {
                    lists.values().append_slice(values);
                    lists.append(true);
                    numbers.append_value(fold as i64);
                }
                None => {
                    lists.append_null();
                    numbers.append_null();
                }
            }
        }
        let list = DataType::List(Arc::new(item));
        faces.table.write_with(
            &context.table(),
            &[
                (Field::new(PROBABILITIES, list, true), Arc::new(lists.finish()) as ArrayRef),
                (Field::new("fold", DataType::Int64, true), Arc::new(numbers.finish())),
            ],
        )?;
        let share = agreeing as f64 / rows.len() as f64;
        Ok(Facts::default()
            .with("rows", faces.table.rows())
            .with("judged", rows.len())
            .with("agreement", share))
    }
}

/// Rows with a label that were not dropped, and their labels.
fn taking_part(faces: &Faces) -> anyhow::Result<(Vec<usize>, Vec<u8>)> {
    let (labels, dropped) = (faces.labels()?, faces.dropped()?);
    let rows = labels.iter().zip(&dropped).enumerate().filter(|(_, (_, dropped))| dropped.is_none());
    let rows: Vec<(usize, u8)> =
        rows.filter_map(|(row, (label, _))| Some((row, u8::try_from((*label)?).ok()?))).collect();
    if rows.is_empty() {
        bail!("no row has a label and was not dropped before: there is nothing to learn from");
    }
    Ok(rows.into_iter().unzip())
}

impl CrossValidate {
    fn settings(&self) -> Settings {
        let network = classifier::Settings {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            seed: self.seed,
            ..Settings::default().network
        };
        Settings { folds: self.folds, network }
    }

    /// Out-of-fold probabilities of these rows.
    fn train(&self, rows: Rows<'_>, context: &Context) -> anyhow::Result<Vec<f32>> {
        let bar = Bar::new(context, self.folds);
        let device = device::for_training(self.device, context)?;
        let checkpoints = device::checkpoints(&context.checkpoints, device);
        let run = learning::run(device, &checkpoints, context);
        let outcome = out_of_fold(rows, &self.settings(), &run, &|progress| bar.show(&progress));
        outcome.map_err(|error| learning::stopped(error, device, "lower `batch-size`"))
    }
}

/// The bar over all folds.
struct Bar<'a> {
    context: &'a Context<'a>,
    done: Mutex<Vec<usize>>,
    /// Steps of all folds, as if they were of one size: they differ by a few.
    all: OnceLock<usize>,
}

impl<'a> Bar<'a> {
    fn new(context: &'a Context<'a>, folds: usize) -> Self {
        Self { context, done: Mutex::new(vec![0; folds]), all: OnceLock::new() }
    }

    fn show(&self, progress: &Progress) {
        let at = progress.training;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = done.get_mut(progress.fold) {
            *done = at.epoch * at.steps + at.step;
        }
        let all = *self.all.get_or_init(|| progress.folds * at.epochs * at.steps);
        self.context.progress.set_of(done.iter().sum(), all, "steps");
        if at.step == at.steps {
            let (fold, epoch, loss, accuracy) = (progress.fold + 1, at.epoch + 1, at.loss, at.accuracy);
            self.context.progress.message(format!(
                "fold {fold}: epoch {epoch}/{}, loss {loss:.3}, accuracy {accuracy:.3}",
                at.epochs
            ));
        }
    }
}
