//! Classifiers of fewer bits: what they answer, what they weigh, and that whatever took the classifier before
//! takes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::Path};

use common::{
    House,
    fer::{self, SOURCE},
    json, name,
};
use ferroflow_onnx::{GraphBuilder, Side, float, ints};
use ferroflow_vision::model::{card::Task, resolve_model};

const TRAINED: &str = "[node.small]\nuse = \"train\"\ninput = \"faces\"\nname = \"small\"\nlayers = \"8p 16p 24\"\nepochs = 30\n\
    batch-size = 8\nmixup = 0.0\ndropout = 0.0\nerase = 0.0\nrotation = 0.0\naveraging = 0.0\npath = \"small\"\n";

fn quantize(node: &str, precision: &str, more: &str) -> String {
    format!(
        "[node.{node}]\nuse = \"quantize\"\ninput = \"faces\"\nprecision = \"{precision}\"\npath = \"{node}\"\n{more}\n"
    )
}

/// A network of 48x48 gray faces with these operators between input and answer, and its card beside it.
fn network(folder: &Path, name: &str, build: impl Fn(&mut GraphBuilder) -> String) {
    let mut graph = GraphBuilder::default();
    let sides = [Side::Free("N"), Side::Fixed(1), Side::Fixed(fer::SIDE), Side::Fixed(fer::SIDE)];
    graph.input("face", &sides);
    let answer = build(&mut graph);
    graph.node("Softmax", "answer", &[&answer], vec![]);
    graph.output("answer", &[Side::Free("N"), Side::Fixed(7)]);
    fs::write(folder.join(name).with_extension("onnx"), graph.finish(name)).unwrap();
    card(folder, name);
}

fn card(folder: &Path, name: &str) {
    let card = "task = \"expression\"\nlabels = [\"neutral\", \"disgust\", \"fear\", \"happy\", \"sad\", \"surprise\", \"angry\"]\n\
        [input]\nwidth = 48\nheight = 48\ncolor = \"gray\"\nscale = 0.01\n";
    fs::write(folder.join(name).with_extension("toml"), card).unwrap();
}

/// Means of places, without any weights.
fn means(graph: &mut GraphBuilder, from: &str) -> String {
    let kernel = vec![ints("kernel_shape", &[48, 6]), ints("strides", &[48, 7])];
    let means = graph.node("AveragePool", "means", &[from], kernel);
    graph.node("Flatten", "flat", &[&means], vec![])
}

#[test]
fn a_trained_classifier_of_fewer_bits_answers_like_it_and_goes_wherever_it_goes() {
    let house = House::new(&fer::rows(210));
    let half = quantize("half", "fp16", "model = \"small\"");
    let bytes = quantize("bytes", "int8", "model = \"small\"\nname = \"tiny\"\ncalibration-faces = 60");
    let judged = "[node.judged]\nuse = \"evaluate\"\ninput = \"faces\"\nmodels = [\"small\", \"half\", \"bytes\"]\npath = \"judged\"\n";
    let graph = [SOURCE, TRAINED, &half, &bytes, judged].concat();
    house.succeed_graph(&graph, &[]);
    let size = |node: &str| fs::metadata(house.path(node).join("classifier.onnx")).unwrap().len();
    let old = resolve_model(name(&house.path("small/classifier.onnx"))).unwrap().card.unwrap();
    for (node, called, precision, most, changed) in
        [("half", "small-fp16", "fp16", 0.75, 0.03), ("bytes", "tiny", "int8", 0.7, 0.15)]
    {
        let said = json(&house.path(node).join("facts.json"));
        assert_eq!((said["name"].as_str(), said["of"].as_str()), (Some(called), Some("small")));
        assert_eq!((said["precision"].as_str(), said["layers_left"].as_u64()), (Some(precision), Some(0)));
        assert_eq!(said["layers"], 4);
        assert_eq!(
            (said["bytes_before"].as_u64(), said["bytes"].as_u64()),
            (Some(size("small")), Some(size(node)))
        );
        assert!((size(node) as f64) < most * size("small") as f64, "{said}");
        assert!(said["changed"].as_f64().unwrap() <= changed, "{said}");
        // The text inside the file is the same, so that the file alone is enough.
        let card = resolve_model(name(&house.path(node).join("classifier.onnx"))).unwrap().card.unwrap();
        assert_eq!((card.task, &card), (Task::Expression, &old));
        assert!(!house.path(node).join("classifier.toml").exists());
        let times = json(&house.path(node).join("times.json"));
        for time in ["milliseconds_a_face_before", "milliseconds_a_face_after"] {
            assert!(times[time].as_f64().unwrap() > 0.0, "{times}");
        }
    }
    assert_eq!(json(&house.path("bytes/facts.json"))["calibration_faces"], 60);
    // What `quantize` says of accuracy is what `evaluate` finds.
    let judged = json(&house.path("judged/evaluation.json"));
    let accuracy = |at: usize| judged["models"][at]["accuracy"].as_f64().unwrap();
    assert!(accuracy(0) > 0.5, "{judged}");
    for (at, node) in [(1, "half"), (2, "bytes")] {
        let said = json(&house.path(node).join("facts.json"));
        assert_eq!(said["accuracy_before"].as_f64().unwrap(), accuracy(0));
        assert_eq!(said["accuracy"].as_f64().unwrap(), accuracy(at));
        assert_eq!(judged["models"][at]["name"], said["name"]);
    }
    // Made anew they are the same to the byte, and what was measured anew makes nobody else begin again.
    let files = || ["half", "bytes"].map(|node| fs::read(house.path(node).join("classifier.onnx")).unwrap());
    let before = files();
    let said = house.succeed_graph(&graph, &["--force=half", "--force=bytes"]);
    assert!(files() == before && said.contains("judged: unchanged"), "{said}");
}

#[test]
fn what_is_not_known_stays_and_normalisations_go() {
    let house = House::new(&fer::rows(70));
    network(house.folder(), "odd", |graph| {
        let weights: Vec<f32> = (0..7 * 9).map(|at| ((at * 37) % 19) as f32 / 19.0 - 0.5).collect();
        let filters = graph.floats("filters", &[7, 1, 3, 3], &weights);
        let kernel = vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2])];
        graph.node("Conv", "conv", &["face", &filters], kernel);
        let [gain, shift, mean, spread] = [("gain", 1.5), ("shift", 0.25), ("mean", 0.1), ("spread", 2.0)]
            .map(|(name, value)| graph.floats(name, &[7], &[value; 7]));
        let inputs = ["conv", &gain, &shift, &mean, &spread];
        graph.node("BatchNormalization", "normal", &inputs, vec![float("epsilon", 0.001)]);
        // Softplus has no place in the lists of either precision.
        graph.node("Softplus", "soft", &["normal"], vec![]);
        let more: Vec<f32> = (0..7 * 7).map(|at| ((at * 11) % 7) as f32 / 7.0 - 0.4).collect();
        let more = graph.floats("more", &[7, 7, 1, 1], &more);
        graph.node("Conv", "mixed", &["soft", &more], vec![]);
        graph.node("Add", "sum", &["mixed", "normal"], vec![]);
        graph.node("GlobalAveragePool", "means", &["sum"], vec![]);
        graph.node("Flatten", "flat", &["means"], vec![])
    });
    for (node, precision, most) in [("half", "fp16", 0.05), ("bytes", "int8", 0.25)] {
        let more = "classifier = \"odd.onnx\"\npercentile = 100.0";
        house.succeed_graph(&[SOURCE, &quantize(node, precision, more)].concat(), &[]);
        let said = json(&house.path(node).join("facts.json"));
        assert_eq!((said["layers"].as_u64(), said["layers_left"].as_u64()), (Some(2), Some(0)), "{said}");
        assert!(said["changed"].as_f64().unwrap() <= most, "{said}");
        // The card that lay beside it is in the file now.
        let card = resolve_model(name(&house.path(node).join("classifier.onnx"))).unwrap().card.unwrap();
        assert_eq!((card.labels[0].as_str(), card.input.scale), ("neutral", 0.01));
    }
}

#[test]
fn what_cannot_be_quantized_is_said() {
    let house = House::new(&fer::rows(35));
    network(house.folder(), "plain", |graph| means(graph, "face"));
    fs::write(house.path("text.onnx"), "a letter to somebody").unwrap();
    card(house.folder(), "text");
    network(house.folder(), "broken", |graph| {
        let none = graph.floats("none", &[1], &[0.0]);
        graph.node("Mul", "dark", &["face", &none], vec![]);
        graph.node("Div", "nothing", &["dark", "dark"], vec![]);
        let one = graph.floats("one", &[1, 1, 1, 1], &[1.0]);
        graph.node("Conv", "conv", &["nothing", &one], vec![]);
        means(graph, "conv")
    });
    let refuse = |precision: &str, more: &str| {
        house.refuse_graph(&[SOURCE, &quantize("bytes", precision, more)].concat())
    };
    for (precision, more, words) in [
        ("int8", "classifier = \"text.onnx\"", "the classifier `text`: it is no ONNX file"),
        ("int4", "classifier = \"plain.onnx\"", "unknown variant `int4`, expected `fp16` or `int8`"),
        (
            "int8",
            "classifier = \"plain.onnx\"",
            "there is nothing to convert to whole numbers: no Conv, Gemm or MatMul",
        ),
        ("fp16", "classifier = \"plain.onnx\"", "there is nothing to convert to half precision"),
        ("int8", "classifier = \"broken.onnx\"", "the value `nothing` inside it is not a finite number"),
        (
            "int8",
            "classifier = \"plain.onnx\"\nsplit = \"nowhere\"",
            "`split`: no row is in the split `nowhere` (splits: test, ",
        ),
        (
            "int8",
            "classifier = \"plain.onnx\"\ncalibration = \"nowhere\"",
            "`calibration`: no row is in the split `nowhere`",
        ),
        (
            "int8",
            "classifier = \"plain.onnx\"\npercentile = 50.0",
            "`percentile` is 50, and must be above 50",
        ),
        ("int8", "classifier = \"plain.onnx\"\ncalibration-faces = 0", "`calibration-faces` is 0"),
        ("int8", "classifier = \"nowhere.onnx\"", "nowhere.onnx"),
        (
            "int8",
            "",
            "one classifier is needed: connect a result of `train`, `finetune` or `quantize` to `model`, or name one",
        ),
    ] {
        let refused = refuse(precision, more);
        assert!(refused.contains(words), "{words}: {refused}");
        assert!(!house.path("bytes").exists());
    }
}
