//! Values that GLib refuses with a warning only, and goes on with the default.

use std::{cell::RefCell, sync::Once};

use gst::glib;

/// A value that a property did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As GLib writes it.
    pub value: String,
    /// The property's name.
    pub property: String,
}

thread_local! {
    static REFUSED: RefCell<Option<Vec<Refused>>> = const { RefCell::new(None) };
}

/// Runs `work`, and answers which values properties refused meanwhile in this thread.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<Refused>) {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let levels = glib::LogLevels::LEVEL_WARNING;
        glib::log_set_handler(Some("GLib-GObject"), levels, false, false, |_, _, message| listen(message));
    });
    REFUSED.set(Some(Vec::new()));
    let done = work();
    (done, REFUSED.take().unwrap_or_default())
}

fn listen(message: &str) {
    let known = REFUSED.with_borrow_mut(|refused| {
        let (Some(refused), Some(found)) = (refused, read(message)) else { return false };
        refused.push(found);
        true
    });
    if !known {
        tracing::warn!("GLib: {message}");
    }
}

/// `value "5.000000" of type 'gfloat' is invalid or out of range for property 'threshold' of type 'gfloat'`.
fn read(message: &str) -> Option<Refused> {
    let (value, rest) = message.strip_prefix("value \"")?.split_once('"')?;
    let (_, property) = rest.split_once("invalid or out of range for property '")?;
    let (property, _) = property.split_once('\'')?;
    Some(Refused { value: value.to_owned(), property: property.to_owned() })
}
