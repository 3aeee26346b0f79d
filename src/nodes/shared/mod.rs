//! What several nodes share.

pub mod bad_rows;
pub mod classifiers;
pub mod device;
pub mod learning;
pub mod pictures;
pub mod translator;
