//! `docs/elements.md` is made of what the elements say of themselves, and must not be stale.
//!
//! `UPDATE_DOCS=1 cargo test --release -p gst-plugin-ferroflow --features opencv --test documentation` writes
//! it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeSet, fmt::Write};

use gst::{glib, prelude::*};

fn default(property: &glib::ParamSpec) -> String {
    // The shortest number that is the same single: 0.6, not 0.60000002384185791.
    if let Ok(number) = property.default_value().get::<f32>() {
        return format!("`{number}`");
    }
    if let Ok(number) = property.default_value().get::<f64>() {
        return format!("`{number}`");
    }
    match property.default_value().serialize() {
        Ok(text) if !text.is_empty() && text != "NULL" => format!("`{text}`"),
        _ => "none".to_owned(),
    }
}

fn document() -> String {
    common::init();
    let mut text = String::from(
        "# Elements\n\nMade from the elements themselves; `gst-inspect-1.0 NAME` shows the same. Do not edit.\n\n\
         All take and give raw video of these formats: ",
    );
    let formats: Vec<_> =
        gstferroflow::frame::FORMATS.iter().map(|format| format.to_str().to_string()).collect();
    writeln!(
        text,
        "{}. Pixels are to be square (`videoscale ! video/x-raw,pixel-aspect-ratio=1/1`), and what crops, turns or letterboxes \
         belongs in front of `ferfacedetect`: GStreamer drops regions behind such elements, or leaves them where they were.",
        formats.join(", ")
    )
    .unwrap();
    // In the order in which they stand in a pipeline.
    let names = [
        "ferfacedetect",
        "fertrack",
        "ferexpression",
        "fersmooth",
        "fertranslate",
        "feroverlay",
        "fermeta",
        "fersource",
    ];
    let known = gst::Registry::get().features_by_plugin("ferroflow");
    let known: BTreeSet<_> = known.iter().map(|feature| feature.name().to_string()).collect();
    assert_eq!(
        known,
        names.into_iter().map(str::to_owned).collect(),
        "elements, and those that are documented"
    );
    for name in names {
        let factory = gst::ElementFactory::find(name).unwrap();
        let element = factory.create().build().unwrap();
        let description = factory.metadata("description").unwrap();
        write!(text, "\n## {name}\n\n{description}.\n\n").unwrap();
        writeln!(text, "| property | type | default | what it does |\n|---|---|---|---|").unwrap();
        for property in
            element.list_properties().iter().filter(|property| property.owner_type() == element.type_())
        {
            let kind = match property.value_type().name() {
                "gchararray" => "text",
                "gboolean" => "yes or no",
                "gfloat" | "gdouble" => "number",
                "guint" | "guint64" | "gint" => "integer",
                other => other,
            };
            let read_only = !property.flags().contains(glib::ParamFlags::WRITABLE);
            let default = if read_only { "read only".to_owned() } else { default(property) };
            let values = glib::EnumClass::with_type(property.value_type()).map(|class| {
                let nicks: Vec<_> =
                    class.values().iter().map(|value| format!("`{}`", value.nick())).collect();
                format!(" ({})", nicks.join(", "))
            });
            let (blurb, values) = (property.blurb().unwrap_or_default(), values.unwrap_or_default());
            writeln!(text, "| `{}` | {kind} | {default} | {blurb}{values} |", property.name()).unwrap();
        }
    }
    text
}

#[test]
fn the_elements_documentation_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/elements.md");
    let fresh = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == fresh,
        "docs/elements.md is stale; the head of this test's file says how to write it anew"
    );
}
