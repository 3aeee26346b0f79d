//! A request on its way to the worker, and the answer on its way back.

use std::{sync::Arc, time::Instant};

use crossbeam_channel::Sender;

use super::{
    InferenceError,
    instruments::Instruments,
    outputs::{Outputs, Part},
};

/// The sides of one item: the shape of an input without its batch.
pub(super) type ItemShape = [usize; 3];

pub(super) fn item_shape([_, a, b, c]: [usize; 4]) -> ItemShape {
    [a, b, c]
}

/// One requester's part of a run that went well.
#[derive(Debug)]
pub(super) struct Answer {
    pub outputs: Arc<Outputs>,
    pub part: Part,
}

/// What comes back: the input's buffer and the answer.
pub(super) type Reply = (Vec<f32>, Result<Answer, InferenceError>);

/// An input in line for its run. It is answered once, come what may: dropping it answers with an error.
pub(super) struct Request {
    pub shape: [usize; 4],
    pub input: Vec<f32>,
    pub submitted: Instant,
    reply: Sender<Reply>,
    instruments: Arc<Instruments>,
    in_line: bool,
    answered: bool,
}

impl Request {
    /// Gets in line. The reply channel has room for one answer and is this request's alone.
    pub fn new(
        shape: [usize; 4],
        input: Vec<f32>,
        reply: Sender<Reply>,
        instruments: Arc<Instruments>,
    ) -> Self {
        instruments.enter();
        let submitted = Instant::now();
        Self { shape, input, submitted, reply, instruments, in_line: true, answered: false }
    }

    /// Images in it.
    pub fn items(&self) -> usize {
        self.shape[0]
    }

    /// What requests must have in common to be run together.
    pub fn item_shape(&self) -> ItemShape {
        item_shape(self.shape)
    }

    /// Its run begins.
    pub fn start(&mut self) {
        if std::mem::take(&mut self.in_line) {
            self.instruments.leave(self.submitted.elapsed());
        }
    }

    /// Sends the answer and gives the input back.
    pub fn answer(mut self, answer: Result<Answer, InferenceError>) {
        self.send(answer);
    }

    fn send(&mut self, answer: Result<Answer, InferenceError>) {
        self.start();
        self.answered = true;
        // Fails only if the requester has gone, who then needs no answer.
        let _ = self.reply.try_send((std::mem::take(&mut self.input), answer));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            let lost = self.instruments.failed("its worker has ended; open the model again");
            self.send(Err(lost));
        }
    }
}
