//! A small FER2013 made of the demo's faces: the same layout, with duplicates, leaks, conflicts, non-faces
//! and wrong labels.

use std::{fmt::Write, fs, path::Path};

use ferroflow_vision::{
    align::{Alignment, Crop},
    detect::{self, DetectorConfig, DetectorKind},
    frame::Frame,
    sample::{ImageSpec, Sampler},
};

use super::asset;

/// Pixels of a side.
pub const SIDE: usize = 48;

/// A node that reads what [`write`] wrote.
pub const SOURCE: &str = "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n";

/// A row of the csv.
#[derive(Clone, Debug)]
pub struct Row {
    pub label: usize,
    pub pixels: Vec<u8>,
    pub usage: &'static str,
}

/// So many rows of real faces, each a little different; three different rows of every four are trained on.
pub fn rows(count: usize) -> Vec<Row> {
    let sheet = image::open(asset("expressions.jpg")).unwrap().into_luma8();
    let (width, height) = (sheet.width() as usize, sheet.height() as usize);
    let frame = Frame::gray(&sheet, width, height).unwrap();
    let config = DetectorConfig { input_size: 0, ..DetectorConfig::new(DetectorKind::YuNet) };
    let mut faces = Vec::new();
    detect::open(&config).unwrap().detect(&frame, &mut faces).unwrap();
    assert!(faces.len() >= 7, "{} faces", faces.len());
    let mut sampler = Sampler::default();
    let mut row = |at: usize| {
        let mut face = faces[at % faces.len()].clone();
        let step = face.box_in_frame.width / 48.0;
        face.box_in_frame.x += ((at * 7) % 5) as f32 * step - 2.0 * step;
        face.box_in_frame.y += ((at * 3) % 5) as f32 * step - 2.0 * step;
        let spec = ImageSpec::gray(SIDE, SIDE);
        let mut values = vec![0.0; spec.len()];
        sampler.sample_crop(&frame, &Crop::of(&face, Alignment::None, 0.0), &spec, &mut values);
        let gain = 0.8 + (at % 9) as f32 * 0.05;
        let pixels = values.iter().map(|value| (value * gain).clamp(0.0, 255.0) as u8).collect();
        Row { label: at % faces.len() % 7, pixels, usage: "Training" }
    };
    let mut rows: Vec<Row> = (0..count).map(&mut row).collect();
    for (at, row) in rows.iter_mut().enumerate() {
        row.usage = ["Training", "Training", "PublicTest", "Training", "PrivateTest"][at % 5];
    }
    rows
}

/// The same with what is wrong in the real one: a plain duplicate, one across splits, one with another label, two
/// black pictures, and a wrong label.
pub fn dirty(count: usize) -> Vec<Row> {
    let mut rows = rows(count);
    let copy = |from: usize, rows: &mut Vec<Row>, label: usize, usage: &'static str| {
        let row = Row { label, usage, ..rows[from].clone() };
        rows.push(row);
    };
    let (label, other) = (rows[0].label, (rows[1].label + 1) % 7);
    copy(0, &mut rows, label, "Training");
    let leaked = rows[2].label;
    copy(2, &mut rows, leaked, "Training");
    copy(1, &mut rows, other, "Training");
    let black = Row { label: 0, pixels: vec![0; SIDE * SIDE], usage: "Training" };
    rows.extend([black.clone(), black]);
    rows[3].label = (rows[3].label + 3) % 7;
    rows
}

/// The csv as Kaggle writes it.
pub fn csv(rows: &[Row]) -> String {
    let mut text = "emotion,pixels,Usage\n".to_owned();
    for row in rows {
        let pixels: Vec<_> = row.pixels.iter().map(ToString::to_string).collect();
        writeln!(text, "{},{},{}", row.label, pixels.join(" "), row.usage).unwrap();
    }
    text
}

/// Votes as FER+ writes them: nine of ten for what each face was made with, all for not a face where it is black.
pub fn votes(rows: &[Row], truth: impl Fn(usize) -> usize) -> String {
    let mut text =
        "Row,Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
            .to_owned();
    // Columns of the file for FER2013's classes.
    const PLACES: [usize; 7] = [4, 5, 6, 1, 3, 2, 0];
    for (at, row) in rows.iter().enumerate() {
        let mut counts = [0; 10];
        if row.pixels.iter().all(|pixel| *pixel == 0) {
            counts[9] = 10;
        } else {
            counts[PLACES[truth(at)]] = 9;
            counts[8] = 1;
        }
        let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
        writeln!(text, "{at},{},fer{at:07}.png,{}", row.usage, counts.join(",")).unwrap();
    }
    text
}

/// Writes `fer2013.csv` and `votes.csv` into a folder.
pub fn write(folder: &Path, rows: &[Row]) {
    fs::write(folder.join("fer2013.csv"), csv(rows)).unwrap();
    fs::write(folder.join("votes.csv"), votes(rows, |at| rows[at].label)).unwrap();
}
