//! A session as its users hold it: the way in for requests, and the list of sessions that are open.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    Device, InferenceError, Output, TensorInfo,
    engine::Engine,
    instruments::Instruments,
    loaded::Loaded,
    request::{Answer, Reply, Request},
    worker::Worker,
};

/// Requests that wait in the queue before the next requester waits outside; with batches above this, a whole batch.
const QUEUE: usize = 32;

/// CPU threads of a run that can be asked for. Each takes memory, and beyond the cores they only take turns.
pub const MOST_THREADS: u32 = 256;

/// Images of one run that can be asked for: more than any network here gains by, and their memory is taken
/// beforehand.
pub const MOST_IMAGES: u32 = 1024;

/// How to open a session. Equal device, threads and instance id on one file share one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionOptions {
    /// Where to run.
    pub device: Device,
    /// CPU threads inside one run; 0 takes one for each core.
    pub threads: usize,
    /// Users with the same name share a session, users with different names do not; empty is a name like others.
    pub instance_id: String,
    /// Most images in one run when requests of several users are run together; 0 and 1 run each request by itself. A
    /// larger request is never split. The first user of a session decides.
    pub batch_size: usize,
    /// How long a request may wait for others until the batch is full. Zero never waits: a run takes the
    /// requests that came while the one before it ran. The first user of a session decides.
    pub batch_timeout: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            device: Device::Auto,
            threads: 0,
            instance_id: String::new(),
            batch_size: 1,
            batch_timeout: Duration::ZERO,
        }
    }
}

/// What sessions are shared by: file, device, threads, instance.
type Key = (PathBuf, Device, usize, String);

#[derive(Default)]
struct Registry {
    sessions: HashMap<Key, Weak<SharedSession>>,
    /// How many ask that sessions stay open, and those that do.
    keepers: usize,
    kept: Vec<Arc<SharedSession>>,
}

fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// While it lives, sessions that are opened stay open when their users have gone, for those who come next.
#[must_use]
#[derive(Debug)]
pub struct KeepOpen(());

impl KeepOpen {
    /// Begins now.
    #[expect(clippy::new_without_default, reason = "it is made for what its life does")]
    pub fn new() -> Self {
        registry().keepers += 1;
        Self(())
    }
}

impl Drop for KeepOpen {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.keepers -= 1;
        let kept = if registry.keepers == 0 { std::mem::take(&mut registry.kept) } else { Vec::new() };
        // The last user of a session waits for its worker, which others need not.
        drop(registry);
        drop(kept);
    }
}

/// A loaded model that several users run, from any thread.
///
/// The network belongs to a worker thread. Requests reach it through a bounded queue; when that is full,
/// requesters wait. What is in line when a run begins is run together, up to [`SessionOptions::batch_size`],
/// and each requester gets its part of every output. A requester waits for its answer, so that the answers of
/// one source come in order.
///
/// On the CPU a request that finds nobody in line runs in its own thread, which spares the switch to the
/// worker and back: measured at 5 to 30 % of a small network's run (`benches/inference.rs`). CUDA keeps
/// handles and memory for each thread that ever ran a session (ONNX Runtime's `PerThreadContext`), so there
/// the worker runs everything.
pub struct SharedSession {
    path: PathBuf,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    batch_size: usize,
    batch_timeout: Duration,
    engine: Arc<Mutex<Engine>>,
    /// True where a requester may run the network in its own thread.
    direct: bool,
    /// Gone only while this is dropped.
    queue: Option<Sender<Request>>,
    worker: Option<JoinHandle<()>>,
    /// Channels for answers, used again.
    replies: Mutex<Vec<(Sender<Reply>, Receiver<Reply>)>>,
    instruments: Arc<Instruments>,
}

impl SharedSession {
    /// The session of this file and these options: the one in use if there is one, else newly loaded. One
    /// whose worker has failed for good is replaced.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Arc<Self>, InferenceError> {
        let SessionOptions { device, threads, ref instance_id, .. } = *options;
        let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let key = (file, device, threads, instance_id.clone());
        // Held while loading, so that two streams that start together do not load the same model twice.
        let mut registry = registry();
        if let Some(session) =
            registry.sessions.get(&key).and_then(Weak::upgrade).filter(|session| session.works())
        {
            session.warn_of_other_batches(options);
            return Ok(session);
        }
        let session = Arc::new(Self::start(path, options, Loaded::load(path, options)?)?);
        tracing::info!(model = session.name(), device = %session.device(), asked = %device, "loaded");
        registry.sessions.retain(|_, session| session.strong_count() > 0);
        registry.sessions.insert(key, Arc::downgrade(&session));
        if registry.keepers > 0 {
            registry.kept.push(Arc::clone(&session));
        }
        Ok(session)
    }

    /// Starts the worker of a loaded network.
    fn start(path: &Path, options: &SessionOptions, loaded: Loaded) -> Result<Self, InferenceError> {
        let Loaded { network, few_shapes, device, inputs, outputs } = loaded;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let instruments = Arc::new(Instruments::new(name, device));
        let any_batch = inputs.iter().all(|input| input.shape.first().is_none_or(|&items| items < 1));
        let engine = Engine::new(network, outputs.len(), any_batch, few_shapes, Arc::clone(&instruments));
        let engine = Arc::new(Mutex::new(engine));
        let SessionOptions { batch_size, batch_timeout, .. } = *options;
        let (queue, requests) = bounded(QUEUE.max(batch_size));
        let worker = Worker::new(requests, Arc::clone(&engine), batch_size, batch_timeout);
        let worker = thread::Builder::new()
            .name("inference".into())
            .spawn(|| worker.work())
            .map_err(|error| instruments.failed(format!("its worker cannot be started: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            inputs,
            outputs,
            batch_size,
            batch_timeout,
            engine,
            direct: device == Device::Cpu && batch_timeout.is_zero(),
            queue: Some(queue),
            worker: Some(worker),
            replies: Mutex::default(),
            instruments,
        })
    }

    /// False once a run or the worker has panicked: requests are answered with errors only.
    fn works(&self) -> bool {
        self.instruments.broken.get().is_none() && !self.engine.is_poisoned()
    }

    fn warn_of_other_batches(&self, options: &SessionOptions) {
        let (used, asked) =
            ((self.batch_size, self.batch_timeout), (options.batch_size, options.batch_timeout));
        if used != asked {
            tracing::warn!(
                model = self.name(),
                batch_size = self.batch_size,
                batch_timeout = ?self.batch_timeout,
                "a session in use keeps the batch settings it was opened with; another model-instance-id gets its own"
            );
        }
    }

    /// The model's name: its file's name without extension.
    pub fn name(&self) -> &str {
        &self.instruments.model
    }

    /// The device that runs it; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.instruments.device
    }

    /// What it takes.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// What it gives.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Requests that wait for their run.
    pub fn waiting(&self) -> usize {
        self.instruments.waiting()
    }

    /// An error that says how this model differs from what its use needs.
    pub fn misfit(&self, reason: impl Into<String>) -> InferenceError {
        InferenceError::Shape { path: self.path.clone(), reason: reason.into() }
    }

    /// An error that says what is wrong with an answer of this model.
    pub fn failed(&self, reason: impl Into<String>) -> InferenceError {
        self.instruments.failed(reason)
    }

    /// Runs the model's only input, `shape` outermost first with the number of images in front, waits for the
    /// answer and hands the outputs for these images, in the model's order, to `read`.
    ///
    /// The values are lent, not copied: `input` is as before when this returns.
    pub fn run<R>(
        &self,
        shape: [usize; 4],
        input: &mut Vec<f32>,
        read: impl FnOnce(&[Output<'_>]) -> R,
    ) -> Result<R, InferenceError> {
        // Checked here, so that a wrong request cannot spoil the batch of others.
        if shape.contains(&0) || shape.iter().product::<usize>() != input.len() {
            return Err(
                self.failed(format!("an input of {shape:?} was asked for with {} values", input.len()))
            );
        }
        let Answer { outputs, part } = match self.run_here(shape, input) {
            Some(answer) => answer?,
            None => self.run_in_line(shape, input)?,
        };
        outputs.read(part, read).map_err(|reason| self.failed(reason))
    }

    /// Runs in this thread if that is allowed and nobody is in line.
    fn run_here(&self, shape: [usize; 4], input: &[f32]) -> Option<Result<Answer, InferenceError>> {
        if !self.direct || self.waiting() > 0 {
            return None;
        }
        let mut engine = self.engine.try_lock().ok()?;
        self.instruments.pass();
        Some(engine.run_alone(shape, input))
    }

    /// Gets in line and waits for the answer.
    fn run_in_line(&self, shape: [usize; 4], input: &mut Vec<f32>) -> Result<Answer, InferenceError> {
        let lock = || self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let (sender, receiver) = spare.unwrap_or_else(|| bounded(1));
        let instruments = Arc::clone(&self.instruments);
        let request = Request::new(shape, std::mem::take(input), sender.clone(), instruments);
        if let Some(queue) = &self.queue {
            // A request that cannot be sent is dropped and thereby answers itself.
            drop(queue.send(request));
        }
        // Whatever becomes of the request, it answers.
        let gone = || self.failed("its answer was lost");
        let (values, answer) = receiver.recv().map_err(|_| gone())?;
        *input = values;
        lock().push((sender, receiver));
        answer
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedSession({} on {})", self.name(), self.device())
    }
}

impl Drop for SharedSession {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the worker has been told to those who waited.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests;
