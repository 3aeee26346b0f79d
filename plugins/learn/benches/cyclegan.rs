//! A step of a CycleGAN's training, on two threads: the paper's networks on one face of 48x48 of each class, and the
//! small ones of `pipelines/cyclegan-small.toml`. `benches/cyclegan_torch.py` is the same step in PyTorch.
//!
//! Another device is named behind `--`: `cargo bench -p ferroflow-learn --bench cyclegan -- --device cuda`, and
//! `benches/cyclegan_torch.py --device cuda`.

use std::{
    cell::RefCell,
    error::Error,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use ferroflow_learn::cyclegan::{Discriminator, Generator, Settings, train};
use ferroflow_learn::{Device, Faces, Run};

const SIDE: usize = 48;
const ROUNDS: usize = 5;

/// Seconds a step takes: from the end of the first to the end of the last.
fn step(device: Device, settings: &Settings, steps: usize, workers: usize) -> Result<f64, Box<dyn Error>> {
    let pixels: Vec<u8> =
        (0..2 * SIDE * SIDE * settings.batch_size).map(|at| (at * 31 % 251) as u8).collect();
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    let settings = Settings {
        epochs: 1,
        decay_epochs: 0,
        epoch_faces: (steps + 1) * settings.batch_size,
        ..settings.clone()
    };
    let folder = tempfile::tempdir()?;
    let times = RefCell::new(Vec::new());
    let cancelled = AtomicBool::new(false);
    let tell = |_| times.borrow_mut().push(Instant::now());
    let run = Run { device, checkpoints: folder.path(), workers, cancelled: &cancelled };
    train([faces, faces], &settings, &run, &tell, &|_| {})?;
    let times = times.into_inner();
    let span = times.last().zip(times.first()).map_or(Duration::ZERO, |(last, first)| *last - *first);
    Ok(span.as_secs_f64() / (times.len() - 1).max(1) as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().collect();
    let named = arguments.iter().skip_while(|argument| *argument != "--device").nth(1);
    let device: Device = named.map_or("cpu", String::as_str).parse()?;
    let device = device.resolve()?;
    let workers: &[usize] = if device == Device::Cpu { &[2, 1] } else { &[1] };
    let small = Settings {
        generator: Generator { width: 16, blocks: 3, ..Generator::default() },
        discriminator: Discriminator { width: 16, ..Discriminator::default() },
        ..Settings::default()
    };
    let cases = [
        ("the paper's networks, batch 1", Settings::default(), 5),
        ("small networks, batch 1", small.clone(), 50),
        ("small networks, batch 8", Settings { batch_size: 8, ..small }, 10),
    ];
    for (name, settings, steps) in cases {
        for workers in workers {
            if device != Device::Cpu {
                let began = Instant::now();
                step(device, &settings, steps, *workers)?;
                println!("{name}: {steps} steps with compiling: {:.1} s", began.elapsed().as_secs_f64());
            }
            let times =
                (0..ROUNDS).map(|_| step(device, &settings, steps, *workers)).collect::<Result<_, _>>()?;
            println!(
                "{name}, {device}, {workers} threads: {:.1} ms a step, median of {ROUNDS} rounds",
                median(times) * 1e3
            );
        }
    }
    Ok(())
}
