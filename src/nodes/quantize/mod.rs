//! Makes a classifier one of fewer bits.

mod calibrate;
mod histogram;
mod speed;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use ferroflow_learn::evaluation::{Confusion, McNemar, answers};
use ferroflow_onnx::precision::{Converted, Precision};
use ferroflow_vision::{
    inference::Device,
    model::{card, onnxruntime_library},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::classifiers::{self, NamedClassifier};
use super::train::ONNX;
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::{check_splits, test, train},
        },
    },
    graph::dag::{Arity, Port, PortType},
};

/// Makes a classifier one of fewer bits, and says what that costs: a file of half or a quarter of the size with the
/// same input, answer and card, for whatever took the classifier before.
///
/// With `fp16`, weights and arithmetic have half precision from the first convolution or dense layer on. That halves
/// the file. ONNX Runtime computes in single precision on the CPU all the same, so that there it saves size and no
/// time, and loses only what rounding the weights costs; devices with arithmetic of 16 bits use it. With `int8`,
/// convolutions and dense layers are computed in whole numbers (static quantisation, weights by output,
/// activations by tensor), which saves size, and time where convolutions are wide; separable ones of few
/// channels, such as mini-xception's, take longer than before. What their values are between is measured on
/// `calibration-faces` faces.
///
/// The result holds `classifier.onnx`; accuracy before and after on `split`, the share of faces whose answer changed,
/// McNemar's exact test and bytes before and after are in its facts, milliseconds a face in `times.json`: on the CPU
/// with one thread, faces one by one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quantize {
    /// A classifier by name or file, unless one comes in at `model`.
    #[serde(default)]
    classifier: Option<String>,
    /// What the network computes in.
    precision: Bits,
    /// What the new classifier is called, in tables; unless given, the old one's name with the precision behind it.
    #[serde(default)]
    name: Option<String>,
    /// The split whose faces say what values inside the network are between.
    #[serde(default = "train")]
    calibration: String,
    /// How many of these faces are taken, at random; all where there are fewer.
    #[serde(default = "calibration_faces")]
    calibration_faces: usize,
    /// The percent of a tensor's values that are told apart, the others being cut to the nearest of these; 100 cuts
    /// none. Above 50, and 100 at most.
    #[serde(default = "percentile")]
    percentile: f64,
    /// Whether weights have seven bits with `int8`: x86 processors with AVX2 or AVX-512 and without VNNI add products
    /// in 16 bits, which eight bits can overflow.
    #[serde(default)]
    reduce_range: bool,
    /// The split on which the loss of accuracy is measured.
    #[serde(default = "test")]
    split: String,
    /// Another seed calibrates on other faces.
    #[serde(default)]
    seed: u64,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// What a network computes in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Bits {
    /// Floats of 16 bits.
    Fp16,
    /// Whole numbers of 8 bits.
    Int8,
}

impl Bits {
    const fn name(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

fn calibration_faces() -> usize {
    500
}

/// What changed the fewest answers of two networks on FER2013's validation split
/// (`benches/results/2026-11-25-precision.md`).
fn percentile() -> f64 {
    99.999
}

impl Stage for Quantize {
    const NAME: &'static str = "quantize";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[
        Port::faces("Faces with labels, to calibrate on and to judge by."),
        Port {
            name: "model",
            accepts: PortType::Model,
            arity: Arity::Optional,
            doc: "A classifier of `train` or `finetune`.",
        },
    ];
    const OUTPUT: PortType = PortType::Model;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        if self.calibration_faces == 0 {
            return Err("`calibration-faces` is 0, and must be above".to_owned());
        }
        if !(self.percentile > 50.0 && self.percentile <= 100.0) {
            return Err(format!("`percentile` is {}, and must be above 50 and 100 at most", self.percentile));
        }
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        classifiers::files(self.classifier.as_slice())
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        Needs::all_cores(256 << 20)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        onnxruntime_library()?;
        let faces = Faces::of(context.input("input")?.table()?)?;
        let classes = &faces.classes;
        let before = classifiers::one("model", self.classifier.as_deref(), classes, Device::Cpu, context)?;
        let judged = self.judged(&faces)?;
        let calibrated = calibrate::draw(
            &faces,
            rows_of(&faces, "calibration", &self.calibration)?,
            self.calibration_faces,
            self.seed,
        )?;
        let file = fs::read(&before.model().path)
            .with_context(|| format!("{} cannot be read", before.model().path.display()))?;
        let precision = self.precision();
        let convert = || {
            // Backbones that go round are older than what layers of whole numbers need.
            let newer = ferroflow_onnx::upgraded(&file)?;
            let file = newer.as_deref().unwrap_or(&file);
            let ranges =
                calibrate::ranges(before.model(), file, precision, self.percentile, &calibrated, context)?;
            let card = toml::to_string(before.model().card()?)?;
            Ok(precision.convert(file, &ranges, &[(card::METADATA, card)])?)
        };
        let converted: anyhow::Result<Converted> = convert();
        let converted = converted.with_context(|| format!("the classifier `{}`", before.name))?;
        let path = context.out.join(ONNX);
        atomic::write(&path, &converted.file)?;
        let name = self.name.clone().unwrap_or_else(|| format!("{}-{}", before.name, self.precision.name()));
        let after = NamedClassifier::of_file(&name, &path, classes, Device::Cpu)?;
        let times = speed::milliseconds(before.model(), after.model(), &calibrated, context)?;
        speed::write(&context.out, times)?;
        tracing::info!("{name}: {:.3} ms a face, {} {:.3}", times[1], before.name, times[0]);
        let compared = compare(&faces, &judged, [&before, &after], context)?;
        let facts = Facts::default()
            .with("name", name)
            .with("classes", classes.clone())
            .with("of", before.name)
            .with("precision", self.precision.name())
            .with("layers", converted.layers)
            .with("layers_left", converted.left)
            .with("calibration_faces", calibrated.len())
            .with("bytes_before", file.len())
            .with("bytes", converted.file.len())
            .with("split", self.split.clone());
        Ok(Facts(facts.0.into_iter().chain(compared.0).collect()))
    }
}

impl Quantize {
    const fn precision(&self) -> Precision {
        match self.precision {
            Bits::Fp16 => Precision::Half,
            Bits::Int8 => Precision::Int8 { reduce_range: self.reduce_range },
        }
    }

    /// The rows that are judged, each with its class.
    fn judged(&self, faces: &Faces) -> anyhow::Result<Vec<(usize, usize)>> {
        let labels = faces.labels()?;
        let rows = rows_of(faces, "split", &self.split)?;
        let judged: Vec<_> = rows.into_iter().filter_map(|row| Some((row, labels[row]?))).collect();
        if judged.is_empty() {
            bail!(
                "no row of the split `{}` has a label, which is needed to tell the loss of accuracy",
                self.split
            );
        }
        Ok(judged)
    }
}

/// The rows of a split that were not dropped.
fn rows_of(faces: &Faces, parameter: &str, split: &str) -> anyhow::Result<Vec<usize>> {
    let rows = faces.rows_of(split)?;
    if rows.is_empty() {
        check_splits(&[split.to_owned()], &faces.splits()?).with_context(|| format!("`{parameter}`"))?;
        bail!("`{parameter}`: all rows of the split `{split}` were dropped");
    }
    Ok(rows)
}

/// How the answers of two classifiers differ.
fn compare(
    faces: &Faces,
    judged: &[(usize, usize)],
    classifiers: [&NamedClassifier; 2],
    context: &Context,
) -> anyhow::Result<Facts> {
    let classes = faces.classes.len();
    let (rows, truths): (Vec<usize>, Vec<usize>) = judged.iter().copied().unzip();
    let mut given = Vec::with_capacity(classifiers.len());
    context.progress.begin(classifiers.len() * faces.table.rows(), "faces");
    for classifier in classifiers {
        let all = classifier.probabilities(faces, &|row| rows.binary_search(&row).is_ok(), context)?;
        let of = rows.iter().flat_map(|row| all.get(row * classes..(row + 1) * classes)).flatten();
        given.push(answers(&of.copied().collect::<Vec<f32>>(), classes));
    }
    let [before, after] = given.as_slice() else { bail!("a bug: two classifiers were asked") };
    let accuracy = |answers: &[usize]| Confusion::of(&truths, answers, classes).accuracy();
    let changed = before.iter().zip(after).filter(|(before, after)| before != after).count();
    let McNemar { only_first, only_second, p } = McNemar::of(&truths, before, after);
    Ok(Facts::default()
        .with("faces", truths.len())
        .with("accuracy_before", accuracy(before))
        .with("accuracy", accuracy(after))
        .with("changed", changed as f64 / truths.len() as f64)
        .with("only_before_right", only_first)
        .with("only_after_right", only_second)
        .with("mcnemar_p", p))
}
