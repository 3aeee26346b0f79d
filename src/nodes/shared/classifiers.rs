//! Classifiers that are asked about the faces of a table: models of the manifest, files, and what `train` has made.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use arrow_array::{Array as _, BinaryArray};
use ferroflow_vision::{
    expression::ExpressionClassifier,
    frame::Frame,
    inference::Device,
    model::{ModelFile, resolve_model},
};

use super::device::WorkerSessions;
use crate::{
    batch::{
        Context,
        data::{Faces, faces::decode},
        flow,
    },
    nodes::train::ONNX,
};

/// A classifier, under the name that tables give it.
pub struct NamedClassifier {
    /// Its name.
    pub name: String,
    model: ModelFile,
    device: Device,
    mirrored: bool,
    /// Where the answer for each class of the table stands in the classifier's.
    order: Vec<usize>,
}

/// The files of named classifiers, their cards among them: what a result depends on besides its inputs.
pub fn files(names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in names {
        files.extend(resolve_model(name)?.files());
    }
    Ok(files)
}

/// The classifiers that come in at `port`, then those with these names. There must be one at least, and no
/// two of one name.
pub fn open(
    port: &str,
    names: &[String],
    classes: &[String],
    device: Device,
    context: &Context,
) -> anyhow::Result<Vec<NamedClassifier>> {
    let mut classifiers: Vec<NamedClassifier> = Vec::new();
    for input in context.inputs.iter().filter(|input| input.port == port) {
        let path = input.folder.join(ONNX);
        if !path.is_file() {
            bail!("`{port}` is no result of `train`: `{}` makes no {ONNX}", input.kind);
        }
        let facts = input.facts()?;
        let name = facts.0.get("name").and_then(serde_json::Value::as_str).unwrap_or(input.kind);
        let model = resolve_model(&path.to_string_lossy())?;
        classifiers.push(NamedClassifier::new(name.to_owned(), model, classes, device)?);
    }
    let models = names.iter().map(|name| resolve_model(name)).collect::<Result<Vec<_>, _>>()?;
    for (model, given) in models.iter().zip(names) {
        // All that `train` makes is called `classifier.onnx`: where names are the same, paths tell.
        let is_taken = classifiers.iter().any(|classifier| classifier.name == model.name)
            || models.iter().filter(|other| other.name == model.name).count() > 1;
        let name = if is_taken { given.trim_end_matches(".onnx") } else { &model.name };
        classifiers.push(NamedClassifier::new(name.to_owned(), model.clone(), classes, device)?);
    }
    if classifiers.is_empty() {
        bail!(
            "there is no classifier to ask: connect a result of `train`, `finetune` or `quantize` to `{port}`, or name one in `classifiers`"
        );
    }
    for (at, classifier) in classifiers.iter().enumerate() {
        if classifiers.iter().take(at).any(|other| other.name == classifier.name) {
            bail!(
                "two classifiers are called `{}`: give each `train`, `finetune` or `quantize` a `name` of its own, and name no classifier twice",
                classifier.name
            );
        }
    }
    Ok(classifiers)
}

/// The only classifier: what comes in at `port`, or the one of this name.
pub fn one(
    port: &str,
    name: Option<&str>,
    classes: &[String],
    device: Device,
    context: &Context,
) -> anyhow::Result<NamedClassifier> {
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    let comes_in = context.inputs.iter().any(|input| input.port == port);
    if comes_in == name.is_some() {
        bail!(
            "one classifier is needed: connect a result of `train`, `finetune` or `quantize` to `{port}`, or name one in `classifier`"
        );
    }
    let mut classifiers = open(port, &names, classes, device, context)?;
    classifiers.pop().context("a bug: there is no classifier")
}

impl NamedClassifier {
    /// The classifier in a file, under this name.
    pub fn of_file(name: &str, path: &Path, classes: &[String], device: Device) -> anyhow::Result<Self> {
        Self::new(name.to_owned(), resolve_model(&path.to_string_lossy())?, classes, device)
    }

    /// Its file and card.
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    fn new(name: String, model: ModelFile, classes: &[String], device: Device) -> anyhow::Result<Self> {
        let labels = &model.card()?.labels;
        if labels.is_empty() {
            bail!("`{name}` is no classifier: it names no classes");
        }
        let place = |class: &String| labels.iter().position(|label| label == class);
        let order: Option<Vec<usize>> = classes.iter().map(place).collect();
        let order = order.filter(|_| labels.len() == classes.len()).with_context(|| {
            let (labels, classes) = (labels.join(", "), classes.join(", "));
            format!("the classifier `{name}` tells {labels}, and the table has {classes}: both must have the same classes")
        })?;
        Ok(Self { name, model, device, mirrored: false, order })
    }

    /// Has it look at each face's mirror image too, and answer the mean of both.
    pub fn with_mirrored(self, mirrored: bool) -> Self {
        Self { mirrored, ..self }
    }

    /// Probabilities (table rows x classes) of the rows of `faces` that are `wanted`; zeros for the others. A picture
    /// is shown whole, as it is: it is a face cut out already.
    pub fn probabilities(
        &self,
        faces: &Faces,
        wanted: &(dyn Fn(usize) -> bool + Sync),
        context: &Context,
    ) -> anyhow::Result<Vec<f32>> {
        let classes = faces.classes.len();
        let sessions = WorkerSessions::new("classifier", self.device);
        let mut all = Vec::with_capacity(faces.table.rows() * classes);
        let open = || {
            let classifier = ExpressionClassifier::open(&self.model, &sessions.next(), BATCH)?;
            Ok(classifier.with_mirrored(self.mirrored))
        };
        let ask = |classifier: &mut ExpressionClassifier, (first, images): (usize, BinaryArray)| {
            let pictures = decode(first, &images, wanted)?;
            let mut frames = Vec::with_capacity(pictures.len());
            for (row, picture) in &pictures {
                let frame = Frame::gray(&picture.pixels, picture.width, picture.height);
                frames.push(frame.with_context(|| format!("the picture of row {row}"))?);
            }
            let mut emotions = Vec::with_capacity(frames.len());
            classifier.classify_pictures(&frames, &mut emotions)?;
            let mut answers = vec![0.0; images.len() * classes];
            for ((row, _), emotion) in pictures.iter().zip(emotions) {
                let place = row - first;
                let answer = &mut answers[place * classes..(place + 1) * classes];
                answer.iter_mut().zip(&self.order).for_each(|(value, at)| *value = emotion.scores[*at]);
            }
            Ok(answers)
        };
        flow::in_order(faces.images()?, context.workers, open, ask, |answers: Vec<f32>| {
            context.check()?;
            context.progress.advance(answers.len() / classes);
            all.extend(answers);
            Ok(())
        })
        .with_context(|| format!("the classifier `{}`", self.name))?;
        Ok(all)
    }
}

/// Faces in one run of a network.
const BATCH: usize = 32;
