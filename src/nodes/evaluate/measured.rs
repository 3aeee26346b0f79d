//! What was measured of one classifier.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use ferroflow_learn::evaluation::{Calibration, Confusion, Measures, answers};

use crate::batch::data::TableWriter;

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

    /// All measures, for classes of these names.
    pub fn measures(&self, classes: &[String]) -> Measures {
        Measures::of(&self.name, &self.confusion, &self.calibration, classes)
    }
}

/// A line for each classifier.
pub fn write_table(path: &Path, all: &[Measures], classes: &[String]) -> anyhow::Result<()> {
    let numbers = |of: &dyn Fn(&Measures) -> Option<f64>| {
        Arc::new(all.iter().map(of).collect::<Float64Array>()) as ArrayRef
    };
    let names: StringArray = all.iter().map(|measures| Some(measures.name.as_str())).collect();
    let faces: UInt64Array = all.iter().map(|measures| Some(measures.faces() as u64)).collect();
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("model", DataType::Utf8, false), Arc::new(names)),
        (Field::new("faces", DataType::UInt64, false), Arc::new(faces)),
    ];
    let mut number = |name: String, of: &dyn Fn(&Measures) -> Option<f64>| {
        columns.push((Field::new(name, DataType::Float64, true), numbers(of)));
    };
    number("accuracy".into(), &|measures| Some(measures.accuracy));
    number("accuracy_low".into(), &|measures| Some(measures.interval[0]));
    number("accuracy_high".into(), &|measures| Some(measures.interval[1]));
    number("balanced_accuracy".into(), &|measures| Some(measures.balanced_accuracy));
    number("macro_f1".into(), &|measures| Some(measures.macro_f1));
    number("calibration_error".into(), &|measures| Some(measures.calibration_error));
    for name in classes {
        number(format!("recall_{name}"), &|measures| measures.recall.get(name).copied().flatten());
        number(format!("precision_{name}"), &|measures| measures.precision.get(name).copied().flatten());
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let mut writer = TableWriter::create(path, Schema::new(fields))?;
    writer.write(&RecordBatch::try_new(writer.schema(), arrays)?)?;
    writer.finish()
}
