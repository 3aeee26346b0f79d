//! A network as ONNX Runtime loads it, on the device that was asked for or not at all.

use std::path::Path;

use ferroflow_onnx::without_prelu;
use ort::session::{Session, builder::GraphOptimizationLevel};

use super::{
    Device, InferenceError, SessionOptions,
    by_shape::ByShape,
    network::{Network, TensorInfo},
    runtime,
};

/// A network that has been loaded, with what it takes and gives.
pub(super) struct Loaded {
    pub network: Box<dyn Network>,
    /// True where each new shape of input costs time, so that there had better be few.
    pub few_shapes: bool,
    /// Never [`Device::Auto`].
    pub device: Device,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
}

impl Loaded {
    /// Loads a file.
    pub fn load(path: &Path, options: &SessionOptions) -> Result<Self, InferenceError> {
        let cannot = |error: std::io::Error| InferenceError::Load {
            path: path.to_owned(),
            device: if options.device == Device::Auto { Device::Cpu } else { options.device },
            reason: error.to_string(),
        };
        let bytes = std::fs::read(path).map_err(cannot)?;
        let (session, device) = match options.device {
            Device::Auto => match load_on(path, &bytes, options, Device::Cuda(0)) {
                Ok(session) => (session, Device::Cuda(0)),
                Err(reason) => {
                    tracing::debug!(%reason, "CUDA is not usable, taking the CPU");
                    (load_on(path, &bytes, options, Device::Cpu)?, Device::Cpu)
                }
            },
            device => (load_on(path, &bytes, options, device)?, device),
        };
        let info = |outlet: &ort::value::Outlet| TensorInfo {
            name: outlet.name().to_owned(),
            shape: outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default(),
        };
        let (inputs, outputs) =
            (session.inputs().iter().map(info).collect(), session.outputs().iter().map(info).collect());
        let (few_shapes, network): (_, Box<dyn Network>) = match device {
            Device::Cuda(_) => {
                let (path, options) = (path.to_owned(), options.clone());
                // Of the same bytes, whatever becomes of the file.
                let make =
                    move || load_on(&path, &bytes, &options, device).map_err(|error| error.to_string());
                (true, Box::new(ByShape::new(session, make)))
            }
            _ => (false, Box::new(session)),
        };
        Ok(Self { network, few_shapes, device, inputs, outputs })
    }
}

/// ONNX Runtime's key for the folder with a network's weights, where they are not in its file.
const WEIGHTS: &str = "session.model_external_initializers_file_folder_path";

fn load_on(
    path: &Path,
    bytes: &[u8],
    options: &SessionOptions,
    device: Device,
) -> Result<Session, InferenceError> {
    let environment = runtime::environment()?;
    let failed = |reason: String| InferenceError::Load { path: path.to_owned(), device, reason };
    let build = || -> ort::Result<Session> {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        // Spinning threads would take the cores from the decoder and the other elements.
        let mut builder = Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(false)?;
        // Weights may lie beside the network, in files that it names; out of memory it has no place of its own.
        if let Some(folder) = std::path::absolute(path).ok().as_deref().and_then(Path::parent) {
            builder = builder.with_config_entry(WEIGHTS, folder.to_string_lossy())?;
        }
        if let Device::Cuda(index) = device {
            builder = builder.with_execution_providers([runtime::cuda(index)])?;
        }
        let quicker = match device {
            // What cannot be read here is ONNX Runtime's to complain about.
            Device::Cpu => without_prelu(bytes).ok().flatten(),
            _ => None,
        };
        builder.commit_from_memory(quicker.as_deref().unwrap_or(bytes))
    };
    let session = build().map_err(|error| failed(error.to_string()))?;
    match device {
        Device::Cuda(index) if !runtime::has_cuda(&session, index) => {
            Err(failed("ONNX Runtime took another provider than CUDA".into()))
        }
        _ => Ok(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resolve_model;

    #[test]
    fn weights_beside_a_network_are_found_wherever_the_program_runs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/net.onnx");
        let files: Vec<_> = resolve_model(&path.to_string_lossy()).unwrap().files().collect();
        assert_eq!(files, [path.clone(), path.with_file_name("net.bin")]);
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        let mut loaded = Loaded::load(&path, &options).unwrap();
        let mut outputs = Vec::new();
        loaded.network.run([1, 1, 1, 2], &[1.0, 10.0], &mut outputs).unwrap();
        let (_, values) = outputs[0].try_extract_tensor::<f32>().unwrap();
        assert_eq!(values, [2.0, 30.0]);
    }

    #[test]
    fn a_session_on_the_cpu_does_not_pass_for_one_on_cuda() {
        let path = resolve_model("default").unwrap().path;
        let bytes = std::fs::read(&path).unwrap();
        let session = load_on(&path, &bytes, &SessionOptions::default(), Device::Cpu).unwrap();
        assert!(!runtime::has_cuda(&session, 0));
    }

    #[test]
    fn without_prelu_networks_answer_the_same_to_the_last_bit() {
        let answers = |mut session: Session, shape: [usize; 4]| {
            let input: Vec<f32> =
                (0..shape.iter().product()).map(|at| (at * 7919 % 509) as f32 / 254.5 - 1.0).collect();
            let mut outputs = Vec::new();
            Network::run(&mut session, shape, &input, &mut outputs).unwrap();
            let bits = |value: &ort::value::DynValue| {
                let (_, values) = value.try_extract_tensor::<f32>().unwrap();
                values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
            };
            outputs.iter().map(bits).collect::<Vec<_>>()
        };
        let shapes = [
            ("mtcnn-pnet", [1, 3, 40, 40]),
            ("mtcnn-rnet", [3, 3, 24, 24]),
            ("mtcnn-onet", [3, 3, 48, 48]),
            ("sface", [1, 3, 112, 112]),
        ];
        for (path, shape) in shapes.map(|(name, shape)| (resolve_model(name).unwrap().path, shape)) {
            let bytes = std::fs::read(&path).unwrap();
            let plain = Session::builder(runtime::environment().unwrap()).unwrap();
            let plain = plain.with_intra_threads(1).unwrap().commit_from_memory(&bytes).unwrap();
            let options = SessionOptions { threads: 1, ..SessionOptions::default() };
            let quicker = load_on(&path, &bytes, &options, Device::Cpu).unwrap();
            assert_eq!(answers(quicker, shape), answers(plain, shape), "{}", path.display());
        }
    }

    #[test]
    fn auto_says_which_device_it_took() {
        let path = resolve_model("default").unwrap().path;
        let loaded = Loaded::load(&path, &SessionOptions::default()).unwrap();
        assert_ne!(loaded.device, Device::Auto);
    }
}
