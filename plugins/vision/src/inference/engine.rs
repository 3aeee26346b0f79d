//! Runs requests on a network: alone, or joined to one batch whose outputs are divided again.

use std::{
    collections::{HashMap, HashSet},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Instant,
};

use smallvec::SmallVec;

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
    /// True where batches are filled up to a power of two, so that few shapes come up.
    fills: bool,
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
    /// `joins` tells whether the model takes batches of any size, `few_shapes` whether there had better be few sizes.
    pub fn new(
        network: Box<dyn Network>,
        outputs: usize,
        joins: bool,
        few_shapes: bool,
        instruments: Arc<Instruments>,
    ) -> Self {
        let (known, proven, joined) = Default::default();
        Self {
            network,
            instruments,
            outputs,
            joins,
            fills: joins && few_shapes,
            known,
            proven,
            joined,
            last: None,
        }
    }

    /// True when others may join a request of this shape and number of items: the outputs of a lone request
    /// of no more items have been seen. A batch then has more, and it shows which side of each output grows
    /// with them.
    pub fn may_join(&self, shape: ItemShape, items: usize) -> bool {
        self.joins && self.known.get(&shape).is_some_and(|known| known.items <= items)
    }

    /// Runs one request.
    pub fn run_alone(&mut self, shape: [usize; 4], input: &[f32]) -> Result<Answer, InferenceError> {
        let items = shape[0];
        if self.fills
            && !items.is_power_of_two()
            && self.may_join(item_shape(shape), items)
            && let Some((outputs, of)) = self.run_joined(shape, &[input])?
        {
            return Ok(Answer { outputs, part: Part { first: 0, items, of } });
        }
        let outputs = self.run(shape, input, items)?;
        if self.joins && self.known.get(&item_shape(shape)).is_none_or(|known| items < known.items) {
            let known = Division::new(items, &outputs).map_err(|reason| self.instruments.failed(reason))?;
            self.known.insert(item_shape(shape), known);
        }
        Ok(Answer { outputs, part: Part { first: 0, items, of: items } })
    }

    /// Runs requests of one item shape and answers all of them; `batch` is empty afterwards.
    pub fn serve(&mut self, batch: &mut Vec<Request>) {
        if batch.len() > 1 {
            let shape = batch.first().map_or([0; 4], |first| first.shape);
            let joined = {
                let inputs: SmallVec<[&[f32]; 16]> = batch.iter().map(|request| &*request.input).collect();
                self.run_joined(shape, &inputs)
            };
            match joined {
                Ok(Some((outputs, of))) => {
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
                Err(error) if self.instruments.broken.get().is_some() => {
                    batch.drain(..).for_each(|request| request.answer(Err(error.clone())));
                    return;
                }
                // One stream's failure is not another's: each is asked by itself.
                Err(error) => return self.serve_alone(batch, &error),
            }
        }
        for request in batch.drain(..) {
            let answer = self.run_alone(request.shape, &request.input);
            request.answer(answer);
        }
    }

    /// Runs each request of a batch that failed by itself. Where none of them fails, the batch was what failed, of lack of
    /// memory for one: then there are no more.
    fn serve_alone(&mut self, batch: &mut Vec<Request>, error: &InferenceError) {
        let mut is_well = true;
        for request in batch.drain(..) {
            let answer = self.run_alone(request.shape, &request.input);
            is_well &= answer.is_ok();
            request.answer(answer);
        }
        if is_well && self.joins {
            tracing::error!("{error}; each request by itself is answered, and runs by itself from now on");
            (self.joins, self.fills) = (false, false);
        }
    }

    /// The outputs of all inputs in one run, and of how many items they are; nothing if they cannot be
    /// divided among the inputs. `shape` is the first one's.
    fn run_joined(
        &mut self,
        shape: [usize; 4],
        inputs: &[&[f32]],
    ) -> Result<Option<(Arc<Outputs>, usize)>, InferenceError> {
        let (first, [a, b, c]) = (shape[0], item_shape(shape));
        let Some(known) = self.known.get(&[a, b, c]) else { return Ok(None) };
        let item = (a * b * c).max(1);
        let items = inputs.iter().map(|input| input.len()).sum::<usize>() / item;
        let of = if self.fills { items.next_power_of_two() } else { items };
        if of == known.items {
            // Nothing grows, so that nothing shows which side grows.
            return Ok(None);
        }
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        inputs.iter().for_each(|input| joined.extend_from_slice(input));
        joined.resize(of * item, 0.0);
        let outputs = self.run([of, a, b, c], &joined, items);
        self.joined = joined;
        let outputs = outputs?;
        let Some(known) = self.known.get(&[a, b, c]) else { return Ok(None) };
        let reason = match known.check(of, &outputs) {
            Ok(Order::Certain) => return Ok(Some((outputs, of))),
            Ok(Order::ToBeProven) if self.proven.contains(&[a, b, c]) => return Ok(Some((outputs, of))),
            Ok(Order::ToBeProven) => {
                let alone = self.run(shape, inputs.first().copied().unwrap_or_default(), first)?;
                let part = Part { first: 0, items: first, of };
                if outputs.is_alike(part, &alone).map_err(|reason| self.instruments.failed(reason))? {
                    self.proven.insert([a, b, c]);
                    return Ok(Some((outputs, of)));
                }
                "the first image's part is not what that image gives by itself".to_owned()
            }
            Err(reason) => reason,
        };
        let Instruments { model, device, .. } = &*self.instruments;
        tracing::error!(model, %device, reason, "the outputs of a batch cannot be divided; each request runs by itself from now on");
        self.joins = false;
        self.fills = false;
        Ok(None)
    }

    /// One run, timed, of which so many items were asked for; a panic breaks the engine and is an error.
    fn run(
        &mut self,
        shape: [usize; 4],
        input: &[f32],
        items: usize,
    ) -> Result<Arc<Outputs>, InferenceError> {
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
            self.instruments.ran(items, started.elapsed());
            if values.len() != self.outputs {
                let reason = format!("it has {} outputs and gave {}", self.outputs, values.len());
                return Err(self.instruments.failed(reason));
            }
        }
        self.last = Some(Arc::clone(&outputs));
        Ok(outputs)
    }
}
