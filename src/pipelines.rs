//! The pipeline files that are part of the program: `ferroflow run clip` needs no file.

use std::path::Path;

use crate::graph::{GraphError, PipelineFile, load};

/// A pipeline file of the folder `pipelines`.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// The file's name without `.toml`.
    pub name: &'static str,
    /// What it holds.
    pub text: &'static str,
}

impl Shipped {
    /// The pipeline with what the environment and `sets` (each `key=value`) change in it.
    pub fn load(&self, sets: &[String]) -> Result<PipelineFile, GraphError> {
        load::parse(self.name.as_ref(), self.text, load::environment(), sets)
    }
}

macro_rules! shipped {
    ($name:literal) => {
        Shipped { name: $name, text: include_str!(concat!("../pipelines/", $name, ".toml")) }
    };
}

/// What `ferroflow batch` runs.
pub const DIRECTORY: Shipped = shipped!("directory");

/// All of them: live ones, then those over data sets, in the order in which one would try them.
pub const SHIPPED: &[Shipped] = &[
    shipped!("demo"),
    shipped!("clip"),
    DIRECTORY,
    shipped!("webcam"),
    shipped!("rtsp"),
    shipped!("fer2013-clean"),
    shipped!("fer2013-small"),
    shipped!("fer2013-paper"),
    shipped!("fer2013-model"),
    shipped!("fer2013-balanced"),
    shipped!("fer2013-gains"),
    shipped!("cyclegan-small"),
    shipped!("cyclegan-pairs"),
];

/// The pipeline that is called so.
pub fn find(name: &Path) -> Option<Shipped> {
    SHIPPED.iter().find(|shipped| name == Path::new(shipped.name)).copied()
}
