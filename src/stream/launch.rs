//! Pipelines from gst-launch strings, with errors that say what to do.

use gst::{glib, prelude::*};
use thiserror::Error;

use super::{
    order, overwritten,
    refused::{self, Refused},
};
use crate::graph::keys::nearest;

/// A gst-launch string that no pipeline can be made of.
#[derive(Debug, Error)]
#[error("{place}: {reason}")]
pub struct LaunchError {
    place: String,
    reason: String,
}

/// Builds a pipeline from a gst-launch string.
///
/// # Errors
/// If an element or a property is not known, a value is none that the property can have, elements do not fit together, or
/// stand in an order in which one can do nothing.
pub fn parse(name: &str, description: &str) -> Result<gst::Pipeline, LaunchError> {
    let refuse = |reason: String| LaunchError { place: format!("stream `{name}`"), reason };
    let built = build(description, |context| {
        gst::parse::launch_full(description, Some(context), gst::ParseFlags::FATAL_ERRORS)
    });
    let pipeline = match built.map_err(refuse)?.downcast::<gst::Pipeline>() {
        Ok(pipeline) => pipeline,
        Err(element) => {
            let pipeline = gst::Pipeline::new();
            pipeline.add(&element).map_err(|error| refuse(error.to_string()))?;
            pipeline
        }
    };
    // A pipeline in a file may have a name of its own; the stream's tells more in logs and metrics.
    pipeline.set_property("name", name);
    Ok(pipeline)
}

/// Builds a bin from a chain of elements, with pads where the chain has open ends; `place` says in errors
/// where it stands.
///
/// # Errors
/// As [`parse`].
pub fn parse_chain(place: &str, description: &str) -> Result<gst::Bin, LaunchError> {
    let refuse = |reason: String| LaunchError { place: place.to_owned(), reason };
    let built = build(description, |context| {
        gst::parse::bin_from_description_full(description, true, Some(context), gst::ParseFlags::FATAL_ERRORS)
    });
    built.map_err(refuse)?.downcast::<gst::Bin>().map_err(|_| refuse("it is no chain of elements".to_owned()))
}

/// Builds, and says what was wrong: GLib only warns of values that are out of range, and takes the default.
fn build(
    description: &str,
    parse: impl FnOnce(&mut gst::ParseContext) -> Result<gst::Element, glib::Error>,
) -> Result<gst::Element, String> {
    let mut context = gst::ParseContext::new();
    let (parsed, refused) = refused::watch(|| parse(&mut context));
    let element = parsed.map_err(|error| explain(&error, &context, description))?;
    match refused.first() {
        Some(refused) => Err(out_of_range(&element, refused)),
        None => {
            let mistake = order::mistake(&element).or_else(|| overwritten::mistake(&element));
            mistake.map_or(Ok(element), Err)
        }
    }
}

fn explain(error: &glib::Error, context: &gst::ParseContext, description: &str) -> String {
    let message = error.message();
    let quoted: Vec<&str> = message.split('"').skip(1).step_by(2).collect();
    match (error.kind::<gst::ParseError>(), quoted.as_slice()) {
        (Some(gst::ParseError::NoSuchElement), _) => {
            let missing = context.missing_elements();
            match missing.iter().find(|name| description.contains(&format!("{name}/"))) {
                Some(name) => format!("caps at an end are `capsfilter caps={name}/...`"),
                None => missing_elements(&missing),
            }
        }
        (Some(gst::ParseError::NoSuchProperty), [property, element, ..]) => {
            let known: Vec<_> = properties(element).iter().map(|known| known.name().to_owned()).collect();
            match nearest(property, known.iter().map(String::as_str)) {
                Some(nearest) => {
                    format!("`{element}` has no property `{property}`, did you mean `{nearest}`?")
                }
                None => format!(
                    "`{element}` has no property `{property}`; `gst-inspect-1.0 {element}` lists those it has"
                ),
            }
        }
        (Some(gst::ParseError::CouldNotSetProperty), [property, element, value]) => {
            let known = properties(element).into_iter().find(|known| known.name() == *property);
            let range = known.and_then(|known| range(&known)).map(|range| format!(": it must be {range}"));
            format!("`{property}` of `{element}` cannot be `{value}`{}", range.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

fn out_of_range(built: &gst::Element, Refused { value, property }: &Refused) -> String {
    let bin = built.downcast_ref::<gst::Bin>();
    let inner = bin.into_iter().flat_map(|bin| bin.iterate_recurse().into_iter().flatten());
    let ranges = inner.chain([built.clone()]).filter_map(|element| range(&element.find_property(property)?));
    let range = ranges.into_iter().next().map(|range| format!(": it must be {range}"));
    format!("`{property}` cannot be {value}{}", range.unwrap_or_default())
}

fn properties(element: &str) -> Vec<glib::ParamSpec> {
    let made = gst::ElementFactory::make(element).build();
    made.map_or_else(|_| Vec::new(), |element| element.list_properties().to_vec())
}

/// What values a property can have, in words.
fn range(property: &glib::ParamSpec) -> Option<String> {
    macro_rules! numbers {
        ($($kind:ty),*) => {$(
            if let Some(known) = property.downcast_ref::<$kind>() {
                return Some(format!("a number from {} to {}", known.minimum(), known.maximum()));
            }
        )*};
    }
    numbers!(
        glib::ParamSpecInt,
        glib::ParamSpecUInt,
        glib::ParamSpecInt64,
        glib::ParamSpecUInt64,
        glib::ParamSpecFloat,
        glib::ParamSpecDouble
    );
    if property.value_type() == bool::static_type() {
        return Some("true or false".to_owned());
    }
    let class = glib::EnumClass::with_type(property.value_type())?;
    let names: Vec<_> = class.values().iter().map(glib::EnumValue::nick).collect();
    Some(format!("one of {}", names.join(", ")))
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
