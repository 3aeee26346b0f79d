//! Whoever asks which files a chain of elements reads is not told of fewer than there are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use gst::prelude::*;
use gstferroflow::models;

/// All of our elements.
fn elements() -> Vec<gst::Element> {
    common::init();
    let features = gst::Registry::get().features_by_plugin("ferroflow");
    let factories = features.iter().filter_map(|feature| feature.downcast_ref::<gst::ElementFactory>());
    factories.map(|factory| factory.create().build().unwrap()).collect()
}

#[test]
fn every_element_with_a_model_tells_its_files_and_no_other() {
    let elements = elements();
    assert!(elements.len() >= 8);
    for element in elements {
        let has_model = element.list_properties().iter().any(|property| property.name().contains("model"));
        let tells = models::files(&element).is_some();
        assert_eq!(tells, has_model, "{:?}", element.factory().map(|factory| factory.name()));
    }
    let foreign = gst::ElementFactory::make("identity").build().unwrap();
    assert!(models::files(&foreign).is_none());
}

#[test]
fn the_files_are_those_that_are_named() {
    common::init();
    let folder = tempfile::tempdir().unwrap();
    let (network, card) = (folder.path().join("net.onnx"), folder.path().join("net.toml"));
    std::fs::write(&network, "").unwrap();
    std::fs::write(&card, ferroflow_vision::model::card::EXAMPLE).unwrap();
    let files = |element: &str, model: Option<&Path>| {
        let element = gst::ElementFactory::make(element).build().unwrap();
        element.set_property("model", model.map(|model| model.to_string_lossy().into_owned()));
        models::files(&element).unwrap().unwrap()
    };
    for element in ["ferexpression", "ferfacedetect"] {
        assert_eq!(files(element, Some(&network)), [network.clone(), card.clone()], "{element}");
    }
    // A generator has no card, and none that is taken where none is named.
    assert_eq!(files("fertranslate", Some(&network)), std::slice::from_ref(&network));
    assert_eq!(files("fertranslate", None), Vec::<PathBuf>::new());
}
