//! What a file says about itself.

use prost::Message;

use crate::proto::MetadataProto;

/// The value that an ONNX file's metadata have for a key; none where they have none, or the bytes are no ONNX file.
pub fn metadata(file: &[u8], key: &str) -> Option<String> {
    let file = MetadataProto::decode(file).ok()?;
    file.metadata_props.into_iter().find(|entry| entry.key == key).map(|entry| entry.value)
}

#[cfg(test)]
mod tests {
    use super::metadata;
    use crate::{GraphBuilder, Side};

    #[test]
    fn what_was_written_is_read() {
        let mut builder = GraphBuilder::default();
        builder.input("x", &[Side::Fixed(1)]);
        builder.metadata("color", "gray");
        builder.metadata("scale", 2);
        let file = builder.finish("model");
        assert_eq!(metadata(&file, "scale").as_deref(), Some("2"));
        assert_eq!(metadata(&file, "mean"), None);
        assert_eq!(metadata(b"not a model", "scale"), None);
    }
}
