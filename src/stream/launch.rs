//! Pipelines from gst-launch strings, with errors that say what to do.

use anyhow::{Context, anyhow, bail};
use gst::prelude::*;

use crate::graph::keys::nearest;

/// Builds a pipeline from a gst-launch string.
pub fn parse(name: &str, description: &str) -> anyhow::Result<gst::Pipeline> {
    let mut context = gst::ParseContext::new();
    let flags = gst::ParseFlags::FATAL_ERRORS;
    let parsed = gst::parse::launch_full(description, Some(&mut context), flags);
    let element = match parsed {
        Ok(element) => element,
        Err(error) => {
            let missing = context.missing_elements();
            if !error.matches(gst::ParseError::NoSuchElement) {
                return Err(anyhow!("{}", error.message())).with_context(|| format!("stream `{name}`"));
            }
            bail!("stream `{name}`: {}", missing_elements(&missing));
        }
    };
    let pipeline = match element.downcast::<gst::Pipeline>() {
        Ok(pipeline) => pipeline,
        Err(element) => {
            let pipeline = gst::Pipeline::new();
            pipeline.add(&element).with_context(|| format!("stream `{name}`"))?;
            pipeline
        }
    };
    // A pipeline in a file may have a name of its own; the stream's tells more in logs and metrics.
    pipeline.set_property("name", name);
    Ok(pipeline)
}

/// Says of each element that there is none, and what to do.
pub fn missing_elements(names: &[String]) -> String {
    names.iter().map(|name| missing_element(name)).collect::<Vec<_>>().join("; ")
}

fn missing_element(name: &str) -> String {
    let known: Vec<_> = gst::Registry::get()
        .features(gst::ElementFactory::static_type())
        .iter()
        .map(|factory| factory.name().to_string())
        .collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("no element `{name}`, did you mean `{nearest}`?"),
        None => format!(
            "no element `{name}`: install the GStreamer plug-in that has it (`ferroflow doctor` lists those we need)"
        ),
    }
}
