//! Adam (Kingma & Ba 2015, <https://arxiv.org/abs/1412.6980>), in Keras' form: `epsilon` stands beside the
//! root of the mean that is not yet corrected (the paper's "epsilon hat").

use super::blocks::Kernel;
use super::settings::Settings;
use super::weights::Weights;

/// The means of gradients and of their squares.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    pub mean: Weights,
    pub square: Weights,
}

impl Adam {
    /// For as many weights.
    pub fn new(weights: &Weights) -> Self {
        Self { mean: weights.zeros(), square: weights.zeros() }
    }

    /// Moves the weights against their gradients, convolutions by `unfreeze_rate` times the `rate`; `step`
    /// counts from 1.
    pub fn step(
        &mut self,
        weights: &mut Weights,
        gradients: &Weights,
        (settings, rate): (&Settings, f64),
        step: usize,
    ) {
        let corrected = |beta: f64| 1.0 - beta.powf(step as f64);
        let rate = rate * corrected(settings.beta2).sqrt() / corrected(settings.beta1);
        let convolutions = gradients.kernels.iter().flat_map(Kernel::parts).count();
        let (follow, follow_square) = ((1.0 - settings.beta1) as f32, (1.0 - settings.beta2) as f32);
        let epsilon = settings.epsilon as f32;
        let places = weights.parts_mut().zip(gradients.parts());
        let means = self.mean.parts_mut().zip(self.square.parts_mut());
        for (part, ((values, gradients), (means, squares))) in places.zip(means).enumerate() {
            let factor = if part < convolutions { settings.unfreeze_rate } else { 1.0 };
            let rate = (rate * factor) as f32;
            let numbers = values.iter_mut().zip(gradients).zip(means.iter_mut().zip(squares));
            for ((value, gradient), (mean, square)) in numbers {
                *mean += (gradient - *mean) * follow;
                *square += (gradient * gradient - *square) * follow_square;
                *value -= rate * *mean / (square.sqrt() + epsilon);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::layer::Layer;

    /// The first steps of Keras' `Adam(learning_rate=0.1, beta_1=0.5, beta_2=0.999, epsilon=1e-7)`, by its
    /// formulas in double precision.
    #[test]
    fn steps_are_those_of_the_formula() {
        let settings = Settings::default();
        let layers = [Layer::zeros(1, 1), Layer::zeros(1, 1)];
        let mut weights = Weights { kernels: Vec::new(), layers };
        let mut adam = Adam::new(&weights);
        let (mut mean, mut square, mut value) = (0.0f64, 0.0f64, 0.0f64);
        for (step, gradient) in [0.3f64, -0.1, 0.02, 0.0].into_iter().enumerate() {
            let mut gradients = weights.zeros();
            gradients.layers[1].bias[0] = gradient as f32;
            adam.step(&mut weights, &gradients, (&settings, 0.1), step + 1);
            mean = 0.5 * mean + 0.5 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let count = (step + 1) as i32;
            let rate = 0.1 * (1.0 - 0.999f64.powi(count)).sqrt() / (1.0 - 0.5f64.powi(count));
            value -= rate * mean / (square.sqrt() + 1e-7);
            assert!((f64::from(weights.layers[1].bias[0]) - value).abs() < 1e-5, "step {step}: {value}");
            assert_eq!(weights.layers[0].weights[(0, 0)], 0.0);
        }
        // The first step is as long as the learning rate, whatever the gradient.
        assert!(value < -0.05);
    }
}
