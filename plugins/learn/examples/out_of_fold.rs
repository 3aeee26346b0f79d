//! Out-of-fold probabilities of FER2013's csv, as raw little-endian f32 (rows x 7), and beside them, as csv,
//! what each label should be: `out_of_fold fer2013.csv.gz checkpoints/ out.f32 workers [settings.json]`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ferroflow_learn::cross_validation::{Progress, Rows, Settings, out_of_fold};
use ferroflow_learn::label_quality::{Judged, posterior};
use ferroflow_learn::{Device, Faces, Run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, csv, checkpoints, out, workers, rest @ ..] = arguments.as_slice() else {
        return Err("usage: out_of_fold fer2013.csv.gz checkpoints/ out.f32 workers [settings.json]".into());
    };
    let settings: Settings = match rest.first() {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => Settings::default(),
    };
    let (mut labels, mut pixels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut known = HashMap::new();
    let file = BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(csv)?));
    for line in file.lines().skip(1) {
        let line = line?;
        let mut fields = line.split(',');
        labels.push(fields.next().ok_or("no label")?.parse::<u8>()?);
        let face: Result<Vec<u8>, _> = fields.next().ok_or("no pixels")?.split(' ').map(str::parse).collect();
        let face = face?;
        let group = known.len() as u32;
        groups.push(*known.entry(blake3::hash(&face)).or_insert(group));
        pixels.extend(face);
    }
    println!("{} rows, {} distinct; {settings:?}", labels.len(), known.len());
    let start = Instant::now();
    let progress = |Progress { fold, training: at, .. }: Progress| {
        if at.step == at.steps || (at.epoch == 0 && at.step.is_multiple_of(50)) {
            let seconds = start.elapsed().as_secs_f32();
            println!(
                "{seconds:7.1} s  fold {fold} epoch {:2} step {:4}/{}  loss {:.4}  accuracy {:.4}",
                at.epoch, at.step, at.steps, at.loss, at.accuracy
            );
        }
    };
    let faces = Faces { pixels: &pixels, width: 48, height: 48 };
    let teaches = vec![true; labels.len()];
    let rows = Rows { faces, labels: &labels, classes: 7, groups: &groups, teaches: &teaches };
    let cancelled = AtomicBool::new(false);
    let run = Run {
        device: Device::Cpu,
        checkpoints: Path::new(checkpoints),
        workers: workers.parse()?,
        cancelled: &cancelled,
    };
    let probabilities = out_of_fold(rows, &settings, &run, &progress)?;
    let bytes: Vec<u8> = probabilities.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(out, bytes)?;
    let judged = Judged::new(&labels, &probabilities, 7)?;
    let found = posterior(&judged, &judged);
    let mut csv = String::from("row,original_label,label,label_quality\n");
    for (row, given) in labels.iter().enumerate() {
        csv += &format!("{row},{given},{},{}\n", found.labels[row], found.label_quality[row]);
    }
    std::fs::write(format!("{out}.csv"), csv)?;
    println!("{:.1} s in all", start.elapsed().as_secs_f32());
    Ok(())
}
