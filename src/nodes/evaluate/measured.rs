//! What was measured of one classifier.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_learn::evaluation::{Calibration, Confusion, answers, wilson};
use serde_json::{Value, json};

use crate::{
    batch::data::TableWriter,
    report::evaluation::{Mistake, Model},
};

/// A classifier's answers and their measures.
pub struct Measured {
    pub name: String,
    /// The answer to each face.
    pub answers: Vec<usize>,
    pub confusion: Confusion,
    pub calibration: Calibration,
    rows: Vec<usize>,
    truths: Vec<usize>,
    /// Faces x classes.
    probabilities: Vec<f32>,
    classes: usize,
}

/// A face that was taken for another class.
pub struct Wrong {
    pub row: usize,
    pub truth: usize,
    pub answer: usize,
    /// The probability of the wrong answer.
    pub confidence: f32,
}

impl Measured {
    /// Measures the answers to these rows.
    pub fn new(
        name: String,
        truths: &BTreeMap<usize, usize>,
        probabilities: Vec<f32>,
        classes: usize,
    ) -> Self {
        let (rows, truths): (Vec<usize>, Vec<usize>) = truths.iter().unzip();
        let answers = answers(&probabilities, classes);
        let confusion = Confusion::of(&truths, &answers, classes);
        let calibration = Calibration::of(&truths, &probabilities, classes);
        Self { name, answers, confusion, calibration, rows, truths, probabilities, classes }
    }

    /// The wrong answers that it was surest of.
    pub fn worst(&self, most: usize) -> Vec<Wrong> {
        let faces = self.rows.iter().zip(&self.truths).zip(&self.answers);
        let mut wrong: Vec<Wrong> = faces
            .zip(self.probabilities.chunks_exact(self.classes))
            .filter(|(((_, truth), answer), _)| truth != answer)
            .map(|(((row, truth), answer), row_of)| Wrong {
                row: *row,
                truth: *truth,
                answer: *answer,
                confidence: row_of[*answer],
            })
            .collect();
        wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.row.cmp(&b.row)));
        wrong.truncate(most);
        wrong
    }

    fn interval(&self) -> [f64; 2] {
        wilson(self.confusion.right(), self.confusion.total())
    }

    /// All measures.
    pub fn json(&self, classes: &[String]) -> Value {
        let by_class = |values: Vec<Option<f64>>| -> serde_json::Map<String, Value> {
            classes.iter().cloned().zip(values.into_iter().map(Value::from)).collect()
        };
        json!({
            "name": self.name,
            "accuracy": self.confusion.accuracy(),
            "interval": self.interval(),
            "balanced_accuracy": self.confusion.balanced_accuracy(),
            "macro_f1": self.confusion.macro_f1(),
            "calibration_error": self.calibration.error,
            "recall": by_class(self.confusion.recalls()),
            "precision": by_class(self.confusion.precisions()),
            "confusion": self.confusion.counts(),
        })
    }

    /// For the page.
    pub fn shown(&self, mistakes: Vec<Mistake>) -> Model {
        Model {
            name: self.name.clone(),
            accuracy: self.confusion.accuracy(),
            interval: self.interval(),
            balanced_accuracy: self.confusion.balanced_accuracy(),
            macro_f1: self.confusion.macro_f1(),
            recalls: self.confusion.recalls(),
            precisions: self.confusion.precisions(),
            confusion: self.confusion.counts().to_vec(),
            calibration: self.calibration.clone(),
            mistakes,
        }
    }
}

/// A line for each classifier.
pub fn write_table(path: &Path, all: &[Measured], classes: &[String]) -> anyhow::Result<()> {
    let numbers = |of: &dyn Fn(&Measured) -> Option<f64>| {
        Arc::new(all.iter().map(of).collect::<Float64Array>()) as ArrayRef
    };
    let names: StringArray = all.iter().map(|measured| Some(measured.name.as_str())).collect();
    let faces: UInt64Array = all.iter().map(|measured| Some(measured.confusion.total() as u64)).collect();
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("model", DataType::Utf8, false), Arc::new(names)),
        (Field::new("faces", DataType::UInt64, false), Arc::new(faces)),
    ];
    let mut number = |name: String, of: &dyn Fn(&Measured) -> Option<f64>| {
        columns.push((Field::new(name, DataType::Float64, true), numbers(of)));
    };
    number("accuracy".into(), &|measured| Some(measured.confusion.accuracy()));
    number("accuracy_low".into(), &|measured| Some(measured.interval()[0]));
    number("accuracy_high".into(), &|measured| Some(measured.interval()[1]));
    number("balanced_accuracy".into(), &|measured| Some(measured.confusion.balanced_accuracy()));
    number("macro_f1".into(), &|measured| Some(measured.confusion.macro_f1()));
    number("calibration_error".into(), &|measured| Some(measured.calibration.error));
    for (class, name) in classes.iter().enumerate() {
        number(format!("recall_{name}"), &|measured| measured.confusion.recalls()[class]);
        number(format!("precision_{name}"), &|measured| measured.confusion.precisions()[class]);
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let mut writer = TableWriter::create(path, Schema::new(fields))?;
    writer.write(&RecordBatch::try_new(writer.schema(), arrays)?)?;
    writer.finish()
}
