//! `ferroflow doctor`

use std::path::Path;

use ferroflow_vision::{
    inference::{self, SessionOptions, SharedSession},
    model::{self, Manifest, ModelError, manifest::Kind, store},
};

use gst::prelude::*;

use super::{Exit, Outcome};
use crate::{
    batch::{self, limits::in_words, store::Store},
    exit, stream,
};

/// GStreamer elements that shipped pipelines use, and the Debian package that has each.
const ELEMENTS: [(&str, &str); 15] = [
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("videotestsrc", "gstreamer1.0-plugins-base"),
    ("appsink", "gstreamer1.0-plugins-base"),
    ("videoflip", "gstreamer1.0-plugins-good"),
    ("qtdemux", "gstreamer1.0-plugins-good"),
    ("matroskademux", "gstreamer1.0-plugins-good"),
    ("avidemux", "gstreamer1.0-plugins-good"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("rtspsrc", "gstreamer1.0-plugins-good"),
    ("v4l2src", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("tsdemux", "gstreamer1.0-plugins-bad"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avdec_h264", "gstreamer1.0-libav"),
];

/// Prints a line and remembers whether anything needed is missing.
#[derive(Default)]
struct Doctor {
    missing: bool,
}

impl Doctor {
    fn good(&self, what: &str, version: &str) {
        outln!("ok       {what:<24} {version}");
    }

    fn absent(&self, what: &str, advice: &str) {
        outln!("absent   {what:<24} {advice}");
    }

    fn bad(&mut self, what: &str, advice: &str) {
        self.missing = true;
        outln!("MISSING  {what:<24} {advice}");
    }
}

/// Runs the command.
pub fn run() -> Outcome {
    let mut doctor = Doctor::default();
    doctor.good("ferroflow", env!("CARGO_PKG_VERSION"));
    gstreamer(&mut doctor);
    match ferroflow_vision::detect::opencv_version() {
        Some(version) => doctor.good("OpenCV", &version),
        None => doctor.absent("OpenCV", "this build has none, and with it no backend=opencv"),
    }
    onnxruntime(&mut doctor);
    match ferroflow_cuda::ready(0) {
        Ok(name) => doctor.good("CUDA kernels", &format!("{name}; detector=haar and training run there")),
        Err(error) => {
            doctor.absent("CUDA kernels", &format!("detector=haar and training run on the CPU. ({error})"))
        }
    }
    models(&mut doctor);
    results(&mut doctor);
    if doctor.missing { Err(Exit::quiet(exit::MISSING)) } else { Ok(()) }
}

fn gstreamer(doctor: &mut Doctor) {
    match stream::init() {
        Ok(()) => doctor.good("GStreamer", &gst::version_string()),
        Err(error) => return doctor.bad("GStreamer", &format!("{error:#}: install gstreamer1.0-tools")),
    }
    for (name, package) in ELEMENTS {
        match gst::ElementFactory::find(name).and_then(|factory| factory.plugin()) {
            Some(plugin) => {
                doctor.good(&format!("  {name}"), &format!("{} {}", plugin.plugin_name(), plugin.version()))
            }
            None => doctor.bad(&format!("  {name}"), &format!("apt-get install {package}")),
        }
    }
    let ours = gst::Registry::get().find_plugin("ferroflow");
    if ours.is_none() {
        doctor.bad("  ferroflow's elements", "a bug: they are part of this program");
    }
}

fn onnxruntime(doctor: &mut Doctor) {
    let library = match model::onnxruntime_library() {
        Ok(library) => library,
        Err(error) => return doctor.bad("ONNX Runtime", &error.to_string()),
    };
    match inference::runtime_version() {
        Ok(version) => doctor.good("ONNX Runtime", &format!("{version}, {}", library.display())),
        Err(error) => return doctor.bad("ONNX Runtime", &error.to_string()),
    }
    match inference::cuda_provider() {
        Ok(()) => doctor.good("CUDA", "ONNX Runtime's CUDA provider loads; device=auto tries it first"),
        Err(error) => {
            let reason = error.to_string();
            let first = reason.lines().next().unwrap_or_default();
            doctor.absent("CUDA", &format!("models run on the CPU. For CUDA, point ORT_DYLIB_PATH at the library of the package onnxruntime-gpu. ({first})"));
        }
    }
}

fn models(doctor: &mut Doctor) {
    let manifest = match Manifest::load() {
        Ok(manifest) => manifest,
        Err(error) => return doctor.bad("model manifest", &error.to_string()),
    };
    // Else each model would say what the runtime has said.
    let can_load = inference::runtime_version().is_ok();
    for asset in manifest.assets.iter().filter(|asset| asset.kind != Kind::Runtime) {
        let what = format!("  {}", asset.name);
        match store::here(asset) {
            Ok(path) if asset.kind == Kind::Model && can_load => model(doctor, &what, &path, &asset.name),
            Ok(path) => doctor.good(&what, &path.display().to_string()),
            Err(ModelError::NotFetched { .. }) if asset.kind == Kind::Cascade => {
                doctor.bad(&what, &format!("apt-get install {}", asset.package))
            }
            Err(ModelError::NotFetched { name, .. }) => {
                doctor.bad(&what, &format!("ferroflow models fetch {name}"))
            }
            Err(error) => doctor.bad(&what, &error.to_string()),
        }
    }
}

/// The store of batch results, where there is one.
fn results(doctor: &mut Doctor) {
    match batch::store::default_root() {
        Ok(root) if !root.is_dir() => doctor.absent("result store", "no batch graph has run here yet"),
        Ok(root) => match Store::open(&root) {
            Ok(store) => {
                let results = store.results();
                let bytes = results.iter().map(|result| result.record.bytes).sum();
                let (count, bytes) = (results.len(), in_words(bytes));
                doctor.good("result store", &format!("{count} results, {bytes}, in {}", root.display()));
            }
            Err(error) => doctor.bad("result store", &format!("{error:#}")),
        },
        Err(error) => doctor.bad("result store", &format!("{error:#}")),
    }
}

/// Loads a network as elements do that name no device, to say which one they would get.
fn model(doctor: &mut Doctor, what: &str, path: &Path, name: &str) {
    match SharedSession::open(path, &SessionOptions::default()) {
        Ok(session) => doctor.good(what, &format!("{}, runs on {}", path.display(), session.device())),
        Err(error) => {
            doctor.bad(
                what,
                &format!("{error}; if the file is damaged, `ferroflow models fetch {name}` brings another"),
            );
        }
    }
}
