//! What happens to a source, and how the bus is told: an element message `ferroflow-source`, as
//! `docs/formats.md` has it.

use std::time::Duration;

/// The message's name.
const NAME: &str = "ferroflow-source";

/// What happens to a source, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Frames have begun to come.
    Playing,
    /// The pipeline went down; it is tried again after the delay.
    Retrying {
        /// Why it went down.
        reason: String,
        /// Until the next try.
        delay: Duration,
    },
    /// The budget of restarts is spent.
    GaveUp {
        /// Why it went down last.
        reason: String,
    },
}

impl Event {
    /// The event as a message carries it.
    pub fn to_structure(&self) -> gst::Structure {
        let builder = gst::Structure::builder(NAME);
        match self {
            Self::Playing => builder.field("state", "playing").build(),
            Self::Retrying { reason, delay } => {
                let delay = delay.as_nanos() as u64;
                builder.field("state", "retrying").field("reason", reason).field("delay", delay).build()
            }
            Self::GaveUp { reason } => builder.field("state", "gave-up").field("reason", reason).build(),
        }
    }

    /// The event that a message carries; nothing for the messages of others.
    pub fn from_structure(told: &gst::StructureRef) -> Option<Self> {
        if told.name() != NAME {
            return None;
        }
        let reason = || told.get::<String>("reason").ok();
        match told.get::<&str>("state").ok()? {
            "playing" => Some(Self::Playing),
            "retrying" => {
                let delay = Duration::from_nanos(told.get("delay").ok()?);
                Some(Self::Retrying { reason: reason()?, delay })
            }
            "gave-up" => Some(Self::GaveUp { reason: reason()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_from_its_message_whose_words_others_read() {
        gst::init().unwrap();
        let reason = || "no frames for 5.0 s".to_owned();
        for (event, words) in [
            (Event::Playing, "ferroflow-source, state=(string)playing;"),
            (
                Event::Retrying { reason: reason(), delay: Duration::from_millis(500) },
                "ferroflow-source, state=(string)retrying, reason=(string)\"no\\ frames\\ for\\ 5.0\\ s\", \
                 delay=(guint64)500000000;",
            ),
            (
                Event::GaveUp { reason: reason() },
                "ferroflow-source, state=(string)gave-up, reason=(string)\"no\\ frames\\ for\\ 5.0\\ s\";",
            ),
        ] {
            let told = event.to_structure();
            assert_eq!(told.to_string(), words);
            assert_eq!(Event::from_structure(&told), Some(event));
        }
        let others = ["ferroflow-faces, state=playing;", "ferroflow-source;", "ferroflow-source, state=new;"];
        for told in others.map(|words| words.parse::<gst::Structure>().unwrap()) {
            assert_eq!(Event::from_structure(&told), None);
        }
    }
}
