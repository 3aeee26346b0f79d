//! Messages as they lie in a file: a sequence of fields. Those that stay are copied as they are, known to us or not.
//!
//! See <https://protobuf.dev/programming-guides/encoding/>.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

use crate::extend::{ExtendError, refuse};

/// Fields of `ModelProto`.
pub(crate) const GRAPH: u32 = 7;
pub(crate) const METADATA: u32 = 14;
/// Fields of `GraphProto`.
pub(crate) const INITIALIZER: u32 = 5;
pub(crate) const OUTPUT: u32 = 12;

/// A field of a message as it lies in the file.
pub(crate) struct Field<'a> {
    /// Its number.
    pub tag: u32,
    /// Its key, length and value.
    pub whole: &'a [u8],
    /// Its value, where that is bytes, text or a message.
    pub body: &'a [u8],
}

/// The fields of a message, in their order.
pub(crate) fn fields(mut rest: &[u8]) -> Result<Vec<Field<'_>>, ExtendError> {
    let damaged = |error: prost::DecodeError| ExtendError(format!("it is no ONNX file: {error}"));
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire) = decode_key(&mut rest).map_err(damaged)?;
        let mut body: &[u8] = &[];
        if wire == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(damaged)?;
            let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let Some((value, after)) = parts else { return refuse("it is no ONNX file: it is cut off") };
            (body, rest) = (value, after);
        } else {
            skip_field(wire, tag, &mut rest, DecodeContext::default()).map_err(damaged)?;
        }
        fields.push(Field { tag, whole: &before[..before.len() - rest.len()], body });
    }
    Ok(fields)
}

/// Writes a field that is a message.
pub(crate) fn write(tag: u32, body: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}
