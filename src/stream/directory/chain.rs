//! The chain of elements between a video's decoder and its results.

use std::path::PathBuf;

use anyhow::{Context, bail};
use gst::prelude::*;
use gstferroflow::models;

use crate::stream::launch;

/// The chain of elements as a bin, checked.
pub fn chain(description: &str, job: &str, jobs: usize) -> anyhow::Result<gst::Bin> {
    let bin = launch::parse_chain("directory.launch", description)?;
    if bin.static_pad("sink").is_none() || bin.static_pad("src").is_none() {
        bail!(
            "directory.launch must be a chain of elements with an input and an output, without source or sink"
        );
    }
    if jobs > 1 {
        // Videos that run side by side would wait for each other's turn at a shared session.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for element in bin.iterate_recurse().into_iter().flatten() {
            give_session(&element, job, cores.div_ceil(jobs) as u32);
        }
    }
    Ok(bin)
}

/// Gives an element that shares a session one for this job, with so many threads, unless it was told
/// otherwise. Elements that are not ours may have properties of these names with other types.
fn give_session(element: &gst::Element, job: &str, threads: u32) {
    let (instance, text, count) = ("model-instance-id", String::static_type(), u32::static_type());
    if !element.has_property_with_type(instance, text) {
        return;
    }
    if element.property::<Option<String>>(instance).is_none() {
        element.set_property(instance, job);
    }
    if element.has_property_with_type("threads", count) && element.property::<u32>("threads") == 0 {
        element.set_property("threads", threads);
    }
}

/// The files of all models that the chain uses, with their cards, in the order of its elements.
pub fn models(description: &str) -> anyhow::Result<Vec<PathBuf>> {
    let bin = chain(description, "", 1)?;
    let mut files = Vec::new();
    for element in bin.iterate_recurse().into_iter().flatten() {
        let Some(found) = models::files(&element) else { continue };
        files.extend(found.with_context(|| format!("the element `{}`", element.name()))?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use gst::glib;

    use super::*;

    /// Somebody else's element, with a property of our name and another type.
    mod foreign {
        use std::sync::Mutex;

        use gst::{glib, prelude::*, subclass::prelude::*};

        #[derive(Default, glib::Properties)]
        #[properties(wrapper_type = super::Foreign)]
        pub struct Foreign {
            #[property(name = "model-instance-id", get, set)]
            instance: Mutex<Option<String>>,
            #[property(get, set)]
            threads: Mutex<i32>,
        }

        #[glib::object_subclass]
        impl ObjectSubclass for Foreign {
            const NAME: &'static str = "ForeignInference";
            type Type = super::Foreign;
            type ParentType = gst::Element;
        }

        #[glib::derived_properties]
        impl ObjectImpl for Foreign {}

        impl GstObjectImpl for Foreign {}

        impl ElementImpl for Foreign {}
    }

    glib::wrapper! {
        pub struct Foreign(ObjectSubclass<foreign::Foreign>) @extends gst::Element, gst::Object;
    }

    #[test]
    fn an_element_of_others_gets_a_session_and_keeps_its_threads() {
        gst::init().unwrap();
        let element: Foreign = glib::Object::new();
        give_session(element.upcast_ref(), "job-1", 2);
        assert_eq!(element.property::<Option<String>>("model-instance-id").as_deref(), Some("job-1"));
        assert_eq!(element.property::<i32>("threads"), 0);
    }

    #[test]
    fn results_depend_on_every_model_and_its_card() {
        crate::stream::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (network, card) = (folder.path().join("net.onnx"), folder.path().join("net.toml"));
        std::fs::write(&network, "").unwrap();
        std::fs::write(&card, ferroflow_vision::model::card::EXAMPLE).unwrap();
        let translated = folder.path().join("angry.onnx");
        let chain = format!(
            "fertrack ! ferexpression model=\"{}\" ! fertranslate model=\"{}\" ! fertranslate",
            network.display(),
            translated.display()
        );
        let mut files = models(&chain).unwrap();
        files.sort();
        assert_eq!(files, [translated, network, card]);
    }
}
