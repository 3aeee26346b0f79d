//! Runs graphs of stages over data sets, with results that last.
//!
//! [`stage`] says what a stage is and [`context`] what it is given; [`flow`] takes its items through workers.
//! [`store`] keeps results; [`ingredients`] is what a result is made of ([`fingerprints`]: of files outside)
//! and [`record`] what is known of how it was made. [`plan`] says what would run and why, [`draw`] draws it,
//! [`schedule`] runs it, [`deliver`] copies results to where they are wanted. [`data`] reads and writes the
//! tables between stages.

pub mod context;
pub mod data;
pub mod deliver;
pub mod draw;
pub mod fingerprints;
pub mod flow;
pub mod graph;
pub mod ingredients;
pub mod limits;
pub mod machine;
pub mod plan;
pub mod progress;
pub mod record;
pub mod schedule;
pub mod sparkline;
pub mod stage;
pub mod store;

pub use context::{Context, Facts, Input, Interrupted};
pub use limits::{Limits, Needs};
pub use record::TIMES;
pub use stage::{Kind, Stage};
