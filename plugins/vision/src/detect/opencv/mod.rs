//! OpenCV's own detectors: the references that ours are held against, selectable as `backend=opencv`.

mod cascade;
mod dnn;

pub use cascade::OpenCvHaar;
pub use dnn::OpenCvSsd;

/// OpenCV's threads are those of the process: the last detector that is opened decides.
fn set_threads(threads: usize) -> opencv::Result<()> {
    let threads = i32::try_from(threads).unwrap_or(0);
    // 0 would mean "no threads" to OpenCV; a negative number asks for its default, one a core.
    opencv::core::set_num_threads(if threads == 0 { -1 } else { threads })
}
