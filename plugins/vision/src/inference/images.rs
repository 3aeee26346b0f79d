//! A network whose only input is images of one kind: what those who look at faces have in common. They draw a
//! batch and ask the network about it; what its answers mean is theirs.

use std::{ops::Range, path::Path, sync::Arc};

use super::{InferenceError, Output, SessionOptions, SharedSession, TensorInfo, network::listed};
use crate::sample::{ImageSpec, Sampler};

/// A session with what its images are and the buffers that they are drawn with.
#[derive(Debug)]
pub struct ImageNetwork {
    session: Arc<SharedSession>,
    /// An image as the network takes it.
    spec: ImageSpec,
    /// Most images in one run; 1 for models exported with a batch of one.
    batch_size: usize,
    sampler: Sampler,
    /// The images of one run.
    input: Vec<f32>,
}

impl ImageNetwork {
    /// Opens a network and checks that it takes the images that its card promises.
    ///
    /// `batch_size`, which stands in for the options' own, limits the images of one run.
    pub fn open(
        path: &Path,
        spec: ImageSpec,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, InferenceError> {
        let session = SharedSession::open(path, &SessionOptions { batch_size, ..options.clone() })?;
        Self::new(session, spec, batch_size)
    }

    /// The same of a session that is open.
    pub fn new(
        session: Arc<SharedSession>,
        spec: ImageSpec,
        batch_size: usize,
    ) -> Result<Self, InferenceError> {
        let batch_size = images_at_once(&session, spec.shape(1), batch_size)?;
        Ok(Self { session, spec, batch_size, sampler: Sampler::default(), input: Vec::new() })
    }

    /// The session.
    pub fn session(&self) -> &SharedSession {
        &self.session
    }

    /// An image as the network takes it.
    pub const fn spec(&self) -> &ImageSpec {
        &self.spec
    }

    /// So many images in turns of as many as go into one run.
    pub fn batches(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let size = self.batch_size;
        (0..count).step_by(size).map(move |first| first..count.min(first + size))
    }

    /// Has `draw` fill each image of a batch, which it is told by its number, and shows the network's input.
    pub fn draw(
        &mut self,
        batch: Range<usize>,
        mut draw: impl FnMut(&mut Sampler, &ImageSpec, usize, &mut [f32]),
    ) -> &[f32] {
        let length = self.spec.len();
        self.input.resize(length * batch.len(), 0.0);
        // A card for a network of any size has images without pixels, which no run takes.
        for (index, image) in batch.zip(self.input.chunks_exact_mut(length.max(1))) {
            draw(&mut self.sampler, &self.spec, index, image);
        }
        &self.input
    }

    /// Runs the network on what was drawn last, and hands the number of images and the outputs to `read`,
    /// which says what is wrong with them.
    pub fn ask(
        &mut self,
        read: impl FnOnce(usize, &[Output<'_>]) -> Result<(), String>,
    ) -> Result<(), InferenceError> {
        let count = self.input.len() / self.spec.len().max(1);
        let shape = self.spec.shape(count);
        self.session
            .run(shape, &mut self.input, |outputs| read(count, outputs))?
            .map_err(|reason| self.session.failed(reason))
    }

    /// Draws `count` images and asks about them, batch by batch.
    pub fn run(
        &mut self,
        count: usize,
        mut draw: impl FnMut(&mut Sampler, &ImageSpec, usize, &mut [f32]),
        mut read: impl FnMut(usize, &[Output<'_>]) -> Result<(), String>,
    ) -> Result<(), InferenceError> {
        for batch in self.batches(count) {
            self.draw(batch, &mut draw);
            self.ask(&mut read)?;
        }
        Ok(())
    }
}

/// Checks that the only input takes images of this shape (without their number), and tells how many may go into one
/// run: `batch_size`, or 1 where the model was exported with a batch of one.
///
/// # Errors
/// If it takes something else, or several images and never fewer.
fn images_at_once(
    session: &SharedSession,
    [_, a, b, c]: [usize; 4],
    batch_size: usize,
) -> Result<usize, InferenceError> {
    let fits = |sides: &[i64]| {
        let fits = |(&have, want): (&i64, usize)| have == -1 || have == want as i64;
        sides.len() == 3 && sides.iter().zip([a, b, c]).all(fits)
    };
    let fixed = match session.inputs() {
        [TensorInfo { shape, .. }] if shape.get(1..).is_some_and(fits) => shape.first(),
        inputs => {
            let found = listed(inputs);
            let reason = format!("its card promises one input of [N, {a}, {b}, {c}], found {found}");
            return Err(session.misfit(reason));
        }
    };
    match fixed {
        Some(1) => Ok(1),
        Some(&fixed) if fixed > 1 => {
            let reason = format!("it takes {fixed} faces at once, where one or any number is needed");
            Err(session.misfit(reason))
        }
        _ => Ok(batch_size.max(1)),
    }
}
