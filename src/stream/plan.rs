//! A pipeline in words.

use std::fmt::Write;

use gst::prelude::*;

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
        for property in element.list_properties() {
            let is_set = property.flags().contains(gst::glib::ParamFlags::READWRITE)
                && !matches!(property.name(), "name" | "parent")
                && property.default_value().type_() != gst::Object::static_type();
            if !is_set {
                continue;
            }
            let value = element.property_value(property.name());
            let (Ok(now), Ok(default)) = (value.serialize(), property.default_value().serialize()) else {
                continue;
            };
            if now != default {
                let _ = write!(text, " {}={now}", property.name());
            }
        }
        let arrow = if next.is_empty() { String::new() } else { format!(" -> {}", next.join(", ")) };
        let _ = writeln!(text, "{arrow}");
    }
    text
}
