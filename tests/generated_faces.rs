//! Faces that `generate` adds: enough, from where they may come, no copies, and the same every time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use arrow_array::{Array, Float32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use common::{fer, ferroflow, name, text};
use ferroflow::{
    batch::{
        Context, Facts,
        context::Input,
        data::{
            Faces, Table, classes,
            faces::{FacesWriter, NewFace},
            picture::{Gray, encode_png},
        },
        progress::Progress,
    },
    nodes::KINDS,
};
use ferroflow_onnx::{GraphBuilder, Side, int};

const DISGUST: usize = 1;
const SAD: usize = 4;
const NEUTRAL: usize = 6;

/// A folder with a table of faces, generators that were made by hand, and classifiers that always answer the same.
struct House {
    folder: tempfile::TempDir,
}

impl House {
    /// Of five real faces four are neutral, the others disgusted; and of five one is tested on.
    fn new(faces: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = Self { folder };
        fs::create_dir_all(house.path("faces")).unwrap();
        let writer = FacesWriter::create(&house.path("faces/data.parquet"), &classes::fer2013());
        let mut writer = writer.unwrap();
        for (row, face) in fer::rows(faces).into_iter().enumerate() {
            let picture = Gray { width: fer::SIDE, height: fer::SIDE, pixels: face.pixels };
            let face = NewFace {
                image: &encode_png(&picture).unwrap(),
                path: &format!("{row}.png"),
                label: Some(if row % 5 == 0 { DISGUST } else { NEUTRAL }),
                split: if row % 5 == 4 { "test" } else { "train" },
                row,
            };
            writer.add(&face, &[]).unwrap();
        }
        writer.finish().unwrap();
        // Darker to the left and brighter to the right, which is another picture and still a face.
        house.generator("changing", 0.7, |x, _| x as f32 / 60.0 - 0.4);
        house.generator("idle", 1.0, |_, _| 0.0);
        house.generator("spoiling", 0.0, |x, y| ((x / 6 + y / 6) % 2) as f32 - 0.5);
        house.classifier("disgusted", DISGUST);
        house.classifier("saddened", SAD);
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder like a result of `cyclegan`, with networks that answer `factor * face + pattern`.
    fn generator(&self, name: &str, factor: f32, pattern: fn(usize, usize) -> f32) {
        let side = fer::SIDE;
        let pattern: Vec<f32> = (0..side * side).map(|at| pattern(at % side, at / side)).collect();
        fs::create_dir_all(self.path(name)).unwrap();
        for to in ["disgust", "sad"] {
            let mut graph = GraphBuilder::default();
            let sides = [Side::Free("faces"), Side::Fixed(1), Side::Fixed(side), Side::Fixed(side)];
            graph.input("face", &sides);
            graph.floats("factor", &[1], &[factor]);
            graph.floats("pattern", &[1, 1, side, side], &pattern);
            graph.node("Mul", "weaker", &["face", "factor"], vec![]);
            graph.node("Add", "translated", &["weaker", "pattern"], vec![]);
            graph.output("translated", &sides);
            let file = self.path(name).join(format!("neutral-to-{to}.onnx"));
            fs::write(file, graph.finish("generator")).unwrap();
        }
    }

    /// A classifier with its card that answers one class to everything, with a probability of 0.77.
    fn classifier(&self, name: &str, class: usize) {
        let (pixels, labels) = (fer::SIDE * fer::SIDE, classes::fer2013());
        let mut graph = GraphBuilder::default();
        let side = Side::Fixed(fer::SIDE);
        graph.input("face", &[Side::Free("faces"), Side::Fixed(1), side, side]);
        graph.floats("weights", &[pixels, 7], &vec![0.0; pixels * 7]);
        let logits: Vec<f32> = (0..7).map(|other| if other == class { 3.0 } else { 0.0 }).collect();
        graph.floats("bias", &[7], &logits);
        graph.node("Flatten", "flat", &["face"], vec![int("axis", 1)]);
        graph.node("MatMul", "scores", &["flat", "weights"], vec![]);
        graph.node("Add", "logits", &["scores", "bias"], vec![]);
        graph.output("logits", &[Side::Free("faces"), Side::Fixed(7)]);
        fs::write(self.path(&format!("{name}.onnx")), graph.finish("classifier")).unwrap();
        let card = format!(
            "task = \"expression\"\nlabels = {labels:?}\nsoftmax = true\n\
             [input]\nwidth = 48\nheight = 48\ncolor = \"gray\"\nscale = 0.00784313725\nmean = [1.0]\n"
        );
        fs::write(self.path(&format!("{name}.toml")), card).unwrap();
    }

    /// Further columns for the faces.
    fn put(&self, columns: &[(Field, arrow_array::ArrayRef)]) {
        let (path, new) = (self.path("faces/data.parquet"), self.path("new.parquet"));
        Table::open(&path).unwrap().write_with(&new, columns).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn run_on(
        &self,
        workers: usize,
        inputs: &[(&'static str, &str)],
        node: &str,
        out: &str,
    ) -> Result<Facts, String> {
        let mut parameters: toml::Table = toml::from_str(node).unwrap();
        let kind = parameters.remove("use").unwrap();
        let kind = KINDS.iter().find(|known| Some(known.shape.name) == kind.as_str()).unwrap();
        let stage = (kind.make)(parameters)?;
        stage.files().map_err(|error| format!("{error:#}"))?;
        let input =
            |(port, folder): &(&'static str, &str)| Input { port, kind: "test", folder: self.path(folder) };
        fs::create_dir_all(self.path(out)).unwrap();
        let interrupted = AtomicBool::new(false);
        let context = Context {
            inputs: inputs.iter().map(input).collect(),
            out: self.path(out),
            checkpoints: self.path("checkpoints"),
            workers,
            progress: Progress::hidden().stage("test"),
            interrupted: &interrupted,
        };
        stage.run(&context).map_err(|error| format!("{error:#}").replace(name(self.folder.path()), "HOUSE"))
    }

    /// `generate` with a generator, from neutral to disgust unless told otherwise, judged by a classifier
    /// that agrees.
    fn generate(&self, model: &str, more: &str, out: &str) -> Result<Facts, String> {
        self.run_on(2, &[("input", "faces"), ("model", model)], &self.node(more), out)
    }

    fn node(&self, more: &str) -> String {
        let mut node: toml::Table = toml::from_str(more).unwrap();
        let classifier = name(&self.path("disgusted.onnx")).to_owned();
        for (key, value) in [("from", "neutral"), ("to", "disgust"), ("classifier", &classifier)] {
            node.entry(key).or_insert_with(|| value.into());
        }
        node.insert("use".into(), "generate".into());
        node.to_string()
    }

    fn table(&self, out: &str) -> Faces {
        Faces::of(Table::open(&self.path(out).join("data.parquet")).unwrap()).unwrap()
    }

    /// The rows that a result has made, by their place in it.
    fn made(&self, out: &str) -> Vec<Made> {
        let faces = self.table(out);
        let (labels, splits, rows) =
            (faces.labels().unwrap(), faces.splits().unwrap(), faces.source_rows().unwrap());
        let (generated, pixels) = (faces.generated().unwrap(), faces.gray_pixels(1).unwrap().2);
        let sources: Int64Array = faces.table.typed("source_row").unwrap();
        let generators: StringArray = faces.table.typed("generator").unwrap();
        let confidence: Float32Array = faces.table.typed("generated_confidence").unwrap();
        let similarity: Float32Array = faces.table.typed("generated_similarity").unwrap();
        let one = |at: usize| Made {
            at,
            label: labels[at].unwrap(),
            split: splits[at].clone(),
            row: rows.value(at),
            source: sources.value(at),
            generator: generators.value(at).to_owned(),
            confidence: confidence.value(at),
            similarity: similarity.value(at),
            pixels: pixels[at * 48 * 48..(at + 1) * 48 * 48].to_vec(),
        };
        for at in (0..labels.len()).filter(|at| !generated[*at]) {
            assert!(sources.is_null(at) && confidence.is_null(at) && similarity.is_null(at), "row {at}");
        }
        (0..labels.len()).filter(|at| generated[*at]).map(one).collect()
    }
}

#[derive(Debug, PartialEq)]
struct Made {
    at: usize,
    label: usize,
    split: String,
    row: i64,
    source: i64,
    generator: String,
    confidence: f32,
    similarity: f32,
    pixels: Vec<u8>,
}

fn number(facts: &Facts, name: &str) -> usize {
    facts.number(name).unwrap() as usize
}

fn refused(facts: &Facts) -> [u64; 3] {
    ["classifier", "no-face", "copy"].map(|reason| facts.0["refused"][reason].as_u64().unwrap())
}

#[test]
fn as_many_faces_are_made_as_asked_for_and_each_says_where_it_comes_from() {
    let house = House::new(60);
    let facts = house.generate("changing", "count = 6", "out").unwrap();
    let (before, after) = (house.table("faces"), house.table("out"));
    assert_eq!(
        (number(&facts, "wanted"), number(&facts, "made"), after.table.rows()),
        (6, 6, 66),
        "{facts:?}"
    );
    assert_eq!(number(&facts, "tried") as u64, 6 + refused(&facts).iter().sum::<u64>());
    // What was there is there as it was.
    let pixels = (before.gray_pixels(1).unwrap().2, after.gray_pixels(1).unwrap().2);
    assert!(pixels.1.starts_with(&pixels.0));
    assert_eq!(after.labels().unwrap()[..60], before.labels().unwrap());
    let made = house.made("out");
    assert_eq!(made.iter().map(|made| made.at).collect::<Vec<_>>(), (60..66).collect::<Vec<_>>());
    assert_eq!(made.iter().map(|made| made.row).collect::<Vec<_>>(), (60..66).collect::<Vec<_>>());
    for face in &made {
        assert_eq!(
            (face.label, face.split.as_str(), face.generator.as_str()),
            (DISGUST, "train", "neutral to disgust")
        );
        assert!((face.confidence - 0.77).abs() < 0.01, "{}", face.confidence);
        assert!(face.similarity > 0.3 && face.similarity < 0.98, "{}", face.similarity);
        assert!(![0, 4].contains(&(face.source % 5)), "row {} is disgusted or tested on", face.source);
        let source = &pixels.0[face.source as usize * 48 * 48..][..48 * 48];
        for (at, (was, is)) in source.iter().zip(&face.pixels).enumerate() {
            let value = 0.7 * (f32::from(*was) / 127.5 - 1.0) + (at % 48) as f32 / 60.0 - 0.4;
            let expected = ((value + 1.0) * 127.5).round().clamp(0.0, 255.0);
            assert!((f32::from(*is) - expected).abs() <= 1.0, "{at}: {was} became {is}");
        }
    }
}

#[test]
fn without_a_number_the_class_gets_what_it_lacks_to_the_largest() {
    let house = House::new(60);
    // 36 neutral faces are trained on, and 12 disgusted ones, of which one is dropped.
    let dropped: StringArray = (0..60).map(|row| (row == 5).then_some("no-face")).collect();
    house.put(&[(Field::new("dropped", DataType::Utf8, true), std::sync::Arc::new(dropped))]);
    let facts = house.generate("changing", "", "out").unwrap();
    assert_eq!(number(&facts, "wanted"), 36 - 11);
    // Whatever is made lacks what is made no more.
    let again =
        house.run_on(1, &[("input", "out"), ("model", "changing")], &house.node(""), "again").unwrap();
    assert_eq!(number(&again, "wanted"), 25 - number(&facts, "made"));
    // The largest class lacks nothing, and its table goes on as it is.
    let neutral = "from = \"disgust\"\nto = \"neutral\"";
    let none = house.generate("changing", neutral, "none").unwrap();
    assert_eq!((number(&none, "wanted"), number(&none, "tried"), house.made("none").len()), (0, 0, 0));
}

#[test]
fn a_generator_that_changes_nothing_makes_copies_only() {
    let house = House::new(40);
    let facts = house.generate("idle", "count = 3", "out").unwrap();
    // All 24 as they are, and mirrored.
    assert_eq!((number(&facts, "made"), number(&facts, "tried"), refused(&facts)), (0, 48, [0, 0, 48]));
    assert_eq!(house.table("out").table.rows(), 40);
}

#[test]
fn pictures_without_a_face_and_of_another_class_are_refused() {
    let house = House::new(30);
    let spoilt = house.generate("spoiling", "count = 3", "spoilt").unwrap();
    assert_eq!((number(&spoilt, "made"), refused(&spoilt)), (0, [0, 36, 0]));
    let unsure = house.generate("changing", "count = 3\nagreement = 0.8", "unsure").unwrap();
    assert_eq!((number(&unsure, "made"), refused(&unsure)), (0, [36, 0, 0]));
    let other = format!("count = 3\nclassifier = {:?}", name(&house.path("saddened.onnx")));
    let sad = house.generate("changing", &other, "sad").unwrap();
    assert_eq!((number(&sad, "made"), refused(&sad)), (0, [36, 0, 0]));
}

#[test]
fn when_too_few_pass_all_are_tried_mirrored_too_and_no_two_are_copies() {
    let house = House::new(40);
    let facts = house.generate("changing", "count = 1000", "out").unwrap();
    assert_eq!(number(&facts, "tried"), 48);
    let made = house.made("out");
    assert!(made.len() > 3 && made.len() + refused(&facts).iter().sum::<u64>() as usize == 48, "{facts:?}");
    let mirrored =
        |pixels: &[u8]| pixels.chunks(48).flat_map(|row| row.iter().rev()).copied().collect::<Vec<_>>();
    let hasher = ferroflow_vision::perceptual_hash::Hasher::default();
    let hash = |pixels: &[u8]| hasher.hash(pixels, 48, 48).unwrap();
    for (at, a) in made.iter().enumerate() {
        for b in &made[at + 1..] {
            for other in [b.pixels.clone(), mirrored(&b.pixels)] {
                let is_close = (hash(&a.pixels) ^ hash(&other)).count_ones() <= 3;
                let correlation = ferroflow_vision::correlation::correlation(&a.pixels, &other);
                assert!(!is_close || correlation < 0.98, "{} and {}: {correlation}", a.source, b.source);
            }
        }
    }
}

#[test]
fn nothing_is_made_of_faces_that_have_duplicates_in_another_split() {
    let house = House::new(40);
    let groups = |group: &dyn Fn(usize) -> Option<i64>| {
        let groups: Int64Array = (0..40).map(group).collect();
        house.put(&[(Field::new("duplicate_group", DataType::Int64, true), std::sync::Arc::new(groups))]);
    };
    // Each face tested on has a duplicate in the row before; the rows 1 and 2 are duplicates within one split.
    groups(&|row| match row {
        1 | 2 => Some(99),
        row if row % 5 >= 3 => Some((row / 5) as i64),
        _ => None,
    });
    let facts = house.generate("changing", "count = 1000", "out").unwrap();
    assert_eq!((number(&facts, "sources"), number(&facts, "left_out_across_splits")), (16, 8));
    let sources: BTreeSet<i64> = house.made("out").iter().map(|made| made.source % 5).collect();
    assert_eq!(sources, BTreeSet::from([1, 2]));
    let new: Int64Array = house.table("out").table.typed("duplicate_group").unwrap();
    assert!((40..new.len()).all(|row| new.is_null(row)));
    groups(&|_| Some(1));
    let said = house.generate("changing", "", "none").unwrap_err();
    assert!(
        said.contains("all 24 faces of `neutral` in the split `train` have duplicates in other splits"),
        "{said}"
    );
}

#[test]
fn one_class_after_the_other_is_filled_in_a_chain() {
    let house = House::new(60);
    house.generate("changing", "count = 4", "first").unwrap();
    let node = house
        .node(&format!("count = 3\nto = \"sad\"\nclassifier = {:?}", name(&house.path("saddened.onnx"))));
    // The same network again makes what is there: only another one makes other faces.
    house.generator("other", 0.6, |_, y| y as f32 / 50.0 - 0.5);
    house.run_on(2, &[("input", "first"), ("model", "other")], &node, "second").unwrap();
    let (first, second) = (house.made("first"), house.made("second"));
    assert_eq!(second[..4], first);
    let generators: Vec<_> = second.iter().map(|made| (made.generator.as_str(), made.row)).collect();
    let sad = "neutral to sad";
    assert_eq!(generators[4..], [(sad, 64), (sad, 65), (sad, 66)]);
    assert!(second.iter().all(|made| made.source < 60), "of real faces only");
    let copies =
        house.run_on(2, &[("input", "first"), ("model", "changing")], &house.node("count = 1000"), "third");
    assert!(refused(&copies.unwrap())[2] >= 4, "what the first has made is made no second time");
}

#[test]
fn the_same_faces_come_out_whatever_the_number_of_workers_and_others_of_another_seed() {
    let house = House::new(200);
    let bytes = |workers: usize, more: &str, out: &str| {
        house.run_on(workers, &[("input", "faces"), ("model", "changing")], &house.node(more), out).unwrap();
        fs::read(house.path(out).join("data.parquet")).unwrap()
    };
    let one = bytes(1, "count = 9", "one");
    assert!(one == bytes(2, "count = 9", "two") && one == bytes(5, "count = 9", "five"));
    assert!(one != bytes(2, "count = 9\nseed = 1", "other"));
}

#[test]
fn what_a_kill_left_of_a_sample_is_no_part_of_the_result() {
    let house = House::new(20);
    fs::create_dir_all(house.path("checkpoints/samples")).unwrap();
    fs::write(house.path("checkpoints/samples/.tmpAbCdEf"), "half a picture").unwrap();
    let node = "use = \"cyclegan\"\nfrom = \"neutral\"\nto = \"disgust\"\nepochs = 1\ndecay-epochs = 0\nepoch-faces = 2\n\
                generator-width = 2\ngenerator-blocks = 1\ndiscriminator-width = 2\n";
    house.run_on(1, &[("input", "faces")], node, "trained").unwrap();
    let samples = fs::read_dir(house.path("trained/samples")).unwrap();
    let names: Vec<_> = samples.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["epoch-0001.png"]);
}

#[test]
fn nothing_that_was_said_of_a_face_is_said_of_its_translation() {
    let house = House::new(20);
    let quality: Float32Array = (0..20).map(|_| Some(0.5f32)).collect();
    let groups: Int64Array = (0..20i64).map(|row| Some(row / 2)).collect();
    house.put(&[
        (Field::new("label_quality", DataType::Float32, true), std::sync::Arc::new(quality)),
        (Field::new("duplicate_group", DataType::Int64, true), std::sync::Arc::new(groups)),
    ]);
    let translate = |more: &str| {
        let node = format!("use = \"translate\"\nfrom = \"neutral\"\n{more}");
        house.run_on(2, &[("input", "faces"), ("model", "changing")], &node, "out")
    };
    assert_eq!(number(&translate("to = \"disgust\"").unwrap(), "rows"), 12);
    let out = house.table("out");
    let names: Vec<_> = out.table.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["image", "label", "split", "row", "source_row", "generator"]);
    let sources: Int64Array = out.table.typed("source_row").unwrap();
    assert_eq!(sources.values()[..6], [1, 2, 3, 6, 7, 8]);
    assert_eq!(out.source_rows().unwrap(), sources);
    assert_eq!(out.labels().unwrap(), [Some(DISGUST); 12]);
    assert_eq!(out.splits().unwrap(), ["train"; 12]);
    let generators: StringArray = out.table.typed("generator").unwrap();
    assert!(generators.iter().all(|generator| generator == Some("neutral to disgust")));
    // Told at once, not after a network has been trained for hours.
    let same = translate("to = \"neutral\"").unwrap_err();
    assert!(same.contains("`from` and `to` are both `neutral`: name two classes"), "{same}");
    let device = translate("to = \"disgust\"\ndevice = \"gpu\"").unwrap_err();
    assert!(device.contains("unknown device `gpu`") && device.contains("in `device`"), "{device}");
}

#[test]
fn made_faces_and_what_they_were_made_of_are_never_tested_on() {
    let house = House::new(60);
    house.generate("changing", "count = 6", "out").unwrap();
    let node = "use = \"split\"\ntest = 0.5\nvalidation = 0.1";
    let facts = house.run_on(1, &[("input", "out")], node, "split").unwrap();
    // Of the 60 real ones: by class, 48 and 12, of which at least half and a tenth.
    assert_eq!((number(&facts, "test"), number(&facts, "validation"), number(&facts, "train")), (30, 6, 30));
    let made = house.made("split");
    let splits = house.table("split").splits().unwrap();
    assert_eq!(made.len(), 6);
    for face in made {
        assert_eq!((face.split.as_str(), splits[face.source as usize].as_str()), ("train", "train"));
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_tried() {
    let house = House::new(10);
    let said = |more: &str| house.generate("changing", more, "out").unwrap_err();
    for split in ["test", "validation"] {
        let error = said(&format!("split = \"{split}\""));
        assert_eq!(
            error,
            format!(
                "`split` is `{split}`: faces must not be made of what models are measured on; `train` is for that"
            )
        );
    }
    assert!(said("to = \"neutral\"").contains("`from` and `to` are both `neutral`"));
    assert!(said("count = 1\nrows = 2").contains("give one of them"));
    assert!(said("count = 0").contains("`count` is 0, and must be 1 or more"));
    assert!(said("agreement = 1.5").contains("`agreement` is 1.5, and must be from 0 to 1"));
    assert!(said("similarity = -1.0").contains("`similarity` is -1, and must be from 0 to 1"));
    assert!(said("device = \"gpu\"").contains("`device`"));
    assert!(
        said("classifier = \"nobody\"").contains("`nobody` is neither a model of the manifest nor a file")
    );
    assert!(
        said("to = \"disgusted\"")
            .contains("`disgusted` knows no class `disgusted` (it knows: angry, disgust")
    );
    fs::remove_file(house.path("disgusted.toml")).unwrap();
    assert!(said("").contains("disgusted.onnx has no card"));
}

#[test]
fn what_does_not_fit_the_faces_is_refused_with_what_there_is() {
    let house = House::new(10);
    let said = |model: &str, more: &str| house.generate(model, more, "out").unwrap_err();
    assert!(said("changing", "from = \"calm\"").contains("`from`: there is no class `calm` (classes: angry"));
    assert!(
        said("changing", "from = \"happy\"").contains("the class `happy` has no faces in the split `train`")
    );
    let direction = said("changing", "from = \"disgust\"\nto = \"sad\"\ncount = 1");
    assert!(
        direction.contains("`model` does not translate `disgust` to `sad` (it has: neutral-to-disgust.onnx, neutral-to-sad.onnx)"),
        "{direction}"
    );
    // A network for faces of 32x32 pixels.
    let mut graph = GraphBuilder::default();
    let sides = [Side::Free("faces"), Side::Fixed(1), Side::Fixed(32), Side::Fixed(32)];
    graph.input("face", &sides);
    graph.node("Neg", "translated", &["face"], vec![]);
    graph.output("translated", &sides);
    fs::create_dir_all(house.path("small")).unwrap();
    fs::write(house.path("small/neutral-to-disgust.onnx"), graph.finish("generator")).unwrap();
    let size = said("small", "count = 1");
    assert!(
        size.contains("the faces have 48x48 pixels, and the network translates faces of 32x32"),
        "{size}"
    );
    let texts: StringArray = (0..10).map(|_| Some("a")).collect();
    house.put(&[(Field::new("source_row", DataType::Utf8, true), std::sync::Arc::new(texts))]);
    let column = said("changing", "count = 1");
    let words = "the column `source_row` of HOUSE/faces/data.parquet has type Utf8, and rows with Int64 cannot be put behind";
    assert!(column.contains(words), "{column}");
}

#[test]
fn a_trained_network_generates_in_a_graph_and_too_few_faces_are_warned_of() {
    let house = House::new(5);
    fer::write(house.folder.path(), &fer::rows(70));
    let graph = format!(
        "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n\
         [node.pair]\nuse = \"cyclegan\"\ninput = \"faces\"\nfrom = \"neutral\"\nto = \"disgust\"\n\
         generator-width = 2\ngenerator-blocks = 1\ndiscriminator-width = 2\nepoch-faces = 2\nepochs = 1\ndecay-epochs = 0\n\
         [node.more]\nuse = \"generate\"\ninput = \"faces\"\nmodel = \"pair\"\nfrom = \"neutral\"\nto = \"disgust\"\n\
         classifier = {:?}\ncount = 500\nagreement = 0.5\n\
         [node.out]\nuse = \"export\"\ninput = \"more\"\npath = \"out\"\n",
        name(&house.path("disgusted.onnx"))
    );
    let file = house.path("graph.toml");
    fs::write(&file, graph).unwrap();
    let run = |folder: &Path| {
        let mut command = ferroflow();
        command.args(["run", name(&file)]).env("FERROFLOW_STORE", house.path("store")).current_dir(folder);
        text(&command.output().unwrap())
    };
    let (code, out, log) = run(house.folder.path());
    assert_eq!(code, Some(0), "{out}{log}");
    assert!(out.contains("wanted 500, made "), "{out}");
    for words in
        ["neutral to disgust: ", " of 500 faces were made. Of 10 translations (5 faces", ": train longer"]
    {
        assert!(log.contains(words), "{log}");
    }
    let exported = Table::open(&house.path("out/data/train-00000-of-00001.parquet")).unwrap();
    assert!(exported.has("generated_similarity") && exported.rows() >= 42, "{}", exported.rows());
    // The classifier's content counts: another one makes it run again.
    assert!(run(house.folder.path()).1.contains("0 made, 4 unchanged"));
    let card = fs::read_to_string(house.path("disgusted.toml")).unwrap();
    fs::write(house.path("disgusted.toml"), card + "crop_padding = 0.1\n").unwrap();
    assert!(!run(house.folder.path()).1.contains("0 made, 4 unchanged"));
}
