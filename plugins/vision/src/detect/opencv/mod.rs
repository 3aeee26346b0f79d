//! OpenCV's own detectors: the references that ours are held against, selectable as `backend=opencv`.

mod cascade;
mod dnn;

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

pub use cascade::OpenCvHaar;
pub use dnn::OpenCvSsd;

/// How many threads OpenCV has, a negative number for its default, one a core. Held for reading while OpenCV computes: with
/// TBB, `setNumThreads` takes away the very threads that other callers' work runs on, and the process dies.
static THREADS: RwLock<i32> = RwLock::new(-1);

/// Gives OpenCV its threads, 0 for one a core. They are those of the process: the last detector that is opened decides.
fn set_threads(threads: usize) -> opencv::Result<()> {
    // 0 would mean "no threads" to OpenCV.
    let wanted = i32::try_from(threads).ok().filter(|count| *count > 0).unwrap_or(-1);
    if *computing() == wanted {
        return Ok(());
    }
    let mut threads = THREADS.write().unwrap_or_else(PoisonError::into_inner);
    opencv::core::set_num_threads(wanted)?;
    *threads = wanted;
    Ok(())
}

/// Keeps the threads in place while OpenCV computes.
fn computing() -> RwLockReadGuard<'static, i32> {
    THREADS.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::{
        detect::{DetectorConfig, DetectorKind, FaceDetector, opencv::OpenCvHaar},
        frame::Frame,
        model,
    };

    #[test]
    fn new_threads_wait_for_the_detectors_that_run() {
        let model = model::resolve_model("haar-frontalface-default").unwrap();
        let mut detector = OpenCvHaar::open(&model, &DetectorConfig::new(DetectorKind::Haar)).unwrap();
        let pixels: Vec<u8> = (0..120 * 80).map(|at| (at * at / 97) as u8).collect();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                let (frame, mut faces) = (Frame::gray(&pixels, 120, 80).unwrap(), Vec::new());
                (0..1000).for_each(|_| detector.detect(&frame, &mut faces).unwrap());
            });
            for threads in (1..=2).cycle().take_while(|_| !running.is_finished()) {
                super::set_threads(threads).unwrap();
            }
        });
        super::set_threads(0).unwrap();
    }
}
