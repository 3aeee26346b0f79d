//! A step of training: ours on one thread and on two, and the same network in Burn's own layers on one as the
//! baseline; `benches/classifier_torch.py` is the same in PyTorch.
//!
//! Another device is named behind `--`, and is warmed up first, since its kernels are compiled and chosen
//! when they are first needed: `cargo bench -p ferroflow-learn --bench step -- --device cuda`, and
//! `benches/classifier_torch.py --device cuda`.
//!
//! Both take 64 faces (48x48, cut to 44x44, four channels of 22x22) through the default network, back, and
//! one step of descent. Ours also varies the faces (`augmentation`), which Burn's is spared. Plain timing
//! rather than criterion's sampling: a step is a tenth of a second, and the two are run in turn.

use std::{
    cell::RefCell,
    error::Error,
    hint::black_box,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use burn::{
    backend::{Autodiff, Flex},
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        loss::CrossEntropyLossConfig,
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    optim::{GradientsParams, Optimizer, SgdConfig, momentum::MomentumConfig},
    tensor::{Distribution, Int, Tensor, activation::relu, backend::Backend},
};
use ferroflow_learn::classifier::{Examples, LOADER_THREADS, Layer, Progress, Settings, train};
use ferroflow_learn::{Device, Faces, Run, Split};

type Train = Autodiff<Flex>;

const FACES: usize = 64;
const STEPS: usize = 10;
const STEPS_ON_DEVICE: usize = 100;
const ROUNDS: usize = 5;

#[derive(Module, Debug)]
struct Reference<B: Backend> {
    blocks: Vec<(Conv2d<B>, BatchNorm<B>)>,
    pool: MaxPool2d,
    head: Linear<B>,
}

impl<B: Backend> Reference<B> {
    fn new(settings: &Settings, device: &B::Device) -> Self {
        let mut inputs = 4;
        let block = |layer: &Layer| {
            let conv = Conv2dConfig::new([inputs, layer.channels], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(device);
            inputs = layer.channels;
            (conv, BatchNormConfig::new(layer.channels).init(device))
        };
        let blocks = settings.layers.iter().map(block).collect();
        let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        Self { blocks, pool, head: LinearConfig::new(inputs, 7).init(device) }
    }

    fn forward(&self, settings: &Settings, mut x: Tensor<B, 4>) -> Tensor<B, 2> {
        for ((conv, norm), layer) in self.blocks.iter().zip(&settings.layers) {
            x = relu(norm.forward(conv.forward(x)));
            if layer.pool {
                x = self.pool.forward(x);
            }
        }
        let [faces, channels, ..] = x.dims();
        self.head.forward(x.mean_dim(2).mean_dim(3).reshape([faces, channels]))
    }
}

/// Seconds a step takes in Burn's own layers.
fn burn_step(settings: &Settings) -> f64 {
    let device = Default::default();
    let mut network = Reference::<Train>::new(settings, &device);
    let momentum = MomentumConfig::new().with_momentum(0.9).with_nesterov(true);
    let mut descent = SgdConfig::new().with_momentum(Some(momentum)).init();
    let x = Tensor::<Train, 4>::random([FACES, 4, 22, 22], Distribution::Normal(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..FACES as i32).map(|face| face % 7).collect();
    let labels = Tensor::<Train, 1, Int>::from_data(labels.as_slice(), &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let began = Instant::now();
    for _ in 0..STEPS {
        let error = loss.forward(network.forward(settings, x.clone()), labels.clone());
        let gradients = GradientsParams::from_grads(error.backward(), &network);
        network = descent.step(0.01, network, gradients);
    }
    black_box(&network);
    began.elapsed().as_secs_f64() / STEPS as f64
}

/// Seconds a step of ours takes in so many shards: from the end of the first step to the end of the last. On
/// the CPU each has a thread of its own; a device is fed by as many threads as feed it in a graph.
fn our_step(device: Device, settings: &Settings, steps: usize, shards: usize) -> Result<f64, Box<dyn Error>> {
    let rows: Vec<usize> = (0..FACES * (steps + 1)).collect();
    let pixels: Vec<u8> = (0..rows.len() * 48 * 48).map(|at| (at * 31 % 251) as u8).collect();
    let targets: Vec<f32> =
        rows.iter().flat_map(|row| (0..7).map(move |class| f32::from(class == row % 7))).collect();
    let settings = Settings { epochs: 1, batch_size: FACES, shards, ..settings.clone() };
    let folder = tempfile::tempdir()?;
    let times = RefCell::new(Vec::new());
    let tell = |_: Progress| times.borrow_mut().push(Instant::now());
    let faces = Faces { pixels: &pixels, width: 48, height: 48 };
    let examples = Examples { faces, targets: &targets, weights: None, classes: 7 };
    let cancelled = AtomicBool::new(false);
    let workers = if device == Device::Cpu { shards } else { LOADER_THREADS };
    let split = Split { learn: &rows, validate: &[] };
    let run = Run { device, checkpoints: folder.path(), workers, cancelled: &cancelled };
    train(examples, split, &settings, None, &run, &tell, &|_| {})?;
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
    let settings = Settings::default();
    let arguments: Vec<String> = std::env::args().collect();
    let named = arguments.iter().skip_while(|argument| *argument != "--device").nth(1);
    let device = named.map_or("cpu", String::as_str).parse::<Device>()?.resolve()?;
    if device != Device::Cpu {
        let began = Instant::now();
        our_step(device, &settings, STEPS_ON_DEVICE, 1)?;
        println!("{STEPS_ON_DEVICE} steps with compiling: {:.1} s", began.elapsed().as_secs_f64());
        let times = (0..ROUNDS).map(|_| our_step(device, &settings, STEPS_ON_DEVICE, 1));
        let times = times.collect::<Result<_, _>>()?;
        println!(
            "a step of {FACES} faces on {device}, median of {ROUNDS} rounds: {:.2} ms",
            median(times) * 1e3
        );
        return Ok(());
    }
    let (mut ours, mut on_two, mut burn) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(our_step(device, &settings, STEPS, 1)?);
        on_two.push(our_step(device, &settings, STEPS, 2)?);
        burn.push(burn_step(&settings));
    }
    let ratios: Vec<f64> = burn.iter().zip(&ours).map(|(burn, ours)| burn / ours).collect();
    println!(
        "a step of {FACES} faces, median of {ROUNDS} rounds: ours {:.1} ms on one thread, {:.1} ms on two; Burn's own layers {:.1} ms on one, {:.2} times ours",
        median(ours) * 1e3,
        median(on_two) * 1e3,
        median(burn) * 1e3,
        median(ratios)
    );
    Ok(())
}
