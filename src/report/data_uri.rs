//! Pictures inside a page.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A picture of this format (`png`, `jpeg`) as a `data:` address.
pub fn data_uri(format: &str, picture: &[u8]) -> String {
    format!("data:image/{format};base64,{}", STANDARD.encode(picture))
}
