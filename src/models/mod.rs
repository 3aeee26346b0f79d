//! Brings the files of the model manifest into the cache, and checks them.

pub mod fetch;
pub mod package;
pub mod verify;
