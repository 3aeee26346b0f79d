//! Asks classifiers about faces.

use std::{path::PathBuf, sync::Arc};

use arrow_array::{
    ArrayRef,
    builder::{Float32Builder, ListBuilder},
};
use arrow_schema::{DataType, Field};
use ferroflow_vision::inference::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::{classifiers, device};
use crate::{
    batch::{
        Context, Facts, Needs, Stage,
        data::{Faces, columns::PROBABILITIES},
    },
    graph::dag::{Arity, Port, PortType},
};

/// Gives each row the probabilities that classifiers see in it: the mean over all of them, in the column
/// `probabilities`.
///
/// With `train` and its `soft-labels` after it, the classifiers are the teachers of a new one: a slow accurate model,
/// or several, teach a fast one (Hinton et al. 2015). Rows that were dropped are not asked about, and get null. A
/// classifier must tell the table's classes, in any order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Predict {
    /// Classifiers by name or file, besides those that come in at `models`.
    #[serde(default)]
    classifiers: Vec<String>,
    /// Above 1, probabilities are evened out before the mean, so that the lesser ones teach more: their
    /// logarithms are divided by this.
    #[serde(default = "one")]
    temperature: f32,
    /// Look at the mirror image of each face too and take the mean of both, at twice the time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    mirrored: bool,
    /// Where the networks run: cpu, cuda, cuda:N or auto.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
}

fn one() -> f32 {
    1.0
}

impl Stage for Predict {
    const NAME: &'static str = "predict";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        Port::faces("Faces to be asked about."),
        Port {
            name: "models",
            accepts: PortType::Model,
            arity: Arity::Any,
            doc: "Classifiers of `train`, `finetune` or `quantize`.",
        },
    ];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(format!("`temperature` is {}, and must be above 0", self.temperature));
        }
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        classifiers::files(&self.classifiers)
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(256 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (classes, dropped) = (faces.classes.len(), faces.dropped()?);
        let classifiers =
            classifiers::open("models", &self.classifiers, &faces.classes, self.device, context)?;
        let classifiers: Vec<_> =
            classifiers.into_iter().map(|classifier| classifier.with_mirrored(self.mirrored)).collect();
        context.progress.begin(classifiers.len() * faces.table.rows(), "faces");
        let mut mean = vec![0.0f32; faces.table.rows() * classes];
        for classifier in &classifiers {
            let mut answers = classifier.probabilities(&faces, &|row| dropped[row].is_none(), context)?;
            answers.chunks_exact_mut(classes).for_each(|row| even_out(row, self.temperature));
            let part = 1.0 / classifiers.len() as f32;
            mean.iter_mut().zip(&answers).for_each(|(mean, answer)| *mean += part * answer);
        }
        let item = Field::new("item", DataType::Float32, true);
        let mut lists = ListBuilder::new(Float32Builder::new()).with_field(item.clone());
        for (dropped, row) in dropped.iter().zip(mean.chunks_exact(classes)) {
            lists.append_option(dropped.is_none().then(|| row.iter().copied().map(Some)));
        }
        let field = Field::new(PROBABILITIES, DataType::List(Arc::new(item)), true);
        faces.table.write_with(&context.table(), &[(field, Arc::new(lists.finish()) as ArrayRef)])?;
        let asked = dropped.iter().filter(|dropped| dropped.is_none()).count();
        let names: Vec<String> = classifiers.into_iter().map(|classifier| classifier.name).collect();
        Ok(Facts::default().with("rows", dropped.len()).with("asked", asked).with("classifiers", names))
    }
}

/// Divides the logarithms of probabilities by a temperature. Zeros, of rows that were not asked about, stay.
fn even_out(row: &mut [f32], temperature: f32) {
    // By the greatest first: powers of small numbers may be nothing at all.
    let greatest = row.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    row.iter_mut().for_each(|value| *value = (*value / greatest).powf(1.0 / temperature));
    let sum: f32 = row.iter().sum();
    if sum > 0.0 {
        row.iter_mut().for_each(|value| *value /= sum);
    }
}
