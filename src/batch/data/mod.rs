//! The tables between stages: Parquet files that pandas, polars and Hugging Face's `datasets` open as they are.
//!
//! [`table`] reads and writes them in pieces, so that memory does not grow with the data; [`faces`] knows the
//! columns of a table of faces, [`columns`] their names; [`picture`] decodes and encodes; [`classes`] keeps
//! the names of labels.

pub mod classes;
pub mod columns;
pub mod faces;
pub mod picture;
pub mod renumbering;
pub mod sets;
pub mod table;

pub use faces::Faces;
pub use renumbering::Renumbering;
pub use table::{Table, TableWriter};
