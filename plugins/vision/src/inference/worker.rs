//! The thread that serves the queue of one session.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossbeam_channel::Receiver;

use super::{engine::Engine, request::Request};

/// The worker's side of a session.
pub(super) struct Worker {
    queue: Receiver<Request>,
    engine: Arc<Mutex<Engine>>,
    /// Items at which a batch is full.
    batch_size: usize,
    /// How long the first request of a batch waits for others.
    batch_timeout: Duration,
    /// Requests that came out of the queue while a batch of another shape was gathered, the oldest first.
    pub(super) aside: VecDeque<Request>,
}

impl Worker {
    /// Serves requests of this queue.
    pub fn new(
        queue: Receiver<Request>,
        engine: Arc<Mutex<Engine>>,
        batch_size: usize,
        batch_timeout: Duration,
    ) -> Self {
        Self { queue, engine, batch_size, batch_timeout, aside: VecDeque::new() }
    }

    /// Serves until all who could send have gone.
    pub fn work(mut self) {
        let mut batch = Vec::new();
        while let Some(first) = self.next() {
            batch.push(first);
            // Locked before gathering: what comes while another thread runs the network gets into this batch.
            let engine = Arc::clone(&self.engine);
            let Ok(mut engine) = engine.lock() else { return };
            self.gather(&mut batch, &engine);
            batch.iter_mut().for_each(Request::start);
            engine.serve(&mut batch);
        }
    }

    fn next(&mut self) -> Option<Request> {
        self.aside.pop_front().or_else(|| self.queue.recv().ok())
    }

    /// Adds requests of the first one's shape until the batch is full or the first has waited long enough.
    fn gather(&mut self, batch: &mut Vec<Request>, engine: &Engine) {
        let Some(first) = batch.first() else { return };
        let (shape, deadline) = (first.item_shape(), first.submitted + self.batch_timeout);
        let mut items = first.items();
        let batch_size = self.batch_size;
        if items >= batch_size || !engine.may_join(shape, items) {
            return;
        }
        // A request is never split, and none of a shape overtakes another of that shape: the first that does not fit
        // ends the batch.
        let mut add = |request: Request, batch: &mut Vec<Request>| {
            let sum = items + request.items();
            if sum > batch_size {
                return Err(request);
            }
            items = sum;
            batch.push(request);
            Ok(items < batch_size)
        };
        let mut index = 0;
        while let Some(request) = self.aside.get(index) {
            if request.item_shape() != shape {
                index += 1;
                continue;
            }
            let Some(request) = self.aside.remove(index) else { break };
            match add(request, batch) {
                Ok(true) => {}
                Ok(false) => return,
                Err(request) => return self.aside.insert(index, request),
            }
        }
        let room = self.queue.capacity().unwrap_or(usize::MAX);
        while self.aside.len() < room {
            // A deadline that has passed still takes what waits already.
            let Ok(request) = self.queue.recv_deadline(deadline) else { return };
            if request.item_shape() != shape {
                self.aside.push_back(request);
                continue;
            }
            match add(request, batch) {
                Ok(true) => {}
                Ok(false) => return,
                Err(request) => return self.aside.push_back(request),
            }
        }
    }
}

impl Drop for Worker {
    /// Answers with an error, by dropping them, whatever requests there are and will be: a bounded channel
    /// keeps those that nobody receives. Ends at once where all who could send have gone.
    fn drop(&mut self) {
        self.aside.clear();
        self.queue.iter().for_each(drop);
    }
}
