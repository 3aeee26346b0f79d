//! What is trained: a network with all that descends it, wherever it is.

use std::path::Path;

use burn::backend::Flex;
use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{Optimizer, Sgd, SgdConfig};

use super::loader::Shard;
use super::network::Network;
use super::prediction::Predictor;
use super::settings::Settings;
use super::step::{Outcome, Steps};
use crate::checkpoint::{from_bytes, to_bytes};
use crate::error::LearnError;
use crate::kernels::Train;

/// Something that learns. What is saved of it are three parts.
pub(super) trait Learner: Sized {
    /// One step down the mean loss of these shards. The mean of the weights, where there is one, moves a
    /// `part` of the way.
    fn step(self, shards: &[Shard], rate: f64, part: f32) -> Result<(Self, Outcome), LearnError>;

    /// Whether all weights are numbers.
    fn is_finite(&mut self) -> Result<bool, LearnError>;

    /// The network as it is to be judged: of the mean of the weights, where there is one.
    fn network(&mut self) -> Result<Network<Flex>, LearnError>;

    /// The same where it is.
    fn predictor(&mut self) -> Result<Box<dyn Predictor + '_>, LearnError>;

    fn save(&mut self) -> Result<[Vec<u8>; 3], LearnError>;

    /// What was saved in the file at `path`.
    fn restore(self, parts: [&[u8]; 3], path: &Path) -> Result<Self, LearnError>;
}

type Descent = OptimizerAdaptor<Sgd<Flex>, Network<Train>, Train>;

/// A network on the CPU, in Burn's hands.
pub(super) struct CpuLearner<'a> {
    steps: Steps<'a>,
    network: Network<Train>,
    descent: Descent,
    /// The exponential mean of the networks so far.
    mean: Option<Network<Flex>>,
    settings: &'a Settings,
}

impl<'a> CpuLearner<'a> {
    pub fn new(steps: Steps<'a>, network: Network<Train>, settings: &'a Settings) -> Self {
        let momentum = MomentumConfig::new().with_momentum(settings.momentum).with_nesterov(true);
        let descent = SgdConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(settings.weight_decay as f32)))
            .with_momentum(Some(momentum))
            .init();
        let mean = (settings.averaging > 0.0).then(|| network.valid());
        Self { steps, network, descent, mean, settings }
    }
}

impl Learner for CpuLearner<'_> {
    fn step(mut self, shards: &[Shard], rate: f64, part: f32) -> Result<(Self, Outcome), LearnError> {
        let (gradients, outcome) = self.steps.step(&self.network, shards)?;
        self.network = self.descent.step(rate, self.network, gradients);
        self.mean = self.mean.map(|mean| mean.approach(&self.network.valid(), part));
        Ok((self, outcome))
    }

    fn is_finite(&mut self) -> Result<bool, LearnError> {
        Ok(self.network.values().into_iter().all(f32::is_finite))
    }

    fn network(&mut self) -> Result<Network<Flex>, LearnError> {
        let network = self.mean.clone().unwrap_or_else(|| self.network.valid());
        let Settings { layers, .. } = self.settings;
        let classes = self.steps.examples.classes;
        Network::from_values(layers, classes, &network.values(), &Default::default())
            .ok_or_else(|| LearnError::Record("a network of another size".to_owned()))
    }

    fn predictor(&mut self) -> Result<Box<dyn Predictor + '_>, LearnError> {
        Ok(Box::new(self.mean.clone().unwrap_or_else(|| self.network.valid())))
    }

    fn save(&mut self) -> Result<[Vec<u8>; 3], LearnError> {
        let weights = to_bytes::<Train, _>(self.network.clone().into_record())?;
        let momenta = to_bytes::<Train, _>(self.descent.to_record())?;
        let mean = self.mean.clone();
        let mean = mean.map_or(Ok(Vec::new()), |mean| to_bytes::<Flex, _>(mean.into_record()))?;
        Ok([weights, momenta, mean])
    }

    fn restore(mut self, [weights, momenta, mean]: [&[u8]; 3], path: &Path) -> Result<Self, LearnError> {
        let device = &Default::default();
        if let Some(network) = self.mean {
            self.mean = Some(network.load_record(from_bytes::<Flex, _>(mean, device, path)?));
        }
        self.network = self.network.load_record(from_bytes::<Train, _>(weights, device, path)?);
        self.descent = self.descent.load_record(from_bytes::<Train, _>(momenta, device, path)?);
        Ok(self)
    }
}
