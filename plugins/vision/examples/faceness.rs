//! Looks at every picture of FER2013, writes what it saw as a table, and judges the verdicts with FER+'s votes.
//!
//! `cargo run --release -p ferroflow-vision --example faceness -- out.csv [threads] [exhaustive]`
//!
//! Reads `fer2013/fer2013.csv.gz` and `ferplus/fer2013new.csv` in the folder that `FERROFLOW_DATA` names (default
//! `../shared/data`).

use std::{
    collections::HashMap,
    error::Error,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use ferroflow_vision::{
    detect::{DetectError, DetectorKind},
    faceness::{Checker, Evidence, Reason, Settings},
    inference::{Device, SessionOptions},
};
use flate2::read::GzDecoder;

/// Sides of a picture in pixels.
const SIDE: usize = 48;

/// Votes from which FER+ is taken to call a picture not a face, of ten.
const MANY_VOTES: u32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let table = arguments.next().ok_or("usage: faceness OUT.csv [THREADS] [exhaustive]")?;
    let threads: usize = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let settings =
        Settings { exhaustive: arguments.next().as_deref() == Some("exhaustive"), ..Settings::default() };
    let data = std::env::var_os("FERROFLOW_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from);
    let pictures = pictures(&data.join("fer2013/fer2013.csv.gz"))?;
    let votes = votes(&data.join("ferplus/fer2013new.csv"))?;

    let started = Instant::now();
    let evidence = look(&settings, &pictures, threads)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{} pictures in {seconds:.0} s with {threads} threads", pictures.len());
    judge(&settings, &evidence, &votes);
    write(&table, &settings, &evidence)
}

/// The pixels of each row.
fn pictures(path: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let lines = BufReader::new(GzDecoder::new(File::open(path)?)).lines().skip(1);
    let picture = |line: std::io::Result<String>| -> Result<Vec<u8>, Box<dyn Error>> {
        let line = line?;
        let pixels = line.split(',').nth(1).ok_or("a row without pixels")?;
        Ok(pixels.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    };
    lines.map(picture).collect()
}

/// How many taggers called a row not a face.
fn votes(path: &Path) -> Result<HashMap<usize, u32>, Box<dyn Error>> {
    let lines = BufReader::new(File::open(path)?).lines().skip(1);
    let row = |line: std::io::Result<String>| -> Result<(usize, u32), Box<dyn Error>> {
        let line = line?;
        let mut fields = line.trim_end().split(',');
        let row = fields.next().ok_or("a row without a number")?.parse()?;
        Ok((row, fields.next_back().ok_or("a row without votes")?.parse()?))
    };
    lines.map(row).collect()
}

/// Each thread has a checker with networks of its own and takes every so many-th picture.
fn look(settings: &Settings, pictures: &[Vec<u8>], threads: usize) -> Result<Vec<Evidence>, DetectError> {
    let work = |thread: usize| {
        let session = SessionOptions {
            device: Device::Cpu,
            threads: 1,
            instance_id: format!("faceness-{thread}"),
            ..SessionOptions::default()
        };
        let mut checker = Checker::open(settings, &session)?;
        let mine = pictures.iter().enumerate().skip(thread).step_by(threads);
        mine.map(|(row, picture)| Ok((row, checker.check(picture, SIDE, SIDE)?)))
            .collect::<Result<Vec<_>, DetectError>>()
    };
    let parts: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    let mut all = vec![Evidence::default(); pictures.len()];
    for part in parts {
        let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        part.into_iter().for_each(|(row, evidence)| all[row] = evidence);
    }
    Ok(all)
}

fn judge(settings: &Settings, evidence: &[Evidence], votes: &HashMap<usize, u32>) {
    let group = |name: &str, belongs: &dyn Fn(usize) -> bool| {
        let rows: Vec<_> = (0..evidence.len()).filter(|&row| belongs(row)).collect();
        let reasons: Vec<_> =
            rows.iter().filter_map(|&row| Some(evidence[row].decide(&settings.thresholds)?.0)).collect();
        let share = |count: usize| 100.0 * count as f64 / rows.len().max(1) as f64;
        println!("{name}: {} of {} dropped, {:.2} %", reasons.len(), rows.len(), share(reasons.len()));
        for reason in Reason::ALL {
            let count = reasons.iter().filter(|&&other| other == reason).count();
            println!("  {:9} {count:5} {:6.2} %", reason.name(), share(count));
        }
    };
    group("all", &|_| true);
    group("5 and more votes for not a face", &|row| votes.get(&row).is_some_and(|&n| n >= MANY_VOTES));
    group("1 to 4", &|row| votes.get(&row).is_some_and(|&n| n > 0 && n < MANY_VOTES));
    group("none", &|row| votes.get(&row) == Some(&0));
    group("without votes (PrivateTest)", &|row| !votes.contains_key(&row));
}

fn write(path: &str, settings: &Settings, evidence: &[Evidence]) -> Result<(), Box<dyn Error>> {
    let mut table = BufWriter::new(File::create(path)?);
    write!(table, "row,reason,score,contrast,text,profile")?;
    for kind in DetectorKind::ALL.map(DetectorKind::name) {
        write!(table, ",{kind},{kind}_fit,{kind}_roll,{kind}_yaw")?;
    }
    writeln!(table)?;
    let number = |value: Option<f32>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    for (row, seen) in evidence.iter().enumerate() {
        let verdict = seen.decide(&settings.thresholds);
        let reason = verdict.map_or("", |(reason, _)| reason.name());
        let score = number(verdict.map(|(_, score)| score));
        write!(
            table,
            "{row},{reason},{score},{:.3},{},{}",
            seen.contrast,
            number(seen.text),
            number(seen.profile)
        )?;
        for kind in DetectorKind::ALL {
            let found = seen.of(kind);
            let [confidence, fit, roll, yaw] = [
                found.map(|found| found.confidence),
                found.map(|found| found.fit),
                found.and_then(|found| found.roll),
                found.and_then(|found| found.yaw),
            ]
            .map(number);
            write!(table, ",{confidence},{fit},{roll},{yaw}")?;
        }
        writeln!(table)?;
    }
    Ok(table.flush()?)
}
