//! Finds pictures that show no usable face.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use arrow_array::{
    ArrayRef,
    builder::{Float32Builder, StringBuilder},
};
use arrow_schema::{DataType, Field};
use ferroflow_vision::{
    detect::DetectorKind,
    faceness::{Checker, Evidence, Settings, Thresholds},
    inference::Device,
    model::ModelFile,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::device::{self, WorkerSessions};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::{Reason, decode_all, dropped_columns},
        },
        flow,
    },
    graph::dag::{Port, PortType},
};

/// The column with why a picture is no usable face; null where it is one.
pub const VERDICT: &str = "face_verdict";

/// Finds pictures without a usable face, and says why: `constant`, `text`, `no-face`, `misplaced` (the crop
/// is not of the face in it), `tilted`, `profile`.
///
/// Each picture is padded, enlarged, and shown to one detector after the other until one finds a usable face.
/// Every row gets the reason in `face_verdict` and the number behind it in `face_score`, beside what was
/// measured: `face_contrast`, `face_text`, `face_profile`, each detector's confidence, and fit, roll and yaw
/// of the surest face. Rows with a reason are dropped; nothing is deleted. The defaults are explained, with
/// what each threshold trades, in `benches/results/2026-11-25-faceness.md`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DropNonFaces {
    /// Detectors in the order in which they are asked: yunet, scrfd, mtcnn, ssd, haar. One that finds a
    /// usable face is enough.
    #[serde(default = "detectors")]
    detectors: Vec<String>,
    /// Factor on the least confidence of each detector: 2 asks for twice as sure a face, 0 takes any.
    #[serde(default = "one")]
    strictness: f32,
    /// Least intersection over union of the face with where the crop should show it, 0 to 1.
    #[serde(default = "fit")]
    fit: f32,
    /// Greatest slope of the eyes in degrees, either way.
    #[serde(default = "roll")]
    roll: f32,
    /// Greatest turn of the head: how far the nose stands beside the middle, as a share of the distance from
    /// eyes to mouth.
    #[serde(default = "yaw")]
    yaw: f32,
    /// Least standard deviation of the gray levels, 0 to 127.5.
    #[serde(default = "contrast")]
    contrast: f32,
    /// Likeness to writing from which a picture without a usable face is called text, 0 to 1.
    #[serde(default = "text")]
    text: f32,
    /// Where detectors run: cpu, cuda, cuda:N or auto. With auto, which takes CUDA where there is one, a result may
    /// differ in its last digits from one machine to the other.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
    /// Ask the profile cascade about pictures in which no detector finds a face. It only tells their reasons apart.
    #[serde(default = "yes")]
    profile_cascade: bool,
}

fn detectors() -> Vec<String> {
    Settings::default().detectors.iter().map(|kind| kind.name().to_owned()).collect()
}

fn one() -> f32 {
    1.0
}

fn fit() -> f32 {
    Thresholds::default().fit
}

fn roll() -> f32 {
    Thresholds::default().roll
}

fn yaw() -> f32 {
    Thresholds::default().yaw
}

fn contrast() -> f32 {
    Thresholds::default().contrast
}

fn text() -> f32 {
    Thresholds::default().text
}

fn yes() -> bool {
    true
}

impl Stage for DropNonFaces {
    const NAME: &'static str = "drop-non-faces";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::faces("What is looked at.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        let settings = self.settings().map_err(|error| format!("`detectors`: {error}"))?;
        if !(self.strictness.is_finite() && self.strictness >= 0.0) {
            return Err(format!("`strictness` is {}, and must be 0 or more", self.strictness));
        }
        settings.validate().map_err(|error| error.to_string())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Checker::models(&self.settings()?)?.iter().flat_map(ModelFile::files).collect())
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(400 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let settings = self.settings()?;
        let sessions = WorkerSessions::new(Self::NAME, self.device);
        let mut columns = Columns::new(&settings);
        let mut decisions = Vec::with_capacity(faces.table.rows());
        context.progress.begin(faces.table.rows(), "pictures");
        let open = || Ok(Checker::open(&settings, &sessions.next())?);
        let check = |checker: &mut Checker, (first, images)| {
            let look = |(row, picture): (usize, crate::batch::data::picture::Gray)| {
                let evidence = checker.check(&picture.pixels, picture.width, picture.height);
                evidence.with_context(|| format!("the picture of row {row}"))
            };
            decode_all(first, &images)?.into_iter().map(look).collect::<anyhow::Result<Vec<_>>>()
        };
        flow::in_order(faces.images()?, context.workers, open, check, |piece: Vec<Evidence>| {
            context.check()?;
            context.progress.advance(piece.len());
            for evidence in piece {
                let decision = evidence.decide(&settings.thresholds);
                columns.add(&evidence, decision.map(|(reason, score)| (reason.name(), score)));
                decisions.push(decision.map(|(reason, score)| (Reason::NonFace(reason), score)));
            }
            Ok(())
        })?;
        let mut by_reason = serde_json::Map::new();
        for (reason, _) in decisions.iter().flatten() {
            let count = by_reason.get(reason.name()).and_then(serde_json::Value::as_u64).unwrap_or(0);
            by_reason.insert(reason.name().to_owned(), (count + 1).into());
        }
        let before = faces.dropped()?;
        let dropped =
            decisions.iter().zip(&before).filter(|(now, before)| now.is_some() && before.is_none()).count();
        let mut all = dropped_columns(&faces, Self::NAME, &decisions)?;
        all.extend(columns.finish());
        faces.table.write_with(&context.table(), &all)?;
        let facts = Facts::default().with("rows", decisions.len()).with("dropped", dropped);
        Ok(facts.with("by_reason_duplicates_included", by_reason))
    }
}

impl DropNonFaces {
    fn settings(&self) -> anyhow::Result<Settings> {
        let kinds = self.detectors.iter().map(|name| name.parse::<DetectorKind>());
        let mut thresholds = Thresholds {
            contrast: self.contrast,
            text: self.text,
            fit: self.fit,
            roll: self.roll,
            yaw: self.yaw,
            ..Thresholds::default()
        };
        let confidence = &mut thresholds.confidence;
        for least in [
            &mut confidence.haar,
            &mut confidence.ssd,
            &mut confidence.mtcnn,
            &mut confidence.scrfd,
            &mut confidence.yunet,
        ] {
            *least *= self.strictness;
        }
        Ok(Settings {
            detectors: kinds.collect::<Result<_, _>>()?,
            profile_cascade: self.profile_cascade,
            thresholds,
            ..Settings::default()
        })
    }
}

/// What was measured of each picture.
struct Columns {
    detectors: Vec<(DetectorKind, Float32Builder)>,
    verdict: StringBuilder,
    /// Score, contrast, text, profile, fit, roll, yaw.
    numbers: [(&'static str, Float32Builder); 7],
}

impl Columns {
    fn new(settings: &Settings) -> Self {
        let names = ["score", "contrast", "text", "profile", "fit", "roll", "yaw"];
        Self {
            detectors: settings.detectors.iter().map(|&kind| (kind, Float32Builder::new())).collect(),
            verdict: StringBuilder::new(),
            numbers: names.map(|name| (name, Float32Builder::new())),
        }
    }

    fn add(&mut self, evidence: &Evidence, decision: Option<(&str, f32)>) {
        self.verdict.append_option(decision.map(|(reason, _)| reason));
        for (kind, column) in &mut self.detectors {
            column.append_option(evidence.of(*kind).map(|found| found.confidence));
        }
        let surest = evidence.found().max_by(|(_, a), (_, b)| a.confidence.total_cmp(&b.confidence));
        let surest = surest.map(|(_, found)| found).filter(|found| found.confidence > 0.0);
        let values = [
            decision.map(|(_, score)| score),
            Some(evidence.contrast),
            evidence.text,
            evidence.profile,
            surest.map(|found| found.fit),
            surest.and_then(|found| found.roll),
            surest.and_then(|found| found.yaw),
        ];
        self.numbers.iter_mut().zip(values).for_each(|((_, column), value)| column.append_option(value));
    }

    fn finish(&mut self) -> Vec<(Field, ArrayRef)> {
        let float = |name: &str, column: &mut Float32Builder| {
            let field = Field::new(format!("face_{name}"), DataType::Float32, true);
            (field, Arc::new(column.finish()) as ArrayRef)
        };
        let verdict = Arc::new(self.verdict.finish()) as ArrayRef;
        let mut columns = vec![(Field::new(VERDICT, DataType::Utf8, true), verdict)];
        columns.extend(self.detectors.iter_mut().map(|(kind, column)| float(kind.name(), column)));
        columns.extend(self.numbers.iter_mut().map(|(name, column)| float(name, column)));
        columns
    }
}
