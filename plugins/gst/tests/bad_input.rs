//! What cannot be used is refused with words that say what, where and what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{asset, refusal};

/// A folder with a copy of a model and a card beside it.
fn model_with_card(model: &str, card: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let source = ferroflow_vision::model::resolve_model(model).unwrap().path;
    fs::copy(source, &path).unwrap();
    if !card.is_empty() {
        fs::write(folder.path().join("net.toml"), card).unwrap();
    }
    let path = path.to_string_lossy().into_owned();
    (folder, path)
}

/// The same words wherever the test runs.
fn plain(words: String, folder: &tempfile::TempDir) -> String {
    words.replace(&folder.path().to_string_lossy().into_owned(), "DIR")
}

const CARD: &str =
    "task = 'expression'\nlabels = ['a', 'b']\n[input]\nwidth = 64\nheight = 64\ncolor = 'gray'\n";

#[test]
fn a_model_that_is_nowhere() {
    insta::assert_snapshot!(refusal("ferexpression model=/nowhere/net.onnx"));
}

#[test]
fn a_model_that_is_cut_short() {
    let (folder, path) = model_with_card("mini-xception", CARD);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let words = plain(refusal(&format!("ferexpression model={path}")), &folder);
    assert!(words.starts_with("the model DIR/net.onnx could not be loaded on cpu"), "{words}");
}

#[test]
fn a_model_without_a_card() {
    let (folder, path) = model_with_card("mini-xception", "");
    insta::assert_snapshot!(plain(refusal(&format!("ferexpression model={path}")), &folder));
}

#[test]
fn a_card_whose_labels_are_too_few() {
    let (folder, path) = model_with_card("mini-xception", CARD);
    insta::assert_snapshot!(plain(refusal(&format!("ferexpression model={path}")), &folder));
}

#[test]
fn a_card_of_another_input_size() {
    let (folder, path) = model_with_card("mini-xception", &CARD.replace("64", "48"));
    insta::assert_snapshot!(plain(refusal(&format!("ferexpression model={path}")), &folder));
}

#[test]
fn a_card_with_an_unknown_key() {
    let (folder, path) = model_with_card("mini-xception", &CARD.replace("width", "widht"));
    insta::assert_snapshot!(plain(refusal(&format!("ferexpression model={path}")), &folder));
}

#[test]
fn a_detector_of_another_kind() {
    let yunet = asset("yunet");
    let words = refusal(&format!("ferfacedetect detector=ssd model={yunet}"));
    assert!(words.contains("has no card"), "{words}");
    let words = refusal("ferfacedetect detector=yunet model=mini-xception");
    assert!(
        words.ends_with("YuNet takes one input of [N, 3, height, width], found `input_1` [-1, 1, 64, 64]"),
        "{words}"
    );
    let words = refusal(&format!("ferfacedetect detector=haar model={yunet}"));
    assert!(words.contains("could not be read"), "{words}");
}

#[test]
fn a_device_that_is_unknown_or_missing() {
    insta::assert_snapshot!(refusal("ferfacedetect device=tpu"));
    let words = refusal("ferfacedetect device=cuda:7");
    assert!(words.contains("could not be loaded on cuda:7"), "{words}");
}

#[test]
fn an_address_that_can_never_work() {
    for (address, words) in
        [("", "no address"), ("uri=camera", "is no address"), ("uri=rtps://camera/x", "is no address")]
    {
        common::init();
        let pipeline = gst::parse::launch(&format!("fersource {address} ! fakesink")).unwrap();
        let bus = gst::prelude::ElementExt::bus(&pipeline).unwrap();
        assert!(gst::prelude::ElementExt::set_state(&pipeline, gst::State::Playing).is_err());
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else { panic!("no error") };
        assert!(error.error().message().contains(words), "{}", error.error());
        gst::prelude::ElementExt::set_state(&pipeline, gst::State::Null).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_written() {
    let words = refusal("fermeta location=/nowhere/faces.jsonl");
    assert!(
        words.starts_with("/nowhere/faces.jsonl cannot be written: No such file or directory"),
        "{words}"
    );
}

#[test]
fn a_disk_that_is_full() {
    let words = refusal("fermeta location=/dev/full");
    assert!(words.starts_with("/dev/full cannot be written: No space left on device"), "{words}");
}
