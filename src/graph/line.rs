//! Batch graphs as one line in gst-launch's syntax: `fer2013 path=x.csv ! deduplicate name=unique ! report unique. !
//! export path=out`.
//!
//! A node is a kind and its `key=value` parameters; `name=` gives it a name, else it has that of its kind;
//! where the kind has such a parameter, it gets it too. `!` leads the node before it to the next free input
//! of the node behind it. `NAME.` stands for a node named elsewhere, `NAME.INPUT` for one of its inputs.
//! Values are read as TOML where they are TOML, else as text; quotes keep blanks, and make text of whatever
//! is no list; a backslash keeps the character behind it, a quote for example.

use thiserror::Error;

use super::{
    dag::{Link, Raw},
    value,
};

/// The key that gives a node its name.
pub const NAME: &str = "name";

/// What links commands or nodes elsewhere.
const OTHER_LINKS: [&str; 4] = ["|", "->", ">", "!!"];

/// How files are called that nodes read.
const FILES: [&str; 12] =
    ["csv", "gz", "tar", "zip", "parquet", "png", "jpg", "jpeg", "mp4", "mkv", "avi", "onnx"];

/// What is wrong with a graph string.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LineError {
    #[error("a quote is opened and not closed: {0}")]
    OpenQuote(String),
    #[error("a bracket is opened and not closed: {0}; where it is part of a name, put the name in quotes")]
    OpenBracket(String),
    #[error("`!` must stand between two nodes")]
    LooseLink,
    #[error("`{0}` links nothing here: nodes are linked by `!`")]
    OtherLink(String),
    #[error(
        "`{0}` is a file: write the node that reads it, for example `parquet path={0}`; `ferroflow nodes` lists them"
    )]
    File(String),
    #[error("`{0}` stands where a node or `!` should: parameters are key=value and follow their node")]
    Stray(String),
    #[error("`{1}` is given twice for `{0}`")]
    Twice(String, String),
    #[error("`{0}` is linked to and appears nowhere: give a node name={0}")]
    Unknown(String),
}

/// What a link leads from or to.
#[derive(Clone)]
enum End {
    /// A node of this line, by its place.
    Node(usize),
    /// A node named elsewhere, perhaps with a port.
    Named(String, Option<String>),
}

/// The nodes of a line in the order in which they stand, and what is linked to what.
#[derive(Default)]
struct Line {
    nodes: Vec<Raw>,
    links: Vec<(End, End)>,
}

/// Reads the nodes of a graph string.
pub fn parse(text: &str) -> Result<Vec<Raw>, LineError> {
    let Line { mut nodes, links } = read(words(text)?)?;
    name_all(&mut nodes);
    let place = |nodes: &[Raw], name: &str| nodes.iter().position(|node| node.name == name);
    for (from, to) in links {
        let from = match from {
            End::Node(at) => nodes[at].name.clone(),
            End::Named(name, _) => name,
        };
        let (at, port) = match to {
            End::Node(at) => (at, None),
            End::Named(name, port) => (place(&nodes, &name).ok_or(LineError::Unknown(name))?, port),
        };
        nodes[at].links.push(Link { from, port });
    }
    Ok(nodes)
}

fn read(words: Vec<Word>) -> Result<Line, LineError> {
    let Line { mut nodes, mut links } = Line::default();
    // What stands before a word, and, behind a `!`, before that.
    let (mut last, mut linking): (Option<End>, Option<End>) = (None, None);
    for word in words {
        if word.text == "!" {
            if linking.is_some() {
                return Err(LineError::LooseLink);
            }
            linking = Some(last.take().ok_or(LineError::LooseLink)?);
        } else if let Some((key, value)) = word.text.split_once('=') {
            match last {
                Some(End::Node(at)) => give(&mut nodes[at], key, value, word.is_text)?,
                _ => return Err(LineError::Stray(word.text)),
            }
        } else if OTHER_LINKS.contains(&word.text.as_str()) {
            return Err(LineError::OtherLink(word.text));
        } else if is_file(&word.text) {
            return Err(LineError::File(word.text));
        } else {
            let end = match word.text.split_once('.') {
                Some((name, port)) => {
                    End::Named(name.to_owned(), Some(port.to_owned()).filter(|port| !port.is_empty()))
                }
                None => {
                    nodes.push(Raw { kind: word.text, ..Raw::default() });
                    End::Node(nodes.len() - 1)
                }
            };
            links.extend(linking.take().map(|from| (from, end.clone())));
            last = Some(end);
        }
    }
    if linking.is_some() { Err(LineError::LooseLink) } else { Ok(Line { nodes, links }) }
}

/// Whether a word that should be a node is called like a file: no node and no input is.
fn is_file(word: &str) -> bool {
    let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    word.contains('/') || FILES.contains(&ending.as_str())
}

/// Gives a node its name or another parameter.
fn give(node: &mut Raw, key: &str, value: &str, is_text: bool) -> Result<(), LineError> {
    if key == NAME {
        value.clone_into(&mut node.name);
    }
    let is_text = key == NAME || (is_text && !value.starts_with(['[', '{']));
    let value = if is_text { toml::Value::String(value.to_owned()) } else { value::read(value) };
    match node.parameters.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(LineError::Twice(node.kind.clone(), key.to_owned())),
    }
}

/// Gives nodes without a name that of their kind, with a number where that is taken.
fn name_all(nodes: &mut [Raw]) {
    for at in 0..nodes.len() {
        if !nodes[at].name.is_empty() {
            continue;
        }
        let kind = nodes[at].kind.clone();
        let is_taken = |name: &str| nodes.iter().any(|node| node.name == name);
        let numbered = (2..).map(|number| format!("{kind}-{number}"));
        let free = std::iter::once(kind.clone()).chain(numbered).find(|name| !is_taken(name));
        nodes[at].name = free.unwrap_or(kind);
    }
}

/// What stands between blanks.
struct Word {
    text: String,
    /// Whether its value is in quotes.
    is_text: bool,
}

/// Splits at blanks outside quotes and brackets. What is in brackets is TOML's, quotes and backslashes included.
fn words(text: &str) -> Result<Vec<Word>, LineError> {
    let (mut words, mut word, mut is_text) = (Vec::new(), String::new(), false);
    let (mut quote, mut depth, mut begun) = (None, 0usize, false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                if depth > 0 {
                    word.push(c);
                }
                word.extend(characters.next());
                begun = true;
            }
            (Some(open), _) if c == open => {
                quote = None;
                if depth > 0 {
                    word.push(c);
                }
            }
            (Some(_), _) => word.push(c),
            (None, '"' | '\'') => {
                (quote, begun) = (Some(c), true);
                is_text |= word.ends_with('=');
                if depth > 0 {
                    word.push(c);
                }
            }
            (None, c) if c.is_whitespace() && depth == 0 => {
                if begun {
                    words.push(Word { text: std::mem::take(&mut word), is_text });
                }
                (begun, is_text) = (false, false);
            }
            (None, _) => {
                depth = match c {
                    '[' | '{' => depth + 1,
                    ']' | '}' => depth.saturating_sub(1),
                    _ => depth,
                };
                word.push(c);
                begun = true;
            }
        }
    }
    if quote.is_some() {
        return Err(LineError::OpenQuote(word));
    }
    if depth > 0 {
        return Err(LineError::OpenBracket(word));
    }
    if begun {
        words.push(Word { text: word, is_text });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn links(nodes: &[Raw]) -> Vec<String> {
        let one = |node: &Raw, link: &Link| {
            format!("{} -> {}.{}", link.from, node.name, link.port.as_deref().unwrap_or("?"))
        };
        nodes.iter().flat_map(|node| node.links.iter().map(move |link| one(node, link))).collect()
    }

    #[test]
    fn nodes_are_linked_from_left_to_right() {
        let nodes = parse("fer2013 path='my data/x.csv' ! sample rows=10 ! sample ! export").unwrap();
        assert_eq!(links(&nodes), ["fer2013 -> sample.?", "sample -> sample-2.?", "sample-2 -> export.?"]);
        assert_eq!(nodes[0].parameters["path"].as_str(), Some("my data/x.csv"));
        assert_eq!(nodes[1].parameters["rows"].as_integer(), Some(10));
    }

    #[test]
    fn what_is_in_quotes_is_text_unless_it_is_a_list() {
        let nodes = parse(r#"a path="2024" day='2024-05-27 10:00' on='["row"]' rows=8 name=7"#).unwrap();
        let value = |key: &str| nodes[0].parameters[key].clone();
        assert_eq!(["path", "day", "name"].map(value), ["2024", "2024-05-27 10:00", "7"].map(Into::into));
        assert_eq!((value("on").is_array(), value("rows")), (true, 8.into()));
        assert_eq!(nodes[0].name, "7");
    }

    #[test]
    fn a_backslash_keeps_a_quote_a_blank_or_itself() {
        let nodes = parse(r#"a x="say \"hi\"" y=it\'s\ mine z='a\b' v=["a\"]b"] w=c\\d"#).unwrap();
        let value = |key: &str| nodes[0].parameters[key].clone();
        assert_eq!(
            ["x", "y", "z", "w"].map(value),
            ["say \"hi\"", "it's mine", "a\\b", "c\\d"].map(Into::into)
        );
        assert_eq!(value("v"), toml::Value::Array(vec!["a\"]b".into()]));
    }

    #[test]
    fn branches_go_through_names() {
        let nodes = parse("a name=x ! b x. ! j.left b. ! j.right j name=j on=[\"row\", 'b']").unwrap();
        assert_eq!(links(&nodes), ["x -> b.?", "x -> j.left", "b -> j.right"]);
        assert_eq!(nodes[2].parameters["on"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            links(&parse("a ! b name='#0' ! c '#0.' ! d").unwrap()),
            ["a -> #0.?", "#0 -> c.?", "#0 -> d.?"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, expected) in [
            ("a !", LineError::LooseLink),
            ("! a", LineError::LooseLink),
            ("a ! ! b", LineError::LooseLink),
            ("a ! x=1", LineError::Stray("x=1".into())),
            ("a p='x", LineError::OpenQuote("p=x".into())),
            ("a p=My[x.csv ! b", LineError::OpenBracket("p=My[x.csv ! b".into())),
            ("a | b", LineError::OtherLink("|".into())),
            ("faces.csv ! b", LineError::File("faces.csv".into())),
            ("data/faces ! b", LineError::File("data/faces".into())),
            ("a ! b.", LineError::Unknown("b".into())),
            ("a x=1 x=2", LineError::Twice("a".into(), "x".into())),
            ("a name=b name=c", LineError::Twice("a".into(), "name".into())),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c!. ='\"\\[\\]]{0,40}") {
            let _ = parse(&text);
        }
    }
}
