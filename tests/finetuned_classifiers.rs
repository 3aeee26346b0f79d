//! Transfer learning: features of a network that stays as it is, a head over them, and both as one classifier.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::Path, process::Stdio, time::Duration};

use arrow_array::{Array, FixedSizeListArray, Float32Array};
use common::{
    House,
    fer::{self, SOURCE},
    json, name, wait_until,
};
use ferroflow::batch::data::Table;
use ferroflow_onnx::{GraphBuilder, Side, ints};
use ferroflow_vision::{
    align::Alignment,
    model::{card::Task, resolve_model},
};

/// Sides of the backbone's input, and of what it answers.
const SIDE: usize = 24;
const CELLS: usize = 6;

/// A house with a backbone, `cells`.
fn furnished(rows: &[fer::Row]) -> House {
    let house = House::new(rows);
    backbone(house.folder(), "cells", Side::Free("N"), 1.0);
    house
}

/// A network that answers the mean of each 4x4 pixels as [N, 1, 6, 6], times a factor; and its card, which
/// calls it one for detection.
fn backbone(folder: &Path, name: &str, batch: Side, factor: f32) {
    let mut graph = GraphBuilder::default();
    let sides = |side: usize| [batch, Side::Fixed(1), Side::Fixed(side), Side::Fixed(side)];
    graph.input("face", &sides(SIDE));
    let factor = graph.floats("factor", &[1], &[factor]);
    let kernel = vec![ints("kernel_shape", &[4, 4]), ints("strides", &[4, 4])];
    graph.node("AveragePool", "means", &["face"], kernel);
    graph.node("Mul", "cells", &["means", &factor], vec![]);
    graph.output("cells", &sides(CELLS));
    fs::write(folder.join(name).with_extension("onnx"), graph.finish(name)).unwrap();
    let card = format!(
        "task = \"detection\"\n[input]\nwidth = {SIDE}\nheight = {SIDE}\ncolor = \"gray\"\nscale = 0.01\ncrop_padding = 0.3\n"
    );
    fs::write(folder.join(name).with_extension("toml"), card).unwrap();
}

/// A small network as VGG is built: faces become 3 x 12 x 12 in `block1_pool` and 6 x 6 x 6 in `block2_pool`,
/// its answer.
fn blocks(folder: &Path) {
    let mut graph = GraphBuilder::default();
    let sides = |channels, side| [Side::Free("N"), channels, side, side];
    graph.input("face", &sides(Side::Fixed(1), Side::Fixed(SIDE)));
    let mut value = "face".to_owned();
    for (name, inputs, outputs, pool) in [
        ("block1_conv1", 1usize, 3, Some("block1_pool")),
        ("block2_conv1", 3, 4, None),
        ("block2_conv2", 4, 6, Some("block2_pool")),
    ] {
        let weight = |at: usize| ((at * 37 % 19) as f32 - 9.0) / 9.0 / (inputs as f32).sqrt();
        let weights: Vec<f32> = (0..9 * inputs * outputs).map(weight).collect();
        let weights = graph.floats(&format!("{name}.weight"), &[outputs, inputs, 3, 3], &weights);
        let bias = graph.floats(&format!("{name}.bias"), &[outputs], &vec![0.05; outputs]);
        let window = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])];
        let sums = graph.node("Conv", &format!("{name}.sums"), &[&value, &weights, &bias], window);
        value = graph.node("Relu", name, &[&sums], vec![]);
        if let Some(pool) = pool {
            let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
            value = graph.node("MaxPool", pool, &[&value], window);
        }
    }
    graph.output("block2_pool", &sides(Side::Fixed(6), Side::Fixed(6)));
    fs::write(folder.join("blocks.onnx"), graph.finish("blocks")).unwrap();
    let card = format!(
        "task = \"embedding\"\n[input]\nwidth = {SIDE}\nheight = {SIDE}\ncolor = \"gray\"\nscale = 0.01\n"
    );
    fs::write(folder.join("blocks.toml"), card).unwrap();
}

/// Features of the layer, and a classifier over them, with the network of [`blocks`].
fn unfrozen(layer: &str, more: &str) -> String {
    [features(layer), finetune("seen", more)].concat().replace("cells.onnx", "blocks.onnx")
}

fn features(more: &str) -> String {
    format!("{SOURCE}[node.seen]\nuse = \"features\"\ninput = \"faces\"\nbackbone = \"cells.onnx\"\n{more}\n")
}

fn finetune(input: &str, more: &str) -> String {
    format!(
        "[node.head]\nuse = \"finetune\"\ninput = \"{input}\"\npath = \"head\"\nname = \"tuned\"\nbackbone = \"cells.onnx\"\n\
         hidden = 32\nbatch-size = 16\nlearning-rate = 0.01\nepochs = 15\nstandardise = true\n{more}\n"
    )
}

const JUDGED: &str =
    "[node.judged]\nuse = \"evaluate\"\ninput = \"faces\"\nmodels = \"head\"\npath = \"judged\"\n";

#[test]
fn a_head_over_a_backbone_is_trained_once_its_features_are_there_and_judged_as_one_classifier() {
    let mut rows = fer::rows(280);
    // Two that are alike, of which one is dropped.
    rows.push(rows[0].clone());
    let house = furnished(&rows);
    let unique = "[node.unique]\nuse = \"deduplicate\"\ninput = \"faces\"\n";
    let seen = features("mirrored = true").replace("input = \"faces\"", "input = \"unique\"");
    // The column outlives the nodes between.
    let balanced = "[node.balanced]\nuse = \"balance\"\ninput = \"seen\"\nmethod = \"oversample\"\n";
    let graph = [&*seen, unique, balanced, &finetune("balanced", ""), JUDGED].concat();
    house.succeed_graph(&graph, &[]);
    let [seen] = house.results("seen").try_into().unwrap();
    let table = Table::open(&seen.join("data.parquet")).unwrap();
    let dropped = table.column("dropped").unwrap();
    let [plain, mirrored]: [FixedSizeListArray; 2] =
        ["features", "features_mirrored"].map(|column| table.typed(column).unwrap());
    assert_eq!(plain.value_length(), (CELLS * CELLS) as i32);
    assert_eq!(plain.null_count(), table.rows() - dropped.null_count());
    assert!(plain.null_count() > 0);
    assert_eq!(table.rows(), rows.len());
    for (row, face) in rows.iter().enumerate() {
        assert_eq!(plain.is_null(row), dropped.is_valid(row));
        if plain.is_null(row) {
            continue;
        }
        let values = |list: &FixedSizeListArray| {
            list.value(row).as_any().downcast_ref::<Float32Array>().unwrap().values().to_vec()
        };
        // Cells of the mirrored face lie mirrored.
        let (plain, mirrored) = (values(&plain), values(&mirrored));
        for (line, other) in plain.chunks_exact(CELLS).zip(mirrored.chunks_exact(CELLS)) {
            assert!(line.iter().zip(other.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-4));
        }
        // A cell is the mean of 8x8 pixels of the picture, times the card's scale.
        let pixels = &face.pixels;
        let corner = (0..64).map(|at| f32::from(pixels[at / 8 * fer::SIDE + at % 8])).sum::<f32>();
        assert!((plain[0] - corner / 64.0 * 0.01).abs() < 2e-3, "row {row}: {} {corner}", plain[0]);
    }
    let said = json(&seen.join("facts.json"));
    assert_eq!((said["backbone"].as_str(), said["dimensions"].as_u64()), (Some("cells"), Some(36)));
    let said = json(&house.path("head/facts.json"));
    assert!(said["export_difference"].as_f64().unwrap() <= 1e-4, "{said}");
    let best = said["kept_epoch"].as_u64().unwrap() as usize - 1;
    let losses: Vec<f64> = said["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["validation_loss"].as_f64().unwrap())
        .collect();
    assert!(losses.iter().all(|loss| *loss >= losses[best]), "{losses:?}");
    for plot in ["training.svg", "loss.svg"] {
        assert!(fs::read_to_string(house.path("head").join(plot)).unwrap().contains("<svg"), "{plot}");
    }
    // One of seven would be 0.14.
    let judged = json(&house.path("judged/evaluation.json"));
    assert_eq!(judged["models"][0]["name"], "tuned");
    assert!(judged["models"][0]["accuracy"].as_f64().unwrap() > 0.5, "{}", judged["models"][0]);
    // The file alone is enough for others. Its input is the backbone's, its faces are those that it learnt from.
    let card = resolve_model(name(&house.path("head/classifier.onnx"))).unwrap().card.unwrap();
    assert_eq!((card.task, card.labels.len()), (Task::Expression, 7));
    assert_eq!((card.input.width, card.input.scale), (SIDE, 0.01));
    assert_eq!((card.input.crop_padding, card.input.align), (0.0, Alignment::Level));
    // Made anew it is the same to the byte.
    let file = fs::read(house.path("head/classifier.onnx")).unwrap();
    house.succeed_graph(&graph, &["--force=seen", "--force=head"]);
    assert!(fs::read(house.path("head/classifier.onnx")).unwrap() == file);
}

#[test]
fn only_faces_without_features_of_this_backbone_are_asked_about() {
    let house = furnished(&fer::rows(120));
    backbone(house.folder(), "others", Side::Free("N"), 2.0);
    let graph = format!(
        "{SOURCE}[node.some]\nuse = \"sample\"\ninput = \"faces\"\nrows = 50\n\
         [node.before]\nuse = \"features\"\ninput = \"some\"\nbackbone = \"cells.onnx\"\n\
         [node.joined]\nuse = \"join\"\ninput = \"faces\"\nother = \"before\"\ncolumns = [\"features\"]\n\
         [node.rest]\nuse = \"features\"\ninput = \"joined\"\nbackbone = \"cells.onnx\"\n\
         [node.at-once]\nuse = \"features\"\ninput = \"faces\"\nbackbone = \"cells.onnx\"\n\
         [node.another]\nuse = \"features\"\ninput = \"joined\"\nbackbone = \"others.onnx\"\n\
         [node.mirrored]\nuse = \"features\"\ninput = \"rest\"\nbackbone = \"cells.onnx\"\nmirrored = true\n"
    );
    house.succeed_graph(&graph, &[]);
    let result = |node: &str| {
        let [folder] = house.results(node).try_into().unwrap();
        let table = Table::open(&folder.join("data.parquet")).unwrap();
        let column: FixedSizeListArray = table.typed("features").unwrap();
        let values = column.values().as_any().downcast_ref::<Float32Array>().unwrap().values().to_vec();
        (json(&folder.join("facts.json"))["asked"].as_u64().unwrap(), column.null_count(), values)
    };
    let (at_once, rest, another) = (result("at-once"), result("rest"), result("another"));
    assert_eq!((at_once.0, rest.0, another.0), (120, 70, 120));
    assert_eq!((at_once.1, rest.1), (0, 0));
    assert_eq!(at_once.2, rest.2);
    assert!(another.2.iter().zip(&rest.2).all(|(other, value)| (other - 2.0 * value).abs() < 1e-4));
    // The mirrored faces are others.
    let mirrored = result("mirrored");
    assert_eq!((mirrored.0, mirrored.2), (120, rest.2));
}

#[test]
fn a_value_inside_a_backbone_of_one_face_at_once_will_do() {
    let house = furnished(&fer::rows(70));
    backbone(house.folder(), "cells", Side::Fixed(1), 100.0);
    let graph = [&*features("layer = \"means\""), &finetune("seen", "epochs = 2"), JUDGED].concat();
    let graph = graph.replace("epochs = 15\n", "");
    house.succeed_graph(&graph, &[]);
    let said = json(&house.path("head/facts.json"));
    assert_eq!(said["layer"], "means");
    assert!(json(&house.path("judged/evaluation.json"))["models"][0]["accuracy"].is_number());
    let refused = house.refuse_graph(&features("layer = \"nowhere\""));
    assert!(
        refused.contains("no node makes a value `nowhere` (the last that are made: means, cells)"),
        "{refused}"
    );
}

/// Runs a graph to its end, and again with a kill in between.
fn assert_goes_on(graph: &str, epochs: u64) {
    let rows = fer::rows(140);
    let (whole, killed) = (furnished(&rows), furnished(&rows));
    blocks(whole.folder());
    blocks(killed.folder());
    whole.succeed_graph(graph, &[]);
    fs::write(killed.path("graph.toml"), graph).unwrap();
    let mut command = killed.command(&["run", "graph.toml"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = || {
        let mut files = walkdir::WalkDir::new(killed.path("store")).into_iter().flatten();
        files.find(|file| file.file_name() == "head" && file.file_type().is_file())
    };
    assert!(wait_until(Duration::from_secs(60), || checkpoint().is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.path("head/classifier.onnx").exists(), "it was done before it was killed");
    let header = fs::read(checkpoint().unwrap().path()).unwrap();
    let header = header.split(|byte| *byte == b'\n').next().unwrap();
    let header: serde_json::Value = serde_json::from_slice(header).unwrap();
    assert!((1..epochs).contains(&header["epochs"].as_u64().unwrap()), "{header}");
    killed.succeed_graph(graph, &[]);
    let file = |house: &House| fs::read(house.path("head/classifier.onnx")).unwrap();
    assert!(file(&killed) == file(&whole));
    assert_eq!(json(&killed.path("head/facts.json")), json(&whole.path("head/facts.json")));
}

#[test]
fn a_training_that_is_killed_goes_on_from_its_checkpoint_to_the_same_bytes() {
    let more = "patience = 0\nplateau-patience = 0";
    let graph = [&*features("mirrored = true"), &finetune("seen", more)].concat();
    assert_goes_on(&graph.replace("epochs = 15", "epochs = 3000"), 3000);
}

#[test]
fn so_does_one_with_blocks_that_learn() {
    let more = "patience = 0\nplateau-patience = 0\nunfreeze = \"block2\"";
    let graph = unfrozen("layer = \"block1_pool\"\nmirrored = true", more);
    assert_goes_on(&graph.replace("epochs = 15", "epochs = 600"), 600);
}

#[test]
fn blocks_that_are_unfrozen_learn_and_the_others_stay() {
    let house = furnished(&fer::rows(140));
    blocks(house.folder());
    let graph = unfrozen("layer = \"block1_pool\"", "unfreeze = \"block2\"\nunfreeze-rate = 0.5");
    house.succeed_graph(&[&*graph, JUDGED].concat(), &[]);
    let said = json(&house.path("head/facts.json"));
    assert_eq!(said["unfrozen"], serde_json::json!(["block2_conv1.weight", "block2_conv2.weight"]));
    assert_eq!((said["layer"].as_str(), said["dimensions"].as_u64()), (Some("block1_pool"), Some(432)));
    assert!(said["export_difference"].as_f64().unwrap() <= 1e-4, "{said}");
    // One of seven would be 0.14.
    let judged = json(&house.path("judged/evaluation.json"));
    assert!(judged["models"][0]["accuracy"].as_f64().unwrap() > 0.3, "{}", judged["models"][0]);
    let classifier = fs::read(house.path("head/classifier.onnx")).unwrap();
    let before = fs::read(house.path("blocks.onnx")).unwrap();
    // With the dense layers taken off again.
    let after = ferroflow_onnx::with_output(&classifier, "block2_pool").unwrap();
    let kernels = |file: &[u8]| {
        let all = initialisers(file);
        ["block1_conv1", "block2_conv1", "block2_conv2"].map(|name| {
            ["weight", "bias"]
                .map(|kind| all.iter().find(|(it, _)| *it == format!("{name}.{kind}")).unwrap().1.clone())
        })
    };
    let (before, after) = (kernels(&before), kernels(&after));
    assert_eq!(before[0], after[0]);
    for (before, after) in before[1..].iter().zip(&after[1..]) {
        for (before, after) in before.iter().zip(after) {
            assert_ne!(before, after);
            assert_eq!(before.len(), after.len());
        }
    }
    // Made anew it is the same to the byte.
    house.succeed_graph(&[&*graph, JUDGED].concat(), &["--force=seen", "--force=head"]);
    assert!(fs::read(house.path("head/classifier.onnx")).unwrap() == classifier);
}

/// Names and values of a file's constants.
fn initialisers(file: &[u8]) -> Vec<(String, Vec<f32>)> {
    use prost::Message;
    let graph = ferroflow_onnx::ModelProto::decode(file).unwrap().graph.unwrap();
    graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.singles().unwrap_or_default()))
        .collect()
}

#[test]
fn features_of_another_layer_than_the_block_takes_are_refused() {
    let house = furnished(&fer::rows(70));
    blocks(house.folder());
    let unfreeze = "unfreeze = \"block2\"";
    for (layer, found) in [("", "of its only output"), ("layer = \"block1_conv1\"", "of `block1_conv1`")] {
        let refused = house.refuse_graph(&unfrozen(layer, unfreeze));
        assert!(
            refused.contains("with `unfreeze` = \"block2\" the features must be of `block1_pool`")
                && refused.contains(&format!("they are {found}: give `features` layer = \"block1_pool\"")),
            "{refused}"
        );
    }
    let refused = house.refuse_graph(&unfrozen("layer = \"block1_pool\"", "unfreeze = \"block5\""));
    let words = "no convolution is called `block5_...` (blocks that are there: block1, block2)";
    assert!(refused.contains(words), "{refused}");
    let none = [&*features(""), &finetune("seen", unfreeze)].concat();
    let refused = house.refuse_graph(&none);
    assert!(refused.contains("(blocks that are there: none has a name of this kind)"), "{refused}");
    let refused = house.refuse_graph(&unfrozen("layer = \"block1_pool\"", "unfreeze-rate = 0"));
    assert!(refused.contains("`unfreeze-rate` is 0"), "{refused}");
}

#[test]
fn what_cannot_be_learnt_from_is_said() {
    let house = furnished(&fer::rows(70));
    let refused = house.refuse_graph(&[SOURCE, &finetune("faces", "")].concat());
    assert!(
        refused.contains("the column `features` is needed, which the node `features` makes"),
        "{refused}"
    );
    for (parameter, words) in [
        ("dropout = 1.0", "`dropout` is 1: 0 or more and less than 1 is needed"),
        ("plateau-factor = 2", "`plateau-factor` is 2: a number from 0 to 1 is needed"),
        ("split = \"nowhere\"", "no row of the split `nowhere`"),
        ("device = \"abacus\"", "`device`"),
        ("soft-labels = 0.5", "which `cross-validate` and `predict` make"),
    ] {
        let refused = house.refuse_graph(&[&*features(""), &finetune("seen", parameter)].concat());
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let wild = finetune("seen", "").replace("learning-rate = 0.01", "learning-rate = 1e38");
    let refused = house.refuse_graph(&[&*features(""), &wild].concat());
    assert!(refused.contains("a loss became") && refused.contains("lower the learning rate"), "{refused}");
    // Of another size, or the same with other numbers.
    backbone(house.folder(), "others", Side::Free("N"), 2.0);
    let other = finetune("seen", "").replace("cells.onnx", "others.onnx");
    let refused = house.refuse_graph(&[&*features(""), &other].concat());
    assert!(refused.contains("the column `features` holds features of `cells` (blake3 "), "{refused}");
    assert!(refused.contains("others.onnx (blake3 "), "{refused}");
    // Fed in another way it is another.
    let card = house.path("cells.toml");
    let text = fs::read_to_string(&card).unwrap();
    fs::write(house.path("others.toml"), text.replace("0.01", "0.02")).unwrap();
    fs::copy(house.path("cells.onnx"), house.path("others.onnx")).unwrap();
    let refused = house.refuse_graph(&[&*features(""), &other].concat());
    assert!(refused.contains("or has another card"), "{refused}");
    backbone(house.folder(), "many", Side::Fixed(4), 2.0);
    let refused = house.refuse_graph(&features("").replace("cells.onnx", "many.onnx"));
    assert!(refused.contains("it takes 4 faces at once, where one or any number is needed"), "{refused}");
    let mut rows = fer::rows(70);
    rows.retain(|row| row.label != 1 || row.usage != "Training");
    let house = furnished(&rows);
    let refused = house.refuse_graph(&[&*features(""), &finetune("seen", "")].concat());
    assert!(refused.contains("the class `disgust` has no faces in the split `train`"), "{refused}");
}
