//! Weights that lie beside a network, in files of their own: what files of more than 2 GB need, and newer exporters write of any.

use prost::Message;

use crate::{
    proto::StringEntry,
    wire::{self, INITIALIZER},
};

/// Where a constant lies, if not in the file.
#[derive(Clone, PartialEq, Message)]
struct Place {
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringEntry>,
}

/// The files with weights that a network names, as paths from its own folder, each once; none where its weights are in it, or where the bytes
/// are no ONNX file.
pub fn external_files(file: &[u8]) -> Vec<String> {
    let fields = wire::graph_fields(file).unwrap_or_default();
    let constants = fields.iter().filter(|field| field.tag == INITIALIZER);
    let places = constants.filter_map(|field| Place::decode(field.body).ok());
    let entries = places.flat_map(|place| place.external_data);
    let mut files: Vec<String> =
        entries.filter(|entry| entry.key == "location").map(|entry| entry.value).collect();
    files.sort_unstable();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphProto, ModelProto, TensorProto};

    #[test]
    fn files_beside_a_network_are_named_once() {
        let entry = |key: &str, value: &str| StringEntry { key: key.into(), value: value.into() };
        let place = Place { external_data: vec![entry("location", "net.bin"), entry("offset", "8")] };
        let mut graph = GraphProto { name: "g".into(), ..GraphProto::default() }.encode_to_vec();
        for name in ["a", "b"] {
            let mut constant = TensorProto { name: name.into(), ..TensorProto::default() }.encode_to_vec();
            constant.extend(place.encode_to_vec());
            wire::append(INITIALIZER, &constant, &mut graph);
        }
        let mut model = ModelProto::default().encode_to_vec();
        wire::append(7, &graph, &mut model);
        assert_eq!(external_files(&model), ["net.bin"]);
        assert!(external_files(b"no network").is_empty());
    }
}
