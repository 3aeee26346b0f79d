//! A reader of protobuf's text format, as Caffe's `.prototxt` files are written in it.

/// A value: a number, name or text as it is written, or a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `300`, `0.5`, `true`, `SUM`, or the inside of a quoted text.
    Word(String),
    /// Fields between braces.
    Message(Message),
}

/// Fields in the order they are written; a name may come again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    fields: Vec<(String, Value)>,
}

/// Messages inside messages; Caffe's files need four.
const DEEPEST: usize = 32;

impl Message {
    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text, line: 1 };
        let message = reader.message(0)?;
        match reader.peek() {
            None => Ok(message),
            Some(_) => Err(format!("line {}: `}}` without `{{`", reader.line)),
        }
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Every word of this name.
    pub fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).filter_map(|(_, value)| match value {
            Value::Word(word) => Some(word.as_str()),
            Value::Message(_) => None,
        })
    }

    /// Every message of this name.
    pub fn messages<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.fields.iter().filter(move |(key, _)| key == name).filter_map(|(_, value)| match value {
            Value::Message(message) => Some(message),
            Value::Word(_) => None,
        })
    }

    /// The first word of this name.
    pub fn word<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.words(name).next()
    }

    /// The first message of this name, or an empty one.
    pub fn message(&self, name: &str) -> Self {
        self.messages(name).next().cloned().unwrap_or_default()
    }

    /// The first number of this name, or the default.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.word(name) {
            None => Ok(default),
            Some(word) => {
                word.parse().map_err(|_| format!("`{name}: {word}` is not a number that can be used"))
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn message(&mut self, depth: usize) -> Result<Message, String> {
        if depth > DEEPEST {
            return Err(format!("line {}: messages lie more than {DEEPEST} deep", self.line));
        }
        let mut message = Message::default();
        while let Some(next) = self.peek() {
            if next == '}' {
                break;
            }
            let name = self.word()?;
            let colon = self.take(':');
            let value = if self.take('{') {
                let inner = self.message(depth + 1)?;
                if !self.take('}') {
                    return Err(format!(
                        "line {}: `{name} {{` is never closed; is the file cut short?",
                        self.line
                    ));
                }
                Value::Message(inner)
            } else if colon {
                Value::Word(self.word()?.to_owned())
            } else {
                return Err(format!("line {}: `:` or `{{` must follow `{name}`", self.line));
            };
            message.fields.push((name.to_owned(), value));
            // Separators between fields are allowed and mean nothing.
            while self.take(',') || self.take(';') {}
        }
        Ok(message)
    }

    /// The next character that is neither space nor comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            let next = self.rest.chars().next()?;
            if next == '#' {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if next.is_whitespace() {
                self.skip(next.len_utf8());
            } else {
                return Some(next);
            }
        }
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.skip(wanted.len_utf8());
        }
        found
    }

    fn word(&mut self) -> Result<&'a str, String> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.skip(1);
                let end = self
                    .rest
                    .find(quote)
                    .ok_or_else(|| format!("line {}: a text is never closed", self.line))?;
                let text = self.skip(end);
                self.skip(1);
                Ok(text)
            }
            Some(_) => {
                let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '/');
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                if end == 0 {
                    return Err(format!("line {}: a name or value was expected", self.line));
                }
                Ok(self.skip(end))
            }
            None => Err(format!("line {}: the text ends where a name or value was expected", self.line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_repeat_nest_and_may_carry_comments() {
        let text = "name: \"net\" # a comment\nlayer { name: 'a' dim: 1 dim: 2 }\nlayer: { name: \"b\" }\n";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.word("name"), Some("net"));
        assert_eq!(message.messages("layer").count(), 2);
        assert_eq!(message.message("layer").words("dim").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn a_text_that_is_cut_short_says_on_which_line() {
        insta::assert_snapshot!(Message::parse("layer {\n  name: \"a\"\n").unwrap_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z{}:\"# \n0-9.]{0,200}") {
            let _ = Message::parse(&text);
        }

        #[test]
        fn depth_is_limited(depth in 0usize..5000) {
            let text = format!("{}{}", "a {".repeat(depth), "}".repeat(depth));
            prop_assert_eq!(Message::parse(&text).is_ok(), depth <= DEEPEST);
        }
    }
}
