//! A network that runs each shape of input in a session of its own.

use ort::value::DynValue;

use super::network::Network;

/// Sessions at most: MTCNN's first network sees a frame in about ten sizes.
const MOST: usize = 16;

/// Sessions of one network, each for one shape. ONNX Runtime's CUDA provider plans every convolution anew
/// when a shape is not that of the run before (`Conv::UpdateState`), which takes up to a second; each session
/// sees one shape only. Beyond [`MOST`], or where memory does not suffice for another, the session that has
/// not run for the longest takes the new shape.
pub(super) struct ByShape<N> {
    make: Box<dyn Fn() -> Result<N, String> + Send>,
    most: usize,
    /// The one that ran last comes last; before its first run a session has no shape.
    sessions: Vec<(Option<[usize; 4]>, N)>,
}

impl<N> ByShape<N> {
    /// Begins with a session, and makes others.
    pub fn new(first: N, make: impl Fn() -> Result<N, String> + Send + 'static) -> Self {
        Self { make: Box::new(make), most: MOST, sessions: vec![(None, first)] }
    }
}

impl<N> ByShape<N> {
    /// A session for a new shape.
    fn another(&mut self) -> Result<N, String> {
        if self.sessions.len() < self.most {
            match (self.make)() {
                Err(reason) if !self.sessions.is_empty() => {
                    tracing::warn!(
                        reason,
                        sessions = self.sessions.len(),
                        "no session for another shape of input; those that are there take turns, which is slow"
                    );
                    self.most = self.sessions.len();
                }
                made => return made,
            }
        }
        Ok(self.sessions.remove(0).1)
    }
}

impl<N: Network> Network for ByShape<N> {
    fn run(&mut self, shape: [usize; 4], input: &[f32], outputs: &mut Vec<DynValue>) -> Result<(), String> {
        let is_for = |of: &Option<[usize; 4]>| of.is_none_or(|of| of == shape);
        let mut session = match self.sessions.iter().rposition(|(of, _)| is_for(of)) {
            Some(at) => self.sessions.remove(at).1,
            None => self.another()?,
        };
        let outcome = session.run(shape, input, outputs);
        self.sessions.push((Some(shape), session));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Counts how often its shape differs from that of the run before.
    struct Counting {
        shape: Option<[usize; 4]>,
        changes: Arc<AtomicUsize>,
    }

    impl Network for Counting {
        fn run(&mut self, shape: [usize; 4], _: &[f32], _: &mut Vec<DynValue>) -> Result<(), String> {
            if self.shape.replace(shape) != Some(shape) {
                self.changes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    }

    #[test]
    fn shapes_that_take_turns_change_no_session_s_shape() {
        let (changes, made) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let make = {
            let (changes, made) = (Arc::clone(&changes), Arc::clone(&made));
            move || {
                made.fetch_add(1, Ordering::Relaxed);
                Ok(Counting { shape: None, changes: Arc::clone(&changes) })
            }
        };
        let mut network = ByShape::new(make().unwrap(), make);
        let run = |network: &mut ByShape<Counting>, sides: std::ops::Range<usize>| {
            sides.for_each(|side| network.run([1, 1, side, side], &[], &mut Vec::new()).unwrap());
        };
        for _ in 0..5 {
            run(&mut network, 0..10);
        }
        let count = |of: &Arc<AtomicUsize>| of.load(Ordering::Relaxed);
        assert_eq!((count(&made), count(&changes)), (10, 10));
        run(&mut network, 10..40);
        assert_eq!((count(&made), count(&changes)), (MOST, 40));
    }

    #[test]
    fn where_no_other_session_can_be_made_the_one_that_is_there_takes_all_shapes() {
        let (changes, tried) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let first = Counting { shape: None, changes: Arc::clone(&changes) };
        let make = {
            let tried = Arc::clone(&tried);
            move || {
                tried.fetch_add(1, Ordering::Relaxed);
                Err("no memory".to_owned())
            }
        };
        let mut network = ByShape::new(first, make);
        for side in [1, 2, 2, 3] {
            network.run([side; 4], &[], &mut Vec::new()).unwrap();
        }
        assert_eq!((changes.load(Ordering::Relaxed), tried.load(Ordering::Relaxed)), (3, 1));
    }
}
