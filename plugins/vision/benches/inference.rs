//! What the shared session costs one stream, and what batches across streams gain.
//!
//! The yardstick is ONNX Runtime's session behind a mutex. Kinds take turns call by call, so that all see the same
//! disturbances of the machine.
//!
//! `cargo bench -p ferroflow-vision --bench inference -- [SECONDS]`

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ferroflow_vision::{
    inference::{self, Device, SessionOptions, SharedSession},
    model,
};
use ort::{
    session::{Session, builder::GraphOptimizationLevel},
    value::TensorRef,
};

/// What is run: a model, the shape of its input, threads of one run.
struct Subject {
    name: &'static str,
    shape: [usize; 4],
    threads: usize,
}

const SUBJECTS: [Subject; 4] = [
    Subject { name: "ferroflow-expression", shape: [1, 1, 48, 48], threads: 1 },
    Subject { name: "mini-xception", shape: [1, 1, 64, 64], threads: 1 },
    Subject { name: "yunet", shape: [1, 3, 384, 640], threads: 0 },
    Subject { name: "ssd-resnet10", shape: [1, 3, 300, 300], threads: 0 },
];

/// Runs an input and answers the sum of its outputs, so that none is left out.
type Run = Box<dyn Fn(&mut Vec<f32>) -> f32 + Send + Sync>;

fn sum(values: &[f32]) -> f32 {
    values.iter().step_by(64).sum()
}

impl Subject {
    fn path(&self) -> PathBuf {
        model::resolve_model(self.name).unwrap().path
    }

    fn input(&self) -> Vec<f32> {
        (0..self.shape.iter().product::<usize>()).map(|index| (index % 255) as f32 / 255.0).collect()
    }

    /// A session behind a mutex, with the options of ours.
    fn mutex(&self) -> Run {
        let threads = match self.threads {
            0 => thread::available_parallelism().unwrap().get(),
            threads => threads,
        };
        let session = Session::builder(inference::environment().unwrap())
            .unwrap()
            .with_optimization_level(GraphOptimizationLevel::All)
            .unwrap()
            .with_intra_threads(threads)
            .unwrap()
            .with_intra_op_spinning(false)
            .unwrap()
            .commit_from_file(self.path())
            .unwrap();
        let (session, shape) = (Mutex::new(session), self.shape);
        Box::new(move |input| {
            let mut session = session.lock().unwrap();
            let input = TensorRef::from_array_view((shape, &input[..])).unwrap();
            let outputs = session.run(ort::inputs![input]).unwrap();
            outputs.values().map(|output| sum(output.try_extract_tensor::<f32>().unwrap().1)).sum()
        })
    }

    fn shared(&self, batch_size: usize, batch_timeout: Duration) -> Run {
        let options = SessionOptions {
            device: Device::Cpu,
            threads: self.threads,
            instance_id: format!("{batch_size} {batch_timeout:?}"),
            batch_size,
            batch_timeout,
        };
        let (session, shape) = (SharedSession::open(&self.path(), &options).unwrap(), self.shape);
        Box::new(move |input| {
            session
                .run(shape, input, |outputs| outputs.iter().map(|output| sum(output.values)).sum::<f32>())
                .unwrap()
        })
    }
}

/// Median microseconds of a call of each kind, by turns.
fn latencies(subject: &Subject, kinds: &[Run], time: Duration) -> Vec<f64> {
    let mut times = vec![Vec::new(); kinds.len()];
    let mut input = subject.input();
    for run in kinds {
        (0..20).for_each(|_| {
            run(&mut input);
        });
    }
    let until = Instant::now() + time;
    let mut round = 0;
    while Instant::now() < until {
        for step in 0..kinds.len() {
            let kind = (round + step) % kinds.len();
            let started = Instant::now();
            std::hint::black_box(kinds[kind](&mut input));
            times[kind].push(started.elapsed().as_secs_f64() * 1e6);
        }
        round += 1;
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

/// Calls a second of so many threads.
fn throughput(subject: &Subject, run: Run, streams: usize, time: Duration) -> f64 {
    let (run, done, stop) = (Arc::new(run), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let started = Instant::now();
    let threads: Vec<_> = (0..streams)
        .map(|_| {
            let (run, done, stop) = (Arc::clone(&run), Arc::clone(&done), Arc::clone(&stop));
            let mut input = subject.input();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(run(&mut input));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    thread::sleep(time);
    let rate = done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    rate
}

fn main() {
    // cargo adds `--bench`.
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    println!("one stream: median of a call, and against the mutex");
    for subject in SUBJECTS {
        let kinds = [
            subject.mutex(),
            subject.shared(1, Duration::ZERO),
            // Any waiting time sends every request through the worker; this one is over at once.
            subject.shared(1, Duration::from_nanos(1)),
        ];
        let times = latencies(&subject, &kinds, time);
        let names = ["mutex", "shared", "shared, through the worker"];
        for (name, microseconds) in names.iter().zip(&times) {
            let against = (microseconds / times[0] - 1.0) * 100.0;
            println!("  {:<14} {name:<28} {microseconds:>9.1} us  {against:>+6.2} %", subject.name);
        }
    }
    let [faces, ..] = SUBJECTS;
    println!("8 streams of {}, one face a call: faces a second", faces.name);
    for threads in [1, 0] {
        let subject = Subject { threads, ..faces };
        for round in 0..3 {
            let rates = [
                throughput(&subject, subject.mutex(), 8, time),
                throughput(&subject, subject.shared(1, Duration::ZERO), 8, time),
                throughput(&subject, subject.shared(8, Duration::ZERO), 8, time),
                throughput(&subject, subject.shared(32, Duration::ZERO), 8, time),
            ];
            println!(
                "  threads={threads}, run {round}: mutex {:.0}, batch-size=1 {:.0}, batch-size=8 {:.0}, batch-size=32 {:.0}",
                rates[0], rates[1], rates[2], rates[3]
            );
        }
    }
}
