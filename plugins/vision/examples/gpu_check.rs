//! Checks everything that runs on CUDA against the CPU, and prints the speeds of both: of a frame by itself,
//! and of several streams at once. It links neither GStreamer nor OpenCV: `make gpu-check` packs it with
//! models and pictures into a folder that can be copied to a CUDA machine.
//!
//! `gpu_check [--device cuda:0] [--only haar,ssd] PICTURE.ppm...`; `--device cpu` checks the checker. Exit
//! codes: 0 equal, 1 not, 4 no CUDA. All cores that it is given count: `taskset --cpu-list 0,1` compares with
//! two.

use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use ferroflow_vision::{
    detect::{self, DetectorConfig, DetectorKind, FaceDetector},
    expression::ExpressionClassifier,
    face::Detection,
    frame::Frame,
    inference::{self, Device, SessionOptions},
    model,
};

/// Runs to warm up, and runs of which the median is reported.
const RUNS: (usize, usize) = (5, 30);

/// Streams at once on a device; on the CPU one takes all cores already. They share a session, whose batches
/// are as large.
const STREAMS: usize = 8;

/// How long streams run before they are counted, and while they are.
const COUNTED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));

/// How far a network's answers may differ: pixels of a box or landmark, and confidence or probability. Devices round
/// differently, and cuDNN may choose TensorFloat-32.
const TOLERANCE: (f32, f32) = (1.0, 0.01);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// An RGB picture.
struct Picture {
    name: String,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Reads a binary PPM of 8 bits.
    fn read(path: &str) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let (mut words, mut at) = (Vec::new(), 0);
        while words.len() < 4 {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = rest.iter().position(u8::is_ascii_whitespace).ok_or("cut short")?;
            let word = String::from_utf8_lossy(&rest[..end]).into_owned();
            at += end + 1;
            if word.starts_with('#') {
                at += rest[end..].iter().position(|byte| *byte == b'\n').ok_or("cut short")?;
            } else if !word.is_empty() {
                words.push(word);
            }
        }
        let [kind, width, height, most] = words.as_slice() else { return Err("no header".into()) };
        if kind != "P6" || most != "255" {
            return Err(format!("{path}: a binary PPM of 8 bits (P6, 255) was expected").into());
        }
        let pixels = bytes.get(at..).unwrap_or_default().to_vec();
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, width: width.parse()?, height: height.parse()?, pixels })
    }

    fn frame(&self) -> Result<Frame<'_>> {
        Ok(Frame::rgb(&self.pixels, self.width, self.height)?)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(4)
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut device = Device::Cuda(0);
    if let Some(at) = arguments.iter().position(|argument| argument == "--device") {
        device = arguments.get(at + 1).ok_or("--device needs a device")?.parse()?;
        arguments.drain(at..at + 2);
    }
    let mut kinds = DetectorKind::ALL.to_vec();
    if let Some(at) = arguments.iter().position(|argument| argument == "--only") {
        let only = arguments.get(at + 1).ok_or("--only needs detectors")?;
        let named = |name: &str| kinds.iter().copied().find(|kind| kind.name() == name);
        kinds = only
            .split(',')
            .map(|name| named(name).ok_or_else(|| format!("--only: there is no detector `{name}`")))
            .collect::<std::result::Result<_, _>>()?;
        arguments.drain(at..at + 2);
    }
    let pictures = arguments.iter().map(|path| Picture::read(path)).collect::<Result<Vec<_>>>()?;
    if pictures.is_empty() {
        return Err("usage: gpu_check [--device cuda:0] [--only haar,ssd] PICTURE.ppm...".into());
    }
    println!("{}", inference::runtime_version()?);
    let mut equal = true;
    for kind in kinds {
        equal &= check_detector(kind, device, &pictures)?;
    }
    equal &= check_classifier(device, &pictures)?;
    println!("{}", if equal { "all equal" } else { "NOT EQUAL" });
    Ok(equal)
}

/// A detector on the CPU and on the device.
fn check_detector(kind: DetectorKind, device: Device, pictures: &[Picture]) -> Result<bool> {
    let open = |device: Device| open(kind, device);
    let (mut cpu, mut other) = (open(Device::Cpu)?, open(device)?);
    println!("{}: {} against {}", kind.name(), other.describe(), cpu.describe());
    let mut equal = true;
    for picture in pictures {
        let frame = picture.frame()?;
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let cpu_time = median(|| Ok(cpu.detect(&frame, &mut expected)?))?;
        let other_time = median(|| Ok(other.detect(&frame, &mut found)?))?;
        // The Haar cascade's arithmetic is the same everywhere.
        let tolerance = if kind == DetectorKind::Haar { (0.0, 0.0) } else { TOLERANCE };
        let same = are_same(&expected, &found, tolerance);
        equal &= same;
        let verdict = if same { "equal" } else { "NOT EQUAL" };
        println!(
            "  {:<20} {:>3} and {:>3} faces, {verdict}; {cpu_time:8.2} and {other_time:8.2} ms, {:.1} times",
            picture.name,
            expected.len(),
            found.len(),
            cpu_time / other_time
        );
    }
    drop((cpu, other));
    for picture in pictures {
        let (cpu, other) =
            (throughput(kind, Device::Cpu, 1, picture)?, throughput(kind, device, STREAMS, picture)?);
        println!(
            "  {:<20} {cpu:8.1} frames a second, and {other:8.1} in {STREAMS} streams, {:.1} times",
            picture.name,
            other / cpu
        );
    }
    Ok(equal)
}

fn open(kind: DetectorKind, device: Device) -> Result<Box<dyn FaceDetector>> {
    let mut config = DetectorConfig::new(kind);
    config.session.device = device;
    config.session.batch_size = if device == Device::Cpu { 1 } else { STREAMS };
    detect::open(&config).map_err(|error| format!("{} on {device}: {error}", kind.name()).into())
}

/// Frames a second of so many streams, each with a detector of its own.
fn throughput(kind: DetectorKind, device: Device, streams: usize, picture: &Picture) -> Result<f64> {
    let detectors: Vec<_> = (0..streams).map(|_| open(kind, device)).collect::<Result<_>>()?;
    let begun = Instant::now();
    let run = |mut detector: Box<dyn FaceDetector>| -> std::result::Result<usize, String> {
        let frame = picture.frame().map_err(|error| error.to_string())?;
        let (mut faces, mut frames) = (Vec::new(), 0);
        loop {
            detector.detect(&frame, &mut faces).map_err(|error| error.to_string())?;
            let since = begun.elapsed();
            if since > COUNTED.0 + COUNTED.1 {
                return Ok(frames);
            }
            frames += usize::from(since > COUNTED.0);
        }
    };
    let frames = thread::scope(|scope| {
        let streams: Vec<_> =
            detectors.into_iter().map(|detector| scope.spawn(move || run(detector))).collect();
        streams.into_iter().try_fold(0, |sum, stream| {
            Ok::<_, String>(sum + stream.join().map_err(|_| "a stream panicked".to_owned())??)
        })
    })?;
    Ok(frames as f64 / COUNTED.1.as_secs_f64())
}

/// The default classifier on all faces of a picture, in one batch.
fn check_classifier(device: Device, pictures: &[Picture]) -> Result<bool> {
    let model = model::resolve_model(model::DEFAULT_EXPRESSION)?;
    let open = |device: Device| {
        let options = SessionOptions { device, ..SessionOptions::default() };
        ExpressionClassifier::open(&model, &options, 64)
    };
    let (mut cpu, mut other) = (open(Device::Cpu)?, open(device)?);
    println!("expression: {} against {}", other.describe(), cpu.describe());
    let mut faces = Vec::new();
    let mut config = DetectorConfig::new(DetectorKind::YuNet);
    config.session.device = Device::Cpu;
    let mut detector = detect::open(&config)?;
    let mut equal = true;
    for picture in pictures {
        let frame = picture.frame()?;
        detector.detect(&frame, &mut faces)?;
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let classify = |classifier: &mut ExpressionClassifier, answers: &mut Vec<_>| {
            median(|| {
                answers.clear();
                Ok(classifier.classify(&frame, &faces, answers)?)
            })
        };
        let (cpu_time, other_time) = (classify(&mut cpu, &mut expected)?, classify(&mut other, &mut found)?);
        let scores = expected.iter().flat_map(|a| &a.scores).zip(found.iter().flat_map(|b| &b.scores));
        let worst = scores.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        equal &= worst <= TOLERANCE.1;
        println!(
            "  {:<20} {:>3} faces, scores differ by {worst:.5}; {cpu_time:8.2} and {other_time:8.2} ms, {:.1} times",
            picture.name,
            faces.len(),
            cpu_time / other_time
        );
    }
    Ok(equal)
}

/// The same faces, in any order.
fn are_same(expected: &[Detection], found: &[Detection], (pixels, confidence): (f32, f32)) -> bool {
    let near = |a: &Detection, b: &Detection| {
        let sides = |face: &Detection| {
            let found = face.box_in_frame;
            let points = face.landmarks_in_frame.iter().flatten().flat_map(|point| [point.x, point.y]);
            [found.x, found.y, found.right(), found.bottom()].into_iter().chain(points).collect::<Vec<_>>()
        };
        let (a_sides, b_sides) = (sides(a), sides(b));
        a_sides.len() == b_sides.len()
            && a_sides.iter().zip(b_sides).all(|(a, b)| (a - b).abs() <= pixels)
            && (a.confidence - b.confidence).abs() <= confidence
    };
    expected.len() == found.len() && expected.iter().all(|a| found.iter().any(|b| near(a, b)))
}

/// Milliseconds.
fn median(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..RUNS.0 {
        run()?;
    }
    let mut times = Vec::new();
    for _ in 0..RUNS.1 {
        let started = Instant::now();
        run()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or(f64::NAN))
}
