//! Sets the input size of a fully convolutional ONNX network free, where the exporter froze it.

use std::path::Path;

use ferroflow_onnx::{Dimension, GraphProto, ModelProto, Side, TensorProto, ValueInfoProto};
use prost::Message;

use super::{ImportError, about, read};

/// Reads an ONNX file and answers it with free batch, height and width, and without shapes that were inferred
/// from them.
pub fn import(path: &Path) -> Result<Vec<u8>, ImportError> {
    import_bytes(&read(path)?).map_err(about(path))
}

/// The same for a file that has been read.
pub fn import_bytes(onnx: &[u8]) -> Result<Vec<u8>, String> {
    let mut model =
        ModelProto::decode(onnx).map_err(|error| format!("not an ONNX file, or cut short ({error})"))?;
    let graph = model.graph.as_mut().ok_or("an ONNX file without a graph")?;
    free_resizes(graph)?;
    graph.value_info.clear();
    for input in &mut graph.input {
        let sides = dimensions(input);
        if let [batch, _, height, width] = sides.as_mut_slice() {
            *batch = Side::Free("batch").into();
            *height = Side::Free("height").into();
            *width = Side::Free("width").into();
        }
    }
    for output in &mut graph.output {
        for (index, side) in dimensions(output).iter_mut().enumerate().take(2) {
            let dim_param = Some(format!("out{index}"));
            *side = Dimension { dim_value: None, dim_param };
        }
    }
    // Each output keeps names of its own, for each has another number of rows.
    for (index, output) in graph.output.iter_mut().enumerate() {
        for side in dimensions(output) {
            if let Some(name) = &mut side.dim_param {
                name.push_str(&format!("_{index}"));
            }
        }
    }
    Ok(model.encode_to_vec())
}

/// Turns enlargements to a fixed size into enlargements by the factor that this size was for the frozen input.
fn free_resizes(graph: &mut GraphProto) -> Result<(), String> {
    let mut factors = Vec::new();
    for node in graph.node.iter_mut().filter(|node| node.op_type == "Resize") {
        let [image, roi, _, sizes] = node.input.as_slice() else { continue };
        let known = graph.value_info.iter_mut().find(|value| value.name == *image);
        let from = known.map(|value| dimensions(value).iter().map(|side| side.dim_value).collect::<Vec<_>>());
        let to = graph.initializer.iter().find(|tensor| tensor.name == *sizes).map(TensorProto::integers);
        let (Some(from), Some(to)) = (from, to) else {
            return Err(format!("`{}` resizes to a size that cannot be made free", node.name));
        };
        let scales: Vec<f32> =
            from.iter().zip(&to).filter_map(|(from, &to)| Some(to as f32 / (*from)? as f32)).collect();
        if scales.len() != 4 || scales.iter().any(|scale| !scale.is_finite() || *scale <= 0.0) {
            return Err(format!("`{}` resizes {from:?} to {to:?}, which is no enlargement", node.name));
        }
        let name = format!("{sizes}_scales");
        node.input = vec![image.clone(), roi.clone(), name.clone()];
        factors.push(TensorProto::floats(name, &[scales.len()], &scales));
    }
    graph.initializer.extend(factors);
    let is_used = |tensor: &TensorProto| graph.node.iter().any(|node| node.input.contains(&tensor.name));
    graph.initializer.retain(is_used);
    Ok(())
}

fn dimensions(value: &mut ValueInfoProto) -> &mut Vec<Dimension> {
    let kind = value.r#type.get_or_insert_default();
    &mut kind.tensor_type.get_or_insert_default().shape.get_or_insert_default().dim
}
