//! A pipeline in words.

use std::fmt::Write;

use gst::prelude::*;
use gstferroflow::address::without_credentials;

/// Each element with what was set on it, and where it leads.
pub fn describe(pipeline: &gst::Pipeline) -> String {
    let mut text = String::new();
    let mut elements: Vec<_> = pipeline.iterate_sorted().into_iter().flatten().collect();
    // From source to sink.
    elements.reverse();
    for element in elements {
        let factory = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        let mut next = Vec::new();
        for pad in element.src_pads() {
            next.extend(
                pad.peer().and_then(|peer| peer.parent_element()).map(|peer| peer.name().to_string()),
            );
        }
        let _ = write!(text, "  {factory} {}", element.name());
        // What an element would have had by itself is not worth a word.
        let untouched = element.factory().and_then(|factory| factory.create().build().ok());
        for property in element.list_properties() {
            let name = property.name();
            let readable = property.flags().contains(gst::glib::ParamFlags::READWRITE);
            let Some(untouched) =
                untouched.as_ref().filter(|_| readable && !matches!(name, "name" | "parent"))
            else {
                continue;
            };
            let serialised = |element: &gst::Element| serialise(&element.property_value(name));
            if let Some(now) = serialised(&element).filter(|now| Some(now) != serialised(untouched).as_ref())
            {
                let _ = write!(text, " {name}={}", without_credentials(&now));
            }
        }
        let arrow = if next.is_empty() { String::new() } else { format!(" -> {}", next.join(", ")) };
        let _ = writeln!(text, "{arrow}");
    }
    text
}

/// A value as one writes it: the shortest number that is the same single, 0.3 and not 0.30000001192092896.
fn serialise(value: &gst::glib::Value) -> Option<String> {
    match value.get::<f32>() {
        Ok(number) => Some(number.to_string()),
        Err(_) => value.serialize().ok().map(Into::into),
    }
}
