//! The service with networks that stop, fail and panic when told to.

use std::{
    thread::{self, ScopedJoinHandle},
    time::Instant,
};

use crossbeam_channel::unbounded;
use ort::value::{DynValue, Tensor};

use super::*;
use crate::inference::{environment, network::Network};

/// What a network of these tests does with a batch.
#[derive(Clone, Copy, PartialEq)]
enum Nature {
    /// Answers `[items, 2]`: the sum of an item, and its first value.
    Honest,
    /// Answers `[1, 3 · items, 1]`: each item's sum three times.
    Flat,
    /// The same with the first sum of every item before the second of any.
    Braided,
    /// Answers `[2, items]`, which interleaves the items.
    Interleaved,
    /// Has one output more than it promised.
    Talkative,
    /// Fails on values below zero.
    Picky,
    /// Panics on values below zero.
    Fragile,
    /// Fails on more than one image.
    Narrow,
}

/// Reports each run's items and waits to be let go on.
struct Fake {
    nature: Nature,
    began: Sender<usize>,
    go: Receiver<()>,
}

impl Network for Fake {
    fn run(&mut self, shape: [usize; 4], input: &[f32], outputs: &mut Vec<DynValue>) -> Result<(), String> {
        let items = shape[0];
        let _ = self.began.send(items);
        // A test that holds no run has dropped its end.
        let _ = self.go.recv();
        if matches!(self.nature, Nature::Narrow) && items > 1 {
            return Err("there is no room".into());
        }
        if input.iter().any(|&value| value < 0.0) {
            match self.nature {
                Nature::Picky => return Err("it does not like this".into()),
                Nature::Fragile => panic!("it broke"),
                _ => {}
            }
        }
        let images: Vec<&[f32]> = input.chunks(input.len() / items).collect();
        let sum = |image: &[f32]| image.iter().sum::<f32>();
        let (shape, values): (Vec<i64>, Vec<f32>) = match self.nature {
            Nature::Flat => {
                (vec![1, 3 * items as i64, 1], images.iter().flat_map(|image| [sum(image); 3]).collect())
            }
            Nature::Braided => {
                let round = images.iter().map(|image| sum(image));
                (vec![1, 3 * items as i64, 1], round.clone().chain(round.clone()).chain(round).collect())
            }
            Nature::Interleaved => {
                let rows = images.iter().map(|image| sum(image)).chain(images.iter().map(|image| image[0]));
                (vec![2, items as i64], rows.collect())
            }
            _ => (vec![items as i64, 2], images.iter().flat_map(|image| [sum(image), image[0]]).collect()),
        };
        outputs.push(Tensor::from_array((shape, values)).map_err(|error| error.to_string())?.into_dyn());
        if self.nature == Nature::Talkative {
            outputs.push(Tensor::from_array(([1_i64], vec![0_f32])).unwrap().into_dyn());
        }
        Ok(())
    }
}

/// A session of a fake network, whose runs a test sees and holds.
struct Bench {
    session: SharedSession,
    began: Receiver<usize>,
    go: Sender<()>,
}

/// A session on `device`; [`Device::Cuda`] sends every request through the worker.
fn bench(nature: Nature, device: Device, batch_size: usize, batch_timeout: Duration) -> Bench {
    bench_of(-1, false, nature, device, batch_size, batch_timeout)
}

/// The same with the number of images that the model says it takes; -1 for any.
fn bench_of(
    images: i64,
    few_shapes: bool,
    nature: Nature,
    device: Device,
    batch_size: usize,
    batch_timeout: Duration,
) -> Bench {
    environment().unwrap();
    let (began_here, began) = unbounded();
    let (go, go_there) = unbounded();
    let network = Box::new(Fake { nature, began: began_here, go: go_there });
    let outputs = vec![TensorInfo { name: "sums".into(), shape: vec![-1, 2] }];
    let inputs = vec![TensorInfo { name: "image".into(), shape: vec![images, 1, -1, -1] }];
    let options = SessionOptions { batch_size, batch_timeout, ..SessionOptions::default() };
    let loaded = Loaded { network, few_shapes, device, inputs, outputs };
    let session = SharedSession::start(Path::new("fake.onnx"), &options, loaded).unwrap();
    Bench { session, began, go }
}

/// A request of images of `side` by 1 whose values are all `value`, and the first two values of its answer.
fn ask(session: &SharedSession, items: usize, side: usize, value: f32) -> Result<Vec<f32>, String> {
    let mut input = vec![value; items * side];
    let answer = session.run([items, 1, side, 1], &mut input, |outputs| {
        assert_eq!(outputs[0].shape.iter().product::<i64>() as usize, outputs[0].values.len());
        outputs[0].values.to_vec()
    });
    assert_eq!(input, vec![value; items * side], "the input comes back");
    answer.map_err(|error| error.to_string())
}

impl Bench {
    /// Starts one request a value, in this order, all of them in line behind the first.
    fn line<'scope, 'env>(
        &'env self,
        scope: &'scope thread::Scope<'scope, 'env>,
        requests: &[(usize, usize, f32)],
    ) -> Vec<ScopedJoinHandle<'scope, Result<Vec<f32>, String>>> {
        let start = |(place, &(items, side, value)): (usize, &(usize, usize, f32))| {
            let handle = scope.spawn(move || ask(&self.session, items, side, value));
            let until = Instant::now() + Duration::from_secs(10);
            // The first is running, the others wait.
            while self.session.waiting() < place && Instant::now() < until {
                thread::yield_now();
            }
            if place == 0 {
                self.began.recv_timeout(Duration::from_secs(10)).unwrap();
            }
            handle
        };
        requests.iter().enumerate().map(start).collect()
    }

    /// Lets so many runs go on.
    fn release(&self, runs: usize) {
        (0..runs).for_each(|_| self.go.send(()).unwrap());
    }

    /// Lets a request pass by itself, so that the shape of its outputs is known.
    fn warm(&self, side: usize) {
        self.release(1);
        ask(&self.session, 1, side, 1.0).unwrap();
        assert_eq!(self.began.recv(), Ok(1));
    }

    fn runs(&self) -> Vec<usize> {
        self.began.try_iter().collect()
    }
}

fn join(handles: Vec<ScopedJoinHandle<'_, Result<Vec<f32>, String>>>) -> Vec<Result<Vec<f32>, String>> {
    handles.into_iter().map(|handle| handle.join().unwrap()).collect()
}

#[test]
fn requests_in_line_run_together_and_each_gets_its_own_answer() {
    for device in [Device::Cpu, Device::Cuda(0)] {
        for nature in [Nature::Honest, Nature::Flat] {
            let bench = bench(nature, device, 8, Duration::ZERO);
            bench.warm(4);
            let requests: Vec<_> = (0..6).map(|value| (1, 4, value as f32)).collect();
            let answers = thread::scope(|scope| {
                let handles = bench.line(scope, &requests);
                bench.release(3);
                join(handles)
            });
            // Whether several rows an item lie item by item is found out once.
            let runs = if nature == Nature::Flat { vec![5, 1] } else { vec![5] };
            assert_eq!(bench.runs(), runs, "{device}");
            for (value, answer) in answers.into_iter().enumerate() {
                let sum = 4.0 * value as f32;
                let own = if nature == Nature::Flat { vec![sum; 3] } else { vec![sum, value as f32] };
                assert_eq!(answer, Ok(own));
            }
        }
    }
}

#[test]
fn where_new_shapes_cost_time_batches_are_filled_up_to_powers_of_two() {
    let bench = bench_of(-1, true, Nature::Honest, Device::Cuda(0), 8, Duration::ZERO);
    bench.warm(2);
    let requests = [(1, 2, 1.0), (1, 2, 2.0), (1, 2, 3.0), (4, 2, 4.0), (5, 2, 5.0)];
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(10);
        join(handles)
    });
    // Two and four, then five.
    assert_eq!(bench.runs(), [8, 8]);
    for ((items, _, value), answer) in requests.into_iter().zip(answers) {
        assert_eq!(answer.unwrap(), [2.0 * value, value].repeat(items));
    }
}

#[test]
fn outputs_that_cannot_be_divided_end_the_filling_up() {
    let bench = bench_of(-1, true, Nature::Interleaved, Device::Cuda(0), 8, Duration::ZERO);
    bench.release(10);
    let sums = |value: f32| vec![value * 2.0; 3].into_iter().chain([value; 3]).collect::<Vec<_>>();
    ask(&bench.session, 1, 2, 1.0).unwrap();
    assert_eq!(ask(&bench.session, 3, 2, 2.0).unwrap(), sums(2.0));
    assert_eq!(ask(&bench.session, 3, 2, 3.0).unwrap(), sums(3.0));
    assert_eq!(bench.runs(), [1, 4, 3, 3]);
}

#[test]
fn a_request_is_never_split_and_a_large_one_runs_by_itself() {
    let bench = bench(Nature::Honest, Device::Cpu, 4, Duration::ZERO);
    bench.warm(2);
    let requests =
        [(1, 2, 1.0), (3, 2, 2.0), (3, 2, 3.0), (1, 2, 4.0), (9, 2, 5.0), (1, 2, 6.0), (1, 2, 7.0)];
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(10);
        join(handles)
    });
    assert_eq!(bench.runs(), [3, 4, 9, 2]);
    for ((items, _, value), answer) in requests.into_iter().zip(answers) {
        assert_eq!(answer.unwrap(), [2.0 * value, value].repeat(items));
    }
}

#[test]
fn requests_of_different_shapes_run_apart() {
    let bench = bench(Nature::Honest, Device::Cpu, 8, Duration::ZERO);
    bench.warm(2);
    bench.warm(3);
    let requests = [(1, 2, 0.0), (1, 2, 1.0), (1, 3, 2.0), (1, 2, 3.0), (1, 3, 4.0), (1, 2, 5.0)];
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(10);
        join(handles)
    });
    assert_eq!(bench.runs(), [3, 2]);
    for ((_, side, value), answer) in requests.into_iter().zip(answers) {
        assert_eq!(answer.unwrap(), [side as f32 * value, value]);
    }
}

#[test]
fn without_batches_each_request_runs_by_itself() {
    let bench = bench(Nature::Honest, Device::Cpu, 1, Duration::ZERO);
    bench.warm(2);
    thread::scope(|scope| {
        let handles = bench.line(scope, &[(1, 2, 0.0), (1, 2, 1.0), (1, 2, 2.0)]);
        bench.release(3);
        join(handles)
    });
    assert_eq!(bench.runs(), [1, 1]);
}

#[test]
fn a_model_of_one_image_a_run_gets_one_at_a_time() {
    let bench = bench_of(1, false, Nature::Honest, Device::Cpu, 8, Duration::ZERO);
    bench.warm(2);
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &[(1, 2, 0.0), (1, 2, 1.0), (1, 2, 2.0)]);
        bench.release(3);
        join(handles)
    });
    assert_eq!(bench.runs(), [1, 1]);
    assert_eq!(answers, [Ok(vec![0.0, 0.0]), Ok(vec![2.0, 1.0]), Ok(vec![4.0, 2.0])]);
}

#[test]
fn a_request_waits_for_others_until_the_batch_is_full() {
    let bench = bench(Nature::Honest, Device::Cpu, 3, Duration::from_secs(60));
    drop(bench.go);
    // The outputs of one item must be known before batches are made.
    ask(&bench.session, 3, 2, 1.0).unwrap();
    ask(&bench.session, 1, 2, 1.0).unwrap();
    let started = Instant::now();
    thread::scope(|scope| {
        for value in 0..6 {
            let session = &bench.session;
            scope.spawn(move || {
                assert_eq!(ask(session, 1, 2, 3.0 + value as f32).unwrap()[1], 3.0 + value as f32)
            });
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(bench.began.try_iter().collect::<Vec<_>>(), [3, 1, 3, 3]);
}

#[test]
fn a_request_waits_no_longer_than_the_timeout() {
    let timeout = Duration::from_millis(80);
    let bench = bench(Nature::Honest, Device::Cpu, 8, timeout);
    drop(bench.go);
    ask(&bench.session, 1, 2, 1.0).unwrap();
    let started = Instant::now();
    ask(&bench.session, 1, 2, 1.0).unwrap();
    let waited = started.elapsed();
    assert!(waited >= timeout && waited < Duration::from_secs(20), "{waited:?}");
}

#[test]
fn outputs_that_cannot_be_divided_are_answered_one_by_one() {
    let bench = bench(Nature::Interleaved, Device::Cpu, 8, Duration::ZERO);
    bench.warm(2);
    let requests = [(1, 2, 0.0), (1, 2, 1.0), (1, 2, 2.0)];
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(4);
        join(handles)
    });
    assert_eq!(bench.runs(), [2, 1, 1]);
    assert_eq!(answers, [Ok(vec![0.0, 0.0]), Ok(vec![2.0, 1.0]), Ok(vec![4.0, 2.0])]);
    let again = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(3);
        join(handles)
    });
    assert_eq!((bench.runs(), again), (vec![1, 1], answers));
}

#[test]
fn outputs_whose_cells_lie_between_each_other_are_answered_one_by_one() {
    let bench = bench(Nature::Braided, Device::Cpu, 8, Duration::ZERO);
    bench.warm(2);
    let requests = [(1, 2, 0.0), (1, 2, 1.0), (1, 2, 2.0)];
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        bench.release(5);
        join(handles)
    });
    assert_eq!(bench.runs(), [2, 1, 1, 1]);
    assert_eq!(answers, [0.0, 2.0, 4.0].map(|sum| Ok(vec![sum; 3])));
}

#[test]
fn a_failure_is_that_of_the_request_that_fails_and_names_model_and_device() {
    let bench = bench(Nature::Picky, Device::Cuda(1), 8, Duration::ZERO);
    bench.warm(2);
    let answers = thread::scope(|scope| {
        let handles = bench.line(scope, &[(1, 2, 1.0), (1, 2, -1.0), (1, 2, 2.0)]);
        bench.release(4);
        join(handles)
    });
    let error = Err("the model `fake` failed while running on cuda:1: it does not like this".to_owned());
    assert_eq!(answers, [Ok(vec![2.0, 1.0]), error, Ok(vec![4.0, 2.0])]);
    bench.release(1);
    assert_eq!(ask(&bench.session, 1, 2, 3.0), Ok(vec![6.0, 3.0]), "the next request is answered");
    assert!(bench.session.works());
}

#[test]
fn a_device_that_has_no_room_for_a_batch_is_asked_about_each_request_by_itself() {
    let bench = bench(Nature::Narrow, Device::Cuda(0), 8, Duration::ZERO);
    bench.warm(2);
    let ask_three = || {
        thread::scope(|scope| {
            let handles = bench.line(scope, &[(1, 2, 1.0), (1, 2, 2.0), (1, 2, 3.0)]);
            bench.release(4);
            join(handles)
        })
    };
    let answers = [Ok(vec![2.0, 1.0]), Ok(vec![4.0, 2.0]), Ok(vec![6.0, 3.0])];
    assert_eq!(ask_three(), answers);
    assert_eq!(bench.runs(), [2, 1, 1]);
    assert_eq!(ask_three(), answers);
    assert_eq!(bench.runs(), [1, 1], "there are no more batches");
}

#[test]
fn a_panic_reaches_all_who_wait_and_all_who_come_later() {
    for device in [Device::Cpu, Device::Cuda(0)] {
        let bench = bench(Nature::Fragile, device, 8, Duration::ZERO);
        bench.warm(2);
        let answers = thread::scope(|scope| {
            let handles = bench.line(scope, &[(1, 2, 1.0), (1, 2, -1.0), (1, 2, 2.0)]);
            bench.release(2);
            join(handles)
        });
        let error = format!("the model `fake` failed while running on {device}: a run panicked (it broke)");
        assert_eq!(answers, [Ok(vec![2.0, 1.0]), Err(error.clone()), Err(error.clone())]);
        assert_eq!(ask(&bench.session, 1, 2, 3.0), Err(format!("{error}; open the model again")));
        assert!(!bench.session.works());
    }
}

#[test]
fn a_worker_that_is_gone_is_an_error_and_no_hang() {
    let bench = bench(Nature::Honest, Device::Cuda(0), 8, Duration::ZERO);
    drop(bench.go);
    let engine = std::sync::Arc::clone(&bench.session.engine);
    let poisoned = thread::spawn(move || {
        let _engine = engine.lock();
        panic!("with the engine in its hands");
    });
    assert!(poisoned.join().is_err());
    for _ in 0..3 {
        let error = ask(&bench.session, 1, 2, 1.0).unwrap_err();
        assert!(error.contains("its worker has ended"), "{error}");
    }
    assert!(!bench.session.works());
}

#[test]
fn a_wrong_number_of_outputs_is_an_error() {
    let bench = bench(Nature::Talkative, Device::Cpu, 8, Duration::ZERO);
    drop(bench.go);
    let error = ask(&bench.session, 1, 2, 1.0).unwrap_err();
    assert!(error.ends_with("it has 1 outputs and gave 2"), "{error}");
}

#[test]
fn a_wrong_request_is_refused_before_it_meets_others() {
    let bench = bench(Nature::Honest, Device::Cpu, 8, Duration::ZERO);
    for (shape, length) in [([1, 1, 2, 1], 3), ([0, 1, 2, 1], 0)] {
        let error = bench.session.run(shape, &mut vec![0.0; length], |_| ()).unwrap_err().to_string();
        assert!(error.contains(&format!("{shape:?} was asked for with {length} values")), "{error}");
    }
    assert!(bench.runs().is_empty());
}

#[test]
fn requesters_wait_outside_when_the_queue_is_full() {
    let bench = bench(Nature::Honest, Device::Cpu, 1, Duration::ZERO);
    bench.warm(2);
    let room = bench.session.queue.as_ref().unwrap().capacity().unwrap();
    let requests: Vec<_> = (0..2 * room + 1).map(|value| (1, 2, value as f32)).collect();
    thread::scope(|scope| {
        let handles = bench.line(scope, &requests);
        let queued = bench.session.queue.as_ref().unwrap().len();
        assert_eq!((queued, bench.session.waiting()), (room, 2 * room));
        bench.release(requests.len());
        for (value, answer) in join(handles).into_iter().enumerate() {
            assert_eq!(answer.unwrap()[1], value as f32);
        }
    });
    assert_eq!(bench.session.waiting(), 0);
}

#[test]
fn buffers_are_used_again() {
    let bench = bench(Nature::Honest, Device::Cuda(0), 1, Duration::ZERO);
    drop(bench.go);
    let mut input = vec![1.0; 2];
    let address = input.as_ptr();
    for _ in 0..10 {
        bench.session.run([1, 1, 2, 1], &mut input, |_| ()).unwrap();
        assert_eq!(input.as_ptr(), address);
    }
    assert_eq!(bench.session.replies.lock().unwrap().len(), 1);
}

#[test]
fn what_was_put_aside_is_answered_when_the_engine_is_spoilt() {
    use crate::inference::{instruments::Instruments, request::Request, worker::Worker};
    let bench = bench(Nature::Honest, Device::Cuda(0), 8, Duration::ZERO);
    let engine = Arc::clone(&bench.session.engine);
    let spoilt = Arc::clone(&engine);
    let spoiler = thread::spawn(move || {
        let _engine = spoilt.lock();
        panic!("with the engine in its hands");
    });
    assert!(spoiler.join().is_err());
    // Somebody may still send, so that the queue does not end.
    let (_sender, requests) = crossbeam_channel::bounded(32);
    let mut worker = Worker::new(requests, engine, 8, Duration::ZERO);
    let instruments = Arc::new(Instruments::new("test".into(), Device::Cpu));
    let answers = [0, 1].map(|_| {
        let (reply, answer) = crossbeam_channel::bounded(1);
        worker.aside.push_back(Request::new([1, 1, 3, 1], vec![1.0; 3], reply, Arc::clone(&instruments)));
        answer
    });
    thread::spawn(move || worker.work());
    for answer in answers {
        let (_, answer) = answer.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(answer.is_err());
    }
}

#[test]
fn a_session_stays_open_while_somebody_keeps_it() {
    let path = crate::model::resolve_model("default").unwrap().path;
    let instance_id = "stays open".to_owned();
    let options = SessionOptions { device: Device::Cpu, instance_id, ..SessionOptions::default() };
    let open = || Arc::downgrade(&SharedSession::open(&path, &options).unwrap());
    assert_eq!(open().strong_count(), 0);
    let keeper = KeepOpen::new();
    let first = open();
    assert!(first.ptr_eq(&open()));
    drop(keeper);
    assert_eq!(first.strong_count(), 0);
}
