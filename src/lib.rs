//! The Ferroflow engine: from a pipeline file to what it leaves behind.
//!
//! [`cli`] reads the command line; [`graph`] reads pipeline files, some of which are part of the program
//! ([`pipelines`]); [`stream`] runs them live, [`batch`] over data sets, with the stages in [`nodes`];
//! [`report`] makes pages of what they did; [`models`] brings what they need; [`bench`] measures.

#[macro_use]
mod out;

pub mod atomic;
pub mod batch;
pub mod bench;
pub mod cli;
pub mod exit;
pub mod fingerprint;
pub mod graph;
pub mod metrics;
pub mod models;
pub mod nodes;
pub mod pipelines;
pub mod report;
pub mod stream;
