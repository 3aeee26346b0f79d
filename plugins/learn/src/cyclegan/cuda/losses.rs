//! What networks are judged by, and what that means for what they gave.

use bytemuck::cast_slice;
use ferroflow_cuda::{CudaError, Gpu};

use crate::cuda::{Pass, at, each, flag, floats, n, read, real};
use crate::cyclegan::losses::Direction;
use crate::cyclegan::settings::Settings;
use crate::ssim::{self, WINDOW};

/// What losses of faces of one size need.
pub struct Losses<G: Gpu> {
    settings: Settings,
    /// Lines of a face, and pixels in a line.
    side: (usize, usize),
    groups: usize,
    /// Verdicts on a face.
    patches: usize,
    window: G::Memory,
    similarity: G::Memory,
    slopes: G::Memory,
}

impl<G: Gpu> Losses<G> {
    /// `groups` are the batches that a generator translates at first.
    pub fn new(
        gpu: &mut G,
        settings: &Settings,
        side: (usize, usize),
        groups: usize,
        patches: usize,
    ) -> Result<Self, CudaError> {
        let mut window = floats(gpu, WINDOW)?;
        gpu.write(&mut window, cast_slice(&ssim::window()))?;
        let places = 2 * settings.batch_size * places(side);
        Ok(Self {
            settings: settings.clone(),
            side,
            groups,
            patches,
            window,
            similarity: floats(gpu, places)?,
            slopes: floats(gpu, 3 * places)?,
        })
    }

    /// Batches that a generator translates at first: without an identity loss one, of faces that set out.
    pub const fn groups(&self) -> usize {
        self.groups
    }

    /// Numbers of a batch of faces.
    const fn size(&self) -> usize {
        self.settings.batch_size * self.side.0 * self.side.1
    }

    /// The faces that have set out from each side, or, if `crossed`, from the other.
    pub fn pick(
        &self,
        gpu: &mut G,
        from: &G::Memory,
        to: &G::Memory,
        crossed: bool,
    ) -> Result<(), CudaError> {
        let size = self.size();
        each(gpu, "pick", 2 * size, &[n(size), n(self.groups * size), flag(crossed), at(from), at(to)])
    }

    /// The gradient of verdicts: while discriminators learn, on real and on generated faces, else on what is
    /// to be called real.
    pub fn verdicts_back(&self, gpu: &mut G, pass: &Pass<G>, learning: bool) -> Result<(), CudaError> {
        let size = self.settings.batch_size * self.patches;
        let (groups, weight) = if learning { (2, 0.5) } else { (1, self.settings.losses.adversarial) };
        let factor = 2.0 * weight / size as f64;
        let wanted = [true, false].map(|real_face| real(self.settings.target(real_face)));
        let [verdicts, gradient] = pass.output().map(at);
        let numbers = [n(size), n(groups), real(factor)];
        each(
            gpu,
            "verdicts_back",
            2 * groups * size,
            &[&numbers[..], &wanted, &[verdicts, gradient]].concat(),
        )
    }

    /// The gradient of faces that came back, and how similar they are to what they were.
    pub fn cycle_back(&self, gpu: &mut G, there: &Pass<G>, back: &Pass<G>) -> Result<(), CudaError> {
        let ((height, width), losses) = (self.side, &self.settings.losses);
        let (size, places) = (self.size(), self.settings.batch_size * places(self.side));
        let shape = [self.settings.batch_size, height, width, WINDOW, self.groups * size].map(n);
        let [given, [returned, gradient]] = [there.input(), back.output()];
        let (c1, c2) = ssim::stabilisers(2.0);
        let memories = [&self.window, given[0], returned, &self.similarity, &self.slopes].map(at);
        each(gpu, "compare", 2 * places, &[&shape[..], &[real(c1), real(c2)], &memories].concat())?;
        let weight = losses.cycle / losses.cycle_terms().max(1) as f64;
        let factor = |on: bool, count: usize| real(if on { weight / count as f64 } else { 0.0 });
        let similar = if losses.cycle_ssim { -weight / places as f64 } else { 0.0 };
        let factors = [factor(losses.cycle_l1, size), factor(losses.cycle_l2, size), real(similar)];
        let memories = [&self.window, given[0], returned, &self.slopes, gradient].map(at);
        each(gpu, "cycle_back", 2 * size, &[&shape[..], &factors, &memories].concat())
    }

    /// The gradient of generated faces.
    pub fn generated_back(
        &self,
        gpu: &mut G,
        there: &Pass<G>,
        back: &Pass<G>,
        judging: &Pass<G>,
    ) -> Result<(), CudaError> {
        let size = self.size();
        let numbers = [n(size), n(self.groups), real(self.settings.losses.identity / size as f64)];
        let [generated, gradient] = there.output();
        let memories = [judging.input()[1], back.input()[1], there.input()[0], generated, gradient].map(at);
        each(gpu, "generated_back", 2 * self.groups * size, &[&numbers[..], &memories].concat())
    }

    /// The losses of both directions, that of discriminators left out, and the faces that they generated.
    pub fn found(
        &self,
        gpu: &mut G,
        there: &Pass<G>,
        back: &Pass<G>,
        judging: &Pass<G>,
        batch: &[Vec<f32>; 2],
    ) -> Result<([Direction; 2], [Vec<f32>; 2]), CudaError> {
        let (size, losses) = (self.size(), &self.settings.losses);
        let (patches, places) =
            (self.settings.batch_size * self.patches, self.settings.batch_size * places(self.side));
        let translated = read(gpu, there.output()[0], 2 * self.groups * size)?;
        let returned = read(gpu, back.output()[0], 2 * size)?;
        let similarity = read(gpu, &self.similarity, 2 * places)?;
        let verdicts = read(gpu, judging.output()[0], 2 * patches)?;
        let of = |of: usize| {
            let translated = &translated[of * self.groups * size..][..self.groups * size];
            let (generated, kept) = translated.split_at(size);
            let similarity =
                mean(similarity[(1 - of) * places..][..places].iter().map(|value| f64::from(*value)));
            let distances = || differences(&returned[(1 - of) * size..][..size], &batch[of]);
            let terms = [
                losses.cycle_l1.then(|| mean(distances().map(f64::abs))),
                losses.cycle_l2.then(|| mean(distances().map(|distance| distance * distance))),
                losses.cycle_ssim.then_some(1.0 - similarity),
            ];
            let direction = Direction {
                adversarial: self.distance(&verdicts[of * patches..][..patches], true) as f32,
                identity: mean(differences(kept, &batch[1 - of]).map(f64::abs)) as f32,
                cycle: (terms.into_iter().flatten().sum::<f64>() / losses.cycle_terms().max(1) as f64) as f32,
                similarity: similarity as f32,
                discriminator: 0.0,
            };
            (direction, generated.to_vec())
        };
        let ((first, of_first), (second, of_second)) = (of(0), of(1));
        Ok(([first, second], [of_first, of_second]))
    }

    /// The losses of both discriminators.
    pub fn judged(&self, gpu: &mut G, pass: &Pass<G>) -> Result<[f32; 2], CudaError> {
        let size = self.settings.batch_size * self.patches;
        let verdicts = read(gpu, pass.output()[0], 4 * size)?;
        let of = |of: usize| {
            let (real_faces, generated) = verdicts[2 * of * size..][..2 * size].split_at(size);
            0.5 * (self.distance(real_faces, true) + self.distance(generated, false))
        };
        Ok([of(0) as f32, of(1) as f32])
    }

    /// How far verdicts are from what they are to be.
    fn distance(&self, verdicts: &[f32], real_face: bool) -> f64 {
        let wanted = self.settings.target(real_face);
        mean(verdicts.iter().map(|verdict| (f64::from(*verdict) - wanted).powi(2)))
    }
}

/// Places of the similarity's window in a face.
const fn places((height, width): (usize, usize)) -> usize {
    (height + 1 - WINDOW) * (width + 1 - WINDOW)
}

fn differences<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
    a.iter().zip(b).map(|(a, b)| f64::from(*a - *b))
}

/// 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}
