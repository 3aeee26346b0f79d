//! Files as they lie: what is not changed is copied byte for byte, known to us or not.
//!
//! A message is the sequence of its fields. See <https://protobuf.dev/programming-guides/encoding/>.

use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field},
};

use crate::proto::{ModelProto, NodeProto, StringEntry};

/// Fields of `ModelProto`.
const IR_VERSION: u32 = 1;
const GRAPH: u32 = 7;
pub(crate) const OPSET: u32 = 8;
const METADATA: u32 = 14;

/// Fields of `GraphProto`: nodes, and constants.
pub(crate) const NODE: u32 = 1;
pub(crate) const INITIALIZER: u32 = 5;

/// A field of a message as it lies in the file.
pub(crate) struct Field<'a> {
    pub tag: u32,
    /// Its key, length and value.
    pub whole: &'a [u8],
    /// Its value, where that is bytes, text or a message.
    pub body: &'a [u8],
}

/// The fields of a message, in their order.
pub(crate) fn fields(mut rest: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let damaged = |error: prost::DecodeError| format!("it is no ONNX file: {error}");
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire) = decode_key(&mut rest).map_err(damaged)?;
        let mut body: &[u8] = &[];
        if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(damaged)?;
            let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let Some((value, after)) = parts else { return Err("it is no ONNX file: it is cut off".into()) };
            (body, rest) = (value, after);
        } else {
            skip_field(wire, tag, &mut rest, DecodeContext::default()).map_err(damaged)?;
        }
        fields.push(Field { tag, whole: &before[..before.len() - rest.len()], body });
    }
    Ok(fields)
}

/// The fields of a file's graph.
pub(crate) fn graph_fields(file: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let mut graphs = fields(file)?.into_iter().filter(|field| field.tag == GRAPH);
    graphs
        .next()
        .map_or_else(|| Err("it is no ONNX file: it holds no graph".into()), |graph| fields(graph.body))
}

/// A file as a message, if there is a graph in it.
pub(crate) fn parse(file: &[u8]) -> Result<ModelProto, String> {
    let no_file = |reason: &dyn std::fmt::Display| format!("it is no ONNX file: {reason}");
    let model = ModelProto::decode(file).map_err(|error| no_file(&error))?;
    if model.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
        return Err(no_file(&"it holds no graph"));
    }
    Ok(model)
}

/// The version of the standard operators that a file imports.
pub(crate) fn opset(model: &ModelProto) -> Option<i64> {
    let mut sets = model.opset_import.iter();
    sets.find(|set| matches!(set.domain.as_str(), "" | "ai.onnx")).map(|set| set.version)
}

/// The file with those fields of its graph that are to be kept, `more` fields behind them, these metadata,
/// and at least this IR version.
pub(crate) fn rewritten(
    file: &[u8],
    is_kept: impl Fn(&Field<'_>) -> bool,
    more: &[u8],
    metadata: &[(&str, String)],
    least_ir_version: i64,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(file.len() + more.len() + 1024);
    let (mut graphs, ir_version) = (0, parse(file)?.ir_version);
    for field in fields(file)? {
        let is_replaced = || {
            let entry = StringEntry::decode(field.body).unwrap_or_default();
            metadata.iter().any(|(key, _)| *key == entry.key)
        };
        match field.tag {
            GRAPH => {
                graphs += 1;
                let mut graph = Vec::with_capacity(field.body.len() + more.len());
                for part in fields(field.body)?.iter().filter(|part| is_kept(part)) {
                    graph.extend_from_slice(part.whole);
                }
                graph.extend_from_slice(more);
                append(GRAPH, &graph, &mut out);
            }
            METADATA if is_replaced() => {}
            IR_VERSION if ir_version < least_ir_version => {}
            _ => out.extend_from_slice(field.whole),
        }
    }
    if graphs != 1 {
        return Err(format!("it is no ONNX file: it holds {graphs} graphs"));
    }
    let entry = |(key, value): &(&str, String)| StringEntry { key: (*key).to_owned(), value: value.clone() };
    let rest = ModelProto {
        ir_version: if ir_version < least_ir_version { least_ir_version } else { 0 },
        metadata_props: metadata.iter().map(entry).collect(),
        ..ModelProto::default()
    };
    out.extend(rest.encode_to_vec());
    Ok(out)
}

/// The file with other nodes in place of those for which `others` gives some, and how many these were; of its own fields
/// those that are to be kept.
pub(crate) fn with_nodes(
    file: &[u8],
    is_kept: impl Fn(&Field<'_>) -> bool,
    others: impl Fn(&NodeProto) -> Option<Vec<NodeProto>>,
) -> Result<(Vec<u8>, usize), String> {
    let (mut out, mut replaced) = (Vec::with_capacity(file.len() + 4096), 0);
    for field in fields(file)?.iter().filter(|field| is_kept(field)) {
        if field.tag != GRAPH {
            out.extend_from_slice(field.whole);
            continue;
        }
        let mut graph = Vec::with_capacity(field.body.len() + 4096);
        for part in fields(field.body)? {
            let node = (part.tag == NODE).then(|| NodeProto::decode(part.body).unwrap_or_default());
            match node.as_ref().and_then(&others) {
                Some(nodes) => {
                    replaced += 1;
                    nodes.iter().for_each(|node| append(NODE, &node.encode_to_vec(), &mut graph));
                }
                None => graph.extend_from_slice(part.whole),
            }
        }
        append(GRAPH, &graph, &mut out);
    }
    Ok((out, replaced))
}

/// Appends a field with this value.
pub(crate) fn append(tag: u32, body: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

/// The word, or one with a number behind it, so that the file nowhere has what is made of it; not even in a
/// graph inside a node.
pub(crate) fn free_word(file: &[u8], word: &str, around: impl Fn(&str) -> String) -> String {
    let is_taken = |word: &str| {
        let text = around(word);
        file.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    let mut free = word.to_owned();
    let mut next = 2;
    while is_taken(&free) {
        free = format!("{word}{next}");
        next += 1;
    }
    free
}
