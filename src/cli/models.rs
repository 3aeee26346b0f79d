//! `ferroflow models list|fetch|verify|import`

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use ferroflow_vision::{
    import,
    model::{Manifest, ModelError, manifest::Asset, store},
};

use super::{Exit, Outcome};
use crate::{
    exit,
    models::fetch::{self, Fetched},
};

/// List, fetch, check and import models.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Models,
}

#[derive(Debug, Subcommand)]
enum Models {
    /// Show every model and file of the manifest, and whether it is here.
    List,
    /// Bring models and files; without names, all of them.
    Fetch {
        /// Names from `ferroflow models list`.
        names: Vec<String>,
        /// Bring again what is here.
        #[arg(long)]
        force: bool,
    },
    /// Check every fetched file against the manifest.
    Verify,
    /// Turn a network of another framework into ONNX.
    Import {
        /// A .caffemodel, a Keras .hdf5 or .h5, or an ONNX file whose input size is to be set free.
        file: PathBuf,
        /// The network's deploy.prototxt, for Caffe.
        #[arg(long)]
        prototxt: Option<PathBuf>,
        /// Where the ONNX file goes.
        #[arg(long)]
        out: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Models::List => list(),
        Models::Fetch { names, force } => fetch(names, *force),
        Models::Verify => verify(),
        Models::Import { file, prototxt, out } => {
            let bytes = match (prototxt, file.extension().and_then(|extension| extension.to_str())) {
                (Some(prototxt), _) => import::caffe::import(prototxt, file),
                (None, Some("h5" | "hdf5" | "keras")) => import::keras::import(file),
                (None, Some("caffemodel")) => {
                    return Err(Exit::with(
                        exit::USAGE,
                        anyhow::anyhow!("a caffemodel needs --prototxt, the file that describes its layers"),
                    ));
                }
                (None, _) => import::free_size::import(file),
            };
            crate::atomic::write(out, &bytes.map_err(anyhow::Error::from)?)?;
            outln!("{}", out.display());
            Ok(())
        }
    }
}

fn manifest() -> anyhow::Result<Manifest> {
    Ok(Manifest::load()?)
}

fn list() -> Outcome {
    let manifest = manifest()?;
    for asset in &manifest.assets {
        let path = store::location(asset).map_err(anyhow::Error::from)?;
        let state = if path.is_file() { "here" } else { "missing" };
        let kind = format!("{:?}", asset.kind).to_lowercase();
        let is_default = if asset.name == manifest.defaults.expression { " (default)" } else { "" };
        let package = if asset.version.is_empty() {
            asset.package.clone()
        } else {
            format!("{} {}", asset.package, asset.version)
        };
        outln!("{:<26} {kind:<8} {state:<8} {package:<22} {}{is_default}", asset.name, asset.licence);
    }
    Ok(())
}

fn fetch(names: &[String], force: bool) -> Outcome {
    let manifest = manifest()?;
    let assets: Vec<&Asset> = if names.is_empty() {
        manifest.assets.iter().collect()
    } else {
        let find = |name: &String| {
            let unknown = || ModelError::Unknown { name: name.clone(), known: manifest.names() };
            manifest.asset(name).ok_or_else(unknown)
        };
        names.iter().map(find).collect::<Result<_, _>>().map_err(anyhow::Error::from)?
    };
    let _lock = fetch::lock()?;
    let mut failed = false;
    for (index, asset) in assets.iter().enumerate() {
        let step = format!("[{}/{}] {}", index + 1, assets.len(), asset.name);
        match fetch::fetch(asset, force).with_context(|| asset.name.clone()) {
            Ok(Fetched::Present) => outln!("{step}: here"),
            Ok(Fetched::New) => outln!("{step}: fetched from {} {}", asset.package, asset.version),
            Err(error) => {
                failed = true;
                eprintln!("{step}: {error:#}");
            }
        }
    }
    if failed { Err(Exit::quiet(exit::MISSING)) } else { Ok(()) }
}

fn verify() -> Outcome {
    let mut failed = false;
    for asset in &manifest()?.assets {
        match fetch::check(asset) {
            Ok(()) => outln!("{:<26} as pinned", asset.name),
            Err(error) => {
                failed = true;
                outln!("{:<26} {error:#}", asset.name);
            }
        }
    }
    if failed { Err(Exit::quiet(exit::MISSING)) } else { Ok(()) }
}
