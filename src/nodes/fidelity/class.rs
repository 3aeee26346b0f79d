//! A class of real faces, and what the networks see in them.

use ferroflow_learn::fidelity::Features;

use super::networks::Networks;
use crate::batch::data::Faces;

/// A table of faces in memory.
pub struct Table {
    /// The classes' names.
    pub classes: Vec<String>,
    /// Width and height of each face.
    pub size: (usize, usize),
    pixels: Vec<u8>,
    /// Class and split of each row; nothing for those that do not count.
    labels: Vec<Option<(usize, String)>>,
    numbers: Vec<i64>,
}

impl Table {
    /// Decodes all faces.
    pub fn of(faces: &Faces, workers: usize) -> anyhow::Result<Self> {
        let (width, height, pixels) = faces.gray_pixels(workers)?;
        let counts = faces.dropped()?.into_iter().zip(faces.generated()?);
        let counts = counts.map(|(dropped, is_generated)| dropped.is_none() && !is_generated);
        let labels = faces.labels()?.into_iter().zip(faces.splits()?).zip(counts);
        let labels = labels.map(|((label, split), counts)| Some((label.filter(|_| counts)?, split)));
        Ok(Self {
            classes: faces.classes.clone(),
            size: (width, height),
            pixels,
            labels: labels.collect(),
            numbers: faces.source_rows()?.iter().map(Option::unwrap_or_default).collect(),
        })
    }

    /// Rows of a class in a split that count: not dropped, and not made by a network.
    pub fn rows(&self, class: usize, split: &str) -> Vec<usize> {
        let is_of = |row: &Option<(usize, String)>| {
            row.as_ref().is_some_and(|(label, of)| *label == class && of == split)
        };
        (0..self.labels.len()).filter(|&row| self.labels.get(row).is_some_and(is_of)).collect()
    }

    /// The pixels of these rows, one behind the other.
    pub fn pixels(&self, rows: &[usize]) -> Vec<u8> {
        let size = self.size.0 * self.size.1;
        rows.iter().flat_map(|row| &self.pixels[row * size..(row + 1) * size]).copied().collect()
    }
}

/// Rows of a class.
pub struct Drawn {
    /// The class.
    pub name: String,
    /// Rows that are measured, and those that were trained on, each once and in order.
    pub all: Vec<usize>,
    /// Which of these are measured.
    pub drawn: Vec<usize>,
    /// Which of these were trained on.
    pub training: Vec<usize>,
}

impl Drawn {
    /// Both lists are in order.
    pub fn new(name: &str, drawn: Vec<usize>, training: &[usize]) -> Self {
        let mut all = [&drawn, training].concat();
        all.sort_unstable();
        all.dedup();
        let places = |rows: &[usize]| rows.iter().filter_map(|row| all.binary_search(row).ok()).collect();
        Self { name: name.to_owned(), drawn: places(&drawn), training: places(training), all }
    }
}

/// A class of real faces, and what the networks see in them.
pub struct Class {
    /// Its name.
    pub name: String,
    /// Width and height of each face.
    pub size: (usize, usize),
    /// Which of the faces below are measured.
    pub drawn: Vec<usize>,
    /// Which of them were trained on.
    pub training: Vec<usize>,
    /// Numbers of the faces in their source.
    pub numbers: Vec<i64>,
    /// Faces x height x width.
    pub pixels: Vec<u8>,
    /// Faces x dimensions.
    pub features: Vec<f32>,
    /// Features of a face.
    pub dimensions: usize,
    /// What the classifier says of each that is measured.
    pub called: Vec<String>,
}

impl Class {
    /// Looks at the faces.
    pub fn look(rows: Drawn, table: &Table, networks: &mut Networks) -> anyhow::Result<Self> {
        let Drawn { name, all, drawn, training } = rows;
        let pixels = table.pixels(&all);
        let features = networks.features(&pixels)?;
        let mut class = Self {
            name,
            size: table.size,
            drawn,
            training,
            numbers: all.iter().filter_map(|row| table.numbers.get(*row).copied()).collect(),
            pixels,
            features,
            dimensions: networks.dimensions(),
            called: Vec::new(),
        };
        class.called = networks.classes(&class.drawn_pixels())?;
        Ok(class)
    }

    /// The faces that are measured.
    pub fn drawn_pixels(&self) -> Vec<u8> {
        self.pixels_of(&self.drawn)
    }

    /// Some of the faces, one behind the other.
    pub fn pixels_of(&self, faces: &[usize]) -> Vec<u8> {
        let size = self.size.0 * self.size.1;
        faces.iter().flat_map(|face| &self.pixels[face * size..(face + 1) * size]).copied().collect()
    }

    /// The features of all faces.
    pub fn features(&self) -> Features<'_> {
        Features { values: &self.features, dimensions: self.dimensions }
    }
}
