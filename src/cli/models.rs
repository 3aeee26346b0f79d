//! `ferroflow models list|fetch|verify|import`

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Subcommand;
use ferroflow_vision::{
    import::{
        self,
        vgg16::{self, Means},
    },
    model::{
        Manifest, ModelError,
        manifest::{Asset, Registry},
        store,
    },
};
use indicatif::{HumanBytes, ProgressBar};

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
    ///
    /// Known are Caffe's SSD, Keras' convolutional classifiers, and VGG16 without its dense layers, a backbone for
    /// `features` and `finetune`: from a Keras .h5 of weights alone ("notop") or of a whole model, Keras' own or
    /// VGG-Face's, or from torchvision's .safetensors.
    Import {
        /// A .caffemodel, a Keras .hdf5 or .h5, VGG16's .safetensors, or an ONNX file whose input size is to
        /// be set free.
        file: PathBuf,
        /// The network's deploy.prototxt, for Caffe.
        #[arg(long)]
        prototxt: Option<PathBuf>,
        /// Where the ONNX file goes.
        #[arg(long)]
        out: PathBuf,
        /// For VGG16: the sides of its input in pixels, 32 or more, unless given 48. The published networks were
        /// trained with 224.
        #[arg(long)]
        size: Option<usize>,
        /// For VGG16: how it was fed, imagenet (Keras' weights), vggface (keras-vggface, version 1) or torchvision.
        /// Unless given, what the names of its layers say: imagenet for `block1_conv1`, vggface for `conv1_1`,
        /// torchvision for `features.0`.
        #[arg(long)]
        means: Option<Means>,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Models::List => list(),
        Models::Fetch { names, force } => fetch(names, *force),
        Models::Verify => verify(),
        Models::Import { file, prototxt, out, size, means } => {
            let options = vgg16::Options { size: *size, means: *means };
            let bytes = import(file, prototxt.as_deref(), &options)?;
            crate::atomic::write(out, &bytes)?;
            outln!("{}", out.display());
            Ok(())
        }
    }
}

fn import(file: &Path, prototxt: Option<&Path>, options: &vgg16::Options) -> Result<Vec<u8>, Exit> {
    let usage = |reason: &'static str| Exit::with(exit::USAGE, anyhow::anyhow!(reason));
    let is_vgg16 = options.size.is_some() || options.means.is_some();
    let extension = file.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let bytes = match (prototxt, extension.as_deref()) {
        (None, Some("safetensors")) => vgg16::import(file, options),
        (None, Some("h5" | "hdf5" | "keras")) => {
            if is_vgg16 || vgg16::is_in(file).map_err(anyhow::Error::from)? {
                vgg16::import(file, options)
            } else {
                import::keras::import(file)
            }
        }
        _ if is_vgg16 => {
            return Err(usage("--size and --means are for VGG16, in a Keras .h5 or a .safetensors file"));
        }
        (Some(prototxt), _) => import::caffe::import(prototxt, file),
        (None, Some("caffemodel")) => {
            return Err(usage("a caffemodel needs --prototxt, the file that describes its layers"));
        }
        (None, _) => import::free_size::import(file),
    };
    Ok(bytes.map_err(anyhow::Error::from)?)
}

fn manifest() -> anyhow::Result<Manifest> {
    Ok(Manifest::load()?)
}

fn list() -> Outcome {
    let manifest = manifest()?;
    for asset in &manifest.assets {
        let path = store::location(asset).map_err(anyhow::Error::from)?;
        let state = if path.is_file() || asset.registry == Registry::Shipped { "here" } else { "missing" };
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
            let unknown = || ModelError::Unknown { name: name.clone(), known: manifest.names(None) };
            manifest.asset(name).ok_or_else(unknown)
        };
        let found = names.iter().map(find).collect::<Result<_, _>>();
        found.map_err(|error| Exit::with(exit::USAGE, error))?
    };
    let _lock = fetch::lock()?;
    let mut failed = false;
    for (index, asset) in assets.iter().enumerate() {
        let step = format!("[{}/{}] {}", index + 1, assets.len(), asset.name);
        let spinner =
            ProgressBar::new_spinner().with_message(format!("{step}: {} {}", asset.package, asset.version));
        spinner.enable_steady_tick(Duration::from_millis(250));
        let fetched = fetch::fetch(asset, force).with_context(|| asset.name.clone());
        spinner.finish_and_clear();
        match fetched {
            Ok(Fetched::Present) => outln!("{step}: here"),
            Ok(Fetched::New) if asset.registry == Registry::Shipped => outln!("{step}: part of the program"),
            Ok(Fetched::New) => {
                let bytes = store::location(asset)
                    .ok()
                    .and_then(|path| path.metadata().ok())
                    .map_or(0, |file| file.len());
                outln!("{step}: {} out of {} {}", HumanBytes(bytes), asset.package, asset.version);
            }
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
