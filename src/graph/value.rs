//! Values that come as text.

/// What stands behind a key: TOML where it is TOML, else text.
pub fn read(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let parsed = parsed.ok().filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// As [`read`], for a key that has a value already: where that is text, this is text too, whatever it looks
/// like. One that is a placeholder may become anything.
pub fn read_beside(text: &str, now: Option<&toml::Value>) -> toml::Value {
    match now.and_then(toml::Value::as_str) {
        Some(now) if !now.contains("${") => toml::Value::String(text.to_owned()),
        _ => read(text),
    }
}

/// Why a value was refused, with the types that files know in place of Rust's.
pub fn in_words(reason: &str) -> String {
    const TYPES: [(&str, &[&str]); 6] = [
        ("a whole number, 0 or more", &["usize", "u64", "u32", "u16", "u8"]),
        ("a whole number", &["isize", "i64", "i32"]),
        ("a number", &["f64", "f32"]),
        ("text", &["path string", "a string"]),
        ("a list", &["a sequence"]),
        ("true or false", &["a boolean"]),
    ];
    if let Some(missing) = reason.strip_prefix("missing field ") {
        return format!("{missing} must be given");
    }
    let types = TYPES.iter().flat_map(|(words, types)| types.iter().map(move |name| (*words, *name)));
    types.fold(reason.to_owned(), |text, (words, name)| {
        text.replace(&format!("expected {name}"), &format!("expected {words}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_speak_of_the_types_that_files_know() {
        for (reason, words) in [
            (
                "invalid type: string \"a\", expected usize in `rows`",
                "invalid type: string \"a\", expected a whole number, 0 or more in `rows`",
            ),
            ("invalid type: string \"a\", expected f32", "invalid type: string \"a\", expected a number"),
            ("invalid type: integer `3`, expected path string", "invalid type: integer `3`, expected text"),
            (
                "invalid type: string \"a\", expected a sequence",
                "invalid type: string \"a\", expected a list",
            ),
            ("missing field `rows`", "`rows` must be given"),
        ] {
            assert_eq!(in_words(reason), words);
        }
    }

    #[test]
    fn what_is_toml_is_read_as_such_and_all_else_is_text() {
        assert_eq!(read("3"), toml::Value::Integer(3));
        assert_eq!(read("1e-3"), toml::Value::Float(0.001));
        assert_eq!(read("true"), toml::Value::Boolean(true));
        assert_eq!(read(r#"["a", "b"]"#), toml::Value::Array(vec!["a".into(), "b".into()]));
        assert_eq!(read("clip.mp4"), toml::Value::String("clip.mp4".into()));
        assert_eq!(read("a = 1"), toml::Value::String("a = 1".into()));
        assert_eq!(read("1\nother = 2"), toml::Value::String("1\nother = 2".into()));
    }

    #[test]
    fn text_stays_text_where_text_is() {
        let text = toml::Value::String("out".into());
        for value in ["0001", "2024.10", "1e3", "true", "1979-05-27"] {
            assert_eq!(read_beside(value, Some(&text)), toml::Value::String(value.into()));
        }
        let placeholder = toml::Value::String("${rows}".into());
        assert_eq!(read_beside("7", Some(&placeholder)), toml::Value::Integer(7));
        assert_eq!(read_beside("7", Some(&toml::Value::Integer(3))), toml::Value::Integer(7));
    }
}
