//! Runs requests on a network: alone, or joined to one batch whose outputs are divided again.

use std::{
    collections::{HashMap, HashSet},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Instant,
};

use super::{
    InferenceError,
    instruments::Instruments,
    network::Network,
    outputs::{Division, Order, Outputs, Part},
    request::{Answer, ItemShape, Request, item_shape},
};

/// A network and the buffers of its runs. One thread has it at a time.
pub(super) struct Engine {
    network: Box<dyn Network>,
    instruments: Arc<Instruments>,
    /// How many outputs the model promises.
    outputs: usize,
    /// False for models of a fixed batch and those whose outputs turned out not to be divisible.
    joins: bool,
    /// What is known of the outputs of each item shape, from requests that ran alone.
    known: HashMap<ItemShape, Division>,
    /// Item shapes whose outputs of several rows an item have turned out to lie item by item.
    proven: HashSet<ItemShape>,
    /// The inputs of a batch, one behind the other.
    joined: Vec<f32>,
    /// The last run's outputs, used again once all have read them.
    last: Option<Arc<Outputs>>,
}

impl Engine {
    /// `joins` tells whether the model takes batches of any size.
    pub fn new(
        network: Box<dyn Network>,
        outputs: usize,
        joins: bool,
        instruments: Arc<Instruments>,
    ) -> Self {
        let (known, proven, joined) = Default::default();
        Self { network, instruments, outputs, joins, known, proven, joined, last: None }
    }

    /// True when others may join a request of this shape and number of items: the outputs of a lone request of no more
    /// items have been seen. A batch then has more, and it shows which side of each output grows with them.
    pub fn may_join(&self, shape: ItemShape, items: usize) -> bool {
        self.joins && self.known.get(&shape).is_some_and(|known| known.items <= items)
    }

    /// Runs one request.
    pub fn run_alone(&mut self, shape: [usize; 4], input: &[f32]) -> Result<Answer, InferenceError> {
        let outputs = self.run(shape, input)?;
        let items = shape[0];
        if self.joins && self.known.get(&item_shape(shape)).is_none_or(|known| items < known.items) {
            let known = Division::new(items, &outputs).map_err(|reason| self.instruments.failed(reason))?;
            self.known.insert(item_shape(shape), known);
        }
        Ok(Answer { outputs, part: Part { first: 0, items, of: items } })
    }

    /// Runs requests of one item shape and answers all of them; `batch` is empty afterwards.
    pub fn serve(&mut self, batch: &mut Vec<Request>) {
        if batch.len() > 1 {
            match self.run_joined(batch) {
                Ok(Some(outputs)) => {
                    let of = batch.iter().map(Request::items).sum();
                    let mut first = 0;
                    for request in batch.drain(..) {
                        let items = request.items();
                        let part = Part { first, items, of };
                        request.answer(Ok(Answer { outputs: Arc::clone(&outputs), part }));
                        first += items;
                    }
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    batch.drain(..).for_each(|request| request.answer(Err(error.clone())));
                    return;
                }
            }
        }
        for request in batch.drain(..) {
            let answer = self.run_alone(request.shape, &request.input);
            request.answer(answer);
        }
    }

    /// The outputs of all requests in one run; nothing if they cannot be divided among the requests.
    fn run_joined(&mut self, batch: &[Request]) -> Result<Option<Arc<Outputs>>, InferenceError> {
        let Some(first) = batch.first() else { return Ok(None) };
        let (items, shape) = (batch.iter().map(Request::items).sum(), first.item_shape());
        let [a, b, c] = shape;
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        batch.iter().for_each(|request| joined.extend_from_slice(&request.input));
        let outputs = self.run([items, a, b, c], &joined);
        self.joined = joined;
        let outputs = outputs?;
        let Some(known) = self.known.get(&shape) else { return Ok(None) };
        let reason = match known.check(items, &outputs) {
            Ok(Order::Certain) => return Ok(Some(outputs)),
            Ok(Order::ToBeProven) if self.proven.contains(&shape) => return Ok(Some(outputs)),
            Ok(Order::ToBeProven) => {
                let alone = self.run(first.shape, &first.input)?;
                let part = Part { first: 0, items: first.items(), of: items };
                if outputs.is_alike(part, &alone).map_err(|reason| self.instruments.failed(reason))? {
                    self.proven.insert(shape);
                    return Ok(Some(outputs));
                }
                "the first image's part is not what that image gives by itself".to_owned()
            }
            Err(reason) => reason,
        };
        let Instruments { model, device, .. } = &*self.instruments;
        tracing::error!(model, %device, reason, "the outputs of a batch cannot be divided; each request runs by itself from now on");
        self.joins = false;
        Ok(None)
    }

    /// One run, timed; a panic breaks the engine and is an error.
    fn run(&mut self, shape: [usize; 4], input: &[f32]) -> Result<Arc<Outputs>, InferenceError> {
        if let Some(reason) = self.instruments.broken.get() {
            return Err(self.instruments.failed(format!("{reason}; open the model again")));
        }
        let mut last = self.last.take();
        // While a requester still reads the last run's outputs, this run needs others.
        if last.as_mut().is_none_or(|outputs| Arc::get_mut(outputs).is_none()) {
            last = None;
        }
        let mut outputs = last.unwrap_or_default();
        if let Some(Outputs { values }) = Arc::get_mut(&mut outputs) {
            values.clear();
            let started = Instant::now();
            match panic::catch_unwind(AssertUnwindSafe(|| self.network.run(shape, input, values))) {
                Ok(result) => result.map_err(|reason| self.instruments.failed(reason))?,
                Err(payload) => {
                    let words = payload.downcast_ref::<&str>().copied();
                    let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                    let reason = format!("a run panicked ({})", words.unwrap_or("without words"));
                    let reason = self.instruments.broken.get_or_init(|| reason);
                    return Err(self.instruments.failed(reason));
                }
            }
            self.instruments.ran(shape[0], started.elapsed());
            if values.len() != self.outputs {
                let reason = format!("it has {} outputs and gave {}", self.outputs, values.len());
                return Err(self.instruments.failed(reason));
            }
        }
        self.last = Some(Arc::clone(&outputs));
        Ok(outputs)
    }
}
