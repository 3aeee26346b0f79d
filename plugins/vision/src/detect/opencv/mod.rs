//! OpenCV's own detectors: the references that ours are held against, selectable as `backend=opencv`.

mod cascade;
mod dnn;

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

pub use cascade::OpenCvHaar;
pub use dnn::OpenCvSsd;

/// How many threads OpenCV has, a negative number for its default, one a core. Held for reading while OpenCV
/// computes: with TBB, `setNumThreads` takes away the very threads that other callers' work runs on, and the
/// process dies.
static THREADS: RwLock<i32> = RwLock::new(-1);

/// Gives OpenCV its threads, 0 for one a core. They are those of the process: the last detector that is
/// opened decides.
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

    use opencv::{
        core::{Mat, Rect, Size},
        imgcodecs, imgproc,
        prelude::*,
    };

    use crate::{
        detect::{DetectorConfig, DetectorKind, FaceDetector, opencv::OpenCvHaar},
        frame::Frame,
        model,
    };

    /// Four of the sheet's sixteen faces, so small that they are searched in a few milliseconds.
    fn faces() -> Mat {
        let path = model::asset_path("expressions.jpg").unwrap();
        let sheet = imgcodecs::imread(path.to_str().unwrap(), imgcodecs::IMREAD_GRAYSCALE).unwrap();
        let mut small = Mat::default();
        imgproc::resize(&sheet, &mut small, Size::new(320, 240), 0.0, 0.0, imgproc::INTER_AREA).unwrap();
        small.roi(Rect::new(0, 0, 160, 120)).unwrap().try_clone().unwrap()
    }

    #[test]
    fn new_threads_wait_for_the_detectors_that_run_and_change_nothing() {
        let model = model::resolve_model("haar-frontalface-default").unwrap();
        let mut detector = OpenCvHaar::open(&model, &DetectorConfig::new(DetectorKind::Haar)).unwrap();
        let picture = faces();
        let frame = Frame::gray(picture.data_bytes().unwrap(), 160, 120).unwrap();
        let mut boxes = || {
            let mut faces = Vec::new();
            detector.detect(&frame, &mut faces).unwrap();
            // Which of equally certain faces comes first is the threads' to decide.
            let mut boxes: Vec<_> = faces.iter().map(|face| face.box_in_frame).collect();
            boxes.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
            boxes
        };
        let expected = boxes();
        assert!(expected.len() > 1, "{expected:?}");
        std::thread::scope(|scope| {
            let running = scope.spawn(|| (0..500).for_each(|_| assert_eq!(boxes(), expected)));
            for threads in (1..=2).cycle().take_while(|_| !running.is_finished()) {
                super::set_threads(threads).unwrap();
            }
        });
        super::set_threads(0).unwrap();
    }
}
