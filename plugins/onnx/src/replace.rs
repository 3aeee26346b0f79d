//! Networks with other weights. What else a file holds is kept byte for byte.

use prost::Message;

use crate::{
    error::OnnxError,
    extend::{parse, refuse},
    proto::{FLOAT, GraphProto, TensorProto},
    wire::{self, Field, INITIALIZER},
};

/// The network with these values in place of the initialisers of these names.
///
/// # Errors
/// If the bytes are no ONNX file, an initialiser is not there or not of floats, or has another number of values.
pub fn with_weights(file: &[u8], weights: &[(&str, &[f32])]) -> Result<Vec<u8>, OnnxError> {
    let graph = parse(file)?.graph.unwrap_or_default();
    let new = weights.iter().map(|(name, values)| {
        match graph.initializer.iter().find(|tensor| tensor.name == *name) {
            Some(tensor) => replaced(tensor, values),
            None => refuse(format!("it has no initialiser `{name}`")),
        }
    });
    let more = GraphProto { initializer: new.collect::<Result<_, _>>()?, ..GraphProto::default() };
    let is_replaced = |part: &Field<'_>| {
        part.tag == INITIALIZER
            && TensorProto::decode(part.body)
                .is_ok_and(|tensor| weights.iter().any(|(name, _)| *name == tensor.name))
    };
    wire::rewritten(file, |part| !is_replaced(part), &more.encode_to_vec(), &[], 0).map_err(OnnxError)
}

fn replaced(tensor: &TensorProto, values: &[f32]) -> Result<TensorProto, OnnxError> {
    let TensorProto { name, dims, data_type, .. } = tensor;
    if *data_type != FLOAT {
        return refuse(format!(
            "its initialiser `{name}` is of type {data_type}, where floats (type {FLOAT}) are needed"
        ));
    }
    let sides: Vec<usize> = dims.iter().filter_map(|&side| usize::try_from(side).ok()).collect();
    if sides.len() != dims.len() || sides.iter().product::<usize>() != values.len() {
        return refuse(format!(
            "its initialiser `{name}` is {dims:?}, and {} values are given",
            values.len()
        ));
    }
    Ok(TensorProto::floats(name.clone(), &sides, values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::{GraphBuilder, ModelProto, Side};

    fn network(half: f32) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        graph.input("x", &[Side::Free("N"), Side::Fixed(2)]);
        let ones = graph.floats("ones", &[2], &[1.0, 1.0]);
        let half = graph.floats("half", &[1, 2], &[half, half]);
        let row = graph.ints("row", &[1]);
        graph.node("Add", "more", &["x", &ones], vec![]);
        graph.node("Mul", "less", &["more", &half], vec![]);
        graph.output("less", &[Side::Free("N"), Side::Fixed(2)]);
        graph.metadata("about", row);
        graph.finish("small")
    }

    #[test]
    fn weights_are_replaced_and_the_rest_is_kept() {
        // In another order, new ones last.
        let sorted = |file: &[u8]| {
            let mut model = ModelProto::decode(file).unwrap();
            model.graph.as_mut().unwrap().initializer.sort_by(|a, b| a.name.cmp(&b.name));
            model
        };
        let after = with_weights(&network(0.5), &[("half", &[0.25, 0.25])]).unwrap();
        assert_eq!(sorted(&after), sorted(&network(0.25)));
        assert_eq!(sorted(&with_weights(&network(0.5), &[]).unwrap()), sorted(&network(0.5)));
        let mut file = network(0.5);
        // `ModelProto.functions`, which our messages leave out.
        let unknown = [0xca, 0x01, 0x03, b'a', b'b', b'c'];
        file.extend(unknown);
        let after = with_weights(&file, &[("half", &[0.0, 1.0])]).unwrap();
        assert!(after.windows(unknown.len()).any(|bytes| bytes == unknown));
        let graph = ModelProto::decode(&*after).unwrap().graph.unwrap();
        let half = graph.initializer.iter().find(|tensor| tensor.name == "half").unwrap();
        assert_eq!((half.dims.as_slice(), half.singles()), (&[1, 2][..], Some(vec![0.0, 1.0])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |name: &str, values: &[f32]| {
            with_weights(&network(0.5), &[(name, values)]).unwrap_err().to_string()
        };
        assert_eq!(refused("third", &[1.0]), "it has no initialiser `third`");
        assert_eq!(refused("half", &[1.0]), "its initialiser `half` is [1, 2], and 1 values are given");
        assert!(refused("row", &[1.0]).contains("is of type 7, where floats (type 1) are needed"));
        assert!(with_weights(b"not a model", &[]).is_err());
    }
}
