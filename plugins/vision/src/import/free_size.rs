//! Sets the input size of a fully convolutional ONNX network free, where the exporter froze it.

use std::path::Path;

use prost::Message;

use super::{
    ImportError, about,
    onnx::{Dimension, ModelProto, Side, ValueInfoProto},
    read,
};

/// Reads an ONNX file and answers it with free batch, height and width, and without shapes that were inferred from them.
pub fn import(path: &Path) -> Result<Vec<u8>, ImportError> {
    let fail = about(path);
    let bytes = read(path)?;
    let mut model = ModelProto::decode(bytes.as_slice())
        .map_err(|error| fail(format!("not an ONNX file, or cut short ({error})")))?;
    let graph = model.graph.as_mut().ok_or_else(|| fail("an ONNX file without a graph".into()))?;
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

fn dimensions(value: &mut ValueInfoProto) -> &mut Vec<Dimension> {
    let kind = value.r#type.get_or_insert_default();
    &mut kind.tensor_type.get_or_insert_default().shape.get_or_insert_default().dim
}
