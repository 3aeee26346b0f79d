//! OpenCV's own detectors: the references that ours are held against, selectable as `backend=opencv`.

mod cascade;

pub use cascade::OpenCvHaar;
