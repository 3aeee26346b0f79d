//! Pages that a run leaves behind. Each is one file: styles and plots are inside, nothing is loaded from elsewhere.

pub mod cleaning;
pub mod data_uri;
pub mod detectors;
pub mod directory;
pub mod evaluation;
pub mod fidelity;
pub mod format;
pub mod plot;
pub mod protocols;
pub mod training;
