//! Batch nodes, one file or folder each, and what several of them share (`shared`). [`KINDS`] is where they
//! are found by name; [`reference`] makes `docs/nodes.md` of the same source.

mod balance;
mod cross_validate;
mod cyclegan;
mod deduplicate;
mod drop_non_faces;
mod evaluate;
mod export;
mod features;
mod fer2013;
mod ferplus;
mod fidelity;
mod filter;
mod finetune;
mod generate;
mod image_folder;
mod join;
mod judge;
mod parquet;
mod predict;
mod protocols;
mod quantize;
pub mod reference;
mod relabel;
mod report;
mod sample;
mod shared;
mod split;
mod train;
mod translate;
mod video_faces;

use crate::batch::Kind;

/// Every kind of node: sources, then what cleans, shapes, compares, and writes.
pub const KINDS: &[Kind] = &[
    Kind::of::<fer2013::Fer2013>(),
    Kind::of::<image_folder::ImageFolder>(),
    Kind::of::<parquet::Parquet>(),
    Kind::of::<video_faces::VideoFaces>(),
    Kind::of::<ferplus::FerPlus>(),
    Kind::of::<deduplicate::Deduplicate>(),
    Kind::of::<drop_non_faces::DropNonFaces>(),
    Kind::of::<cross_validate::CrossValidate>(),
    Kind::of::<relabel::Relabel>(),
    Kind::of::<cyclegan::CycleGan>(),
    Kind::of::<translate::Translate>(),
    Kind::of::<generate::Generate>(),
    Kind::of::<fidelity::Fidelity>(),
    Kind::of::<predict::Predict>(),
    Kind::of::<train::Train>(),
    Kind::of::<features::Features>(),
    Kind::of::<finetune::Finetune>(),
    Kind::of::<quantize::Quantize>(),
    Kind::of::<evaluate::Evaluate>(),
    Kind::of::<protocols::Protocols>(),
    Kind::of::<split::Split>(),
    Kind::of::<balance::Balance>(),
    Kind::of::<filter::Filter>(),
    Kind::of::<sample::Sample>(),
    Kind::of::<join::Join>(),
    Kind::of::<judge::Judge>(),
    Kind::of::<export::Export>(),
    Kind::of::<report::Report>(),
];
