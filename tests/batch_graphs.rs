//! Batch graphs: results last, nothing runs twice, what is killed goes on, and what is wrong is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{House, fer, ferroflow, json, name, text};
use ferroflow_onnx::{GraphBuilder, Side};
use ferroflow_vision::model::resolve_model;

/// The whole cleaning, small: two folds, few steps.
fn clean() -> Vec<String> {
    let file = format!("{}/pipelines/fer2013-clean.toml", env!("CARGO_MANIFEST_DIR"));
    let mut arguments = vec!["run".to_owned(), file];
    for set in [
        "input=fer2013.csv",
        "votes=votes.csv",
        "output=out",
        "node.judged.folds=2",
        "node.judged.epochs=40",
        "node.relabelled.drop-below=0.1",
    ] {
        arguments.extend(["--set".to_owned(), set.to_owned()]);
    }
    arguments
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn fer2013_is_cleaned_from_the_csv_to_the_page() {
    let house = House::new(&fer::dirty(120));
    let votes = ["--set", "node.compared.non-face-votes=7"].map(str::to_owned);
    let arguments = [clean(), votes.to_vec()].concat();
    let out = house.succeed(&borrowed(&arguments));
    assert!(out.contains("9 made, 0 unchanged, 0 failed, 0 not run"), "{out}");
    assert!(house.path("out/data/data/train-00000-of-00001.parquet").is_file());
    let page = fs::read_to_string(house.path("out/report/index.html")).unwrap();
    for part in [
        "FER2013, cleaned",
        "duplicate",
        "leak",
        "constant",
        "Classes, before and after",
        "data:image/png",
        "non-faces (7 votes and more)",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let store = house.succeed(&["store", "list"]);
    let key = store
        .lines()
        .find(|line| line.contains("compared"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let shown = house.succeed(&["store", "show", &key]);
    for part in ["\"non_faces_dropped\": 1.0", "\"seconds\"", "\"machine\"", "\"label-splits\""] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let began = Instant::now();
    let again = house.succeed(&borrowed(&arguments));
    assert!(again.contains("0 made, 9 unchanged"), "{again}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn networks_that_have_learnt_nothing_judge_no_labels() {
    let house = House::new(&fer::rows(60));
    let error =
        house.refuse(&["run", "fer2013 path=fer2013.csv ! cross-validate folds=2 epochs=1 ! relabel"]);
    assert!(error.contains("they have learnt nothing that labels could be judged by"), "{error}");
}

#[test]
fn without_votes_the_cleaning_goes_unjudged() {
    let house = House::new(&fer::rows(20));
    let file = format!("{}/pipelines/fer2013-clean.toml", env!("CARGO_MANIFEST_DIR"));
    let plan = house.succeed(&["plan", &file, "--set", "input=fer2013.csv"]);
    assert!(plan.contains("7 stages") && plan.contains("left out: compared, votes"), "{plan}");
    assert!(plan.contains("<- input=relabelled\n"), "{plan}");
}

#[test]
fn a_graph_that_is_killed_again_and_again_comes_to_the_same_bytes() {
    let rows = fer::dirty(80);
    let (whole, killed) = (House::new(&rows), House::new(&rows));
    let arguments = clean();
    whole.succeed(&borrowed(&arguments));
    let mut kills = 0;
    for attempt in 0u64..12 {
        let mut child = killed
            .command(&borrowed(&arguments))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the run, and different each time.
        std::thread::sleep(Duration::from_millis(60 + attempt * 2654435761 % 700));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
    killed.succeed(&borrowed(&arguments));
    assert_eq!(killed.digests(), whole.digests(), "after {kills} kills");
}

#[test]
fn ctrl_c_stops_soon_keeps_what_is_finished_and_says_how_to_go_on() {
    let house = House::new(&fer::dirty(120));
    let mut arguments = clean();
    arguments.extend(["--set".to_owned(), "node.judged.epochs=400".to_owned()]);
    let child =
        house.command(&borrowed(&arguments)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let work = house.path("store/work");
    let is_training = || {
        walkdir::WalkDir::new(&work)
            .into_iter()
            .filter_map(Result::ok)
            .any(|entry| entry.file_name() == "state")
    };
    assert!(common::wait_until(Duration::from_secs(60), is_training));
    common::signal(&child, "INT");
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (code, out, _) = text(&output);
    assert_eq!(code, Some(130), "{out}");
    assert!(out.contains("4 made, 0 unchanged, 0 failed, 5 not run"), "{out}");
    arguments[0] = "plan".to_owned();
    assert!(house.succeed(&borrowed(&arguments)).contains("it was stopped and goes on where it was"));
}

#[test]
fn two_processes_that_want_the_same_share_the_work() {
    let house = House::new(&fer::rows(60));
    let graph = ["run", "fer2013 path=fer2013.csv ! deduplicate ! sample rows=20 ! export path=out"];
    let spawn = || house.command(&graph).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [spawn(), spawn()].map(|child| text(&child.wait_with_output().unwrap()));
    let made = |out: &str| out.lines().filter(|line| line.contains(": made in")).count();
    assert_eq!(made(&both[0].1) + made(&both[1].1), 4, "{both:?}");
    assert_eq!((both[0].0, both[1].0), (Some(0), Some(0)), "{both:?}");
}

#[test]
fn processes_that_bring_the_same_result_do_not_disturb_each_other() {
    let house = House::new(&fer::rows(60));
    let graph = ["run", "fer2013 path=fer2013.csv ! export path=out"];
    house.succeed(&graph);
    for _ in 0..5 {
        std::fs::remove_dir_all(house.path("out")).unwrap();
        let spawn = |_| house.command(&graph).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let children: Vec<_> = (0..6).map(spawn).collect();
        for child in children {
            let (code, out, err) = text(&child.wait_with_output().unwrap());
            assert_eq!(code, Some(0), "{out}{err}");
        }
        assert!(house.path("out").is_dir());
    }
}

/// `pipelines/cyclegan-small.toml`, as small as it can be: two epochs of four faces.
fn translator(command: &str) -> Vec<String> {
    let file = format!("{}/pipelines/cyclegan-small.toml", env!("CARGO_MANIFEST_DIR"));
    let sets = ["generator-width=2", "generator-blocks=1", "discriminator-width=2", "epoch-faces=4"];
    let epochs = ["epochs=1", "decay-epochs=1", "sample-every=1"];
    let mut arguments = vec![command.to_owned(), file];
    arguments.extend(["--set", "input=fer2013.csv"].map(str::to_owned));
    for set in sets.iter().chain(&epochs) {
        arguments.extend(["--set".to_owned(), format!("node.translator.{set}")]);
    }
    arguments
}

#[test]
fn a_cyclegan_leaves_both_networks_their_losses_and_samples() {
    let house = House::new(&fer::rows(70));
    let out = house.succeed(&borrowed(&translator("run")));
    assert!(out.contains("from neutral") && out.contains("to disgust"), "{out}");
    for file in ["neutral-to-disgust.onnx", "disgust-to-neutral.onnx", "losses.svg"] {
        assert!(house.path("cyclegan-small").join(file).is_file(), "{file}");
    }
    let samples = house.path("cyclegan-small/samples");
    let first = image::open(samples.join("epoch-0001.png")).unwrap();
    assert_eq!(first.height(), 6 * 98 + 2);
    assert_ne!(
        fs::read(samples.join("epoch-0001.png")).unwrap(),
        fs::read(samples.join("epoch-0002.png")).unwrap()
    );
    let network = fs::read(house.path("cyclegan-small/neutral-to-disgust.onnx")).unwrap();
    // Made anew, it is the same to the byte.
    house.succeed(&borrowed(&[translator("run"), vec!["--force=translator".to_owned()]].concat()));
    assert_eq!(fs::read(house.path("cyclegan-small/neutral-to-disgust.onnx")).unwrap(), network);
}

#[test]
fn a_trained_network_translates_a_class_and_says_where_each_face_comes_from() {
    let house = House::new(&fer::rows(70));
    let file = house.path("graph.toml");
    let graph = |translate: &str| {
        format!(
            "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n\
             [node.pair]\nuse = \"cyclegan\"\ninput = \"faces\"\nfrom = \"happy\"\nto = \"sad\"\n\
             generator-width = 2\ngenerator-blocks = 1\ndiscriminator-width = 2\nepoch-faces = 2\nepochs = 1\ndecay-epochs = 0\n\
             [node.sad]\nuse = \"translate\"\ninput = \"faces\"\nmodel = \"pair\"\n{translate}\n\
             [node.out]\nuse = \"export\"\ninput = \"sad\"\npath = \"out\"\nformat = \"image-folder\"\n"
        )
    };
    fs::write(&file, graph("from = \"happy\"\nto = \"sad\"")).unwrap();
    house.succeed(&["run", name(&file)]);
    // Of 70 rows every seventh is happy, and of five rows three are trained on.
    let pictures: Vec<_> = fs::read_dir(house.path("out/train/sad")).unwrap().collect();
    assert_eq!(pictures.len(), 6, "{pictures:?}");
    fs::write(&file, graph("from = \"happy\"\nto = \"fear\"")).unwrap();
    let refused = house.refuse(&["run", name(&file)]);
    assert!(
        refused.contains(
            "`model` does not translate `happy` to `fear` (it has: happy-to-sad.onnx, sad-to-happy.onnx)"
        ),
        "{refused}"
    );
}

/// A classifier that says which seventh of a face is brightest, and a network whose features are 8x8 pixels.
fn networks(folder: &Path, labels: &str) {
    let network = |name: &str, sides: [usize; 2], card: &str| {
        let (batch, [height, width]) = (Side::Free("N"), sides);
        let mut graph = GraphBuilder::default();
        graph.input("face", &[batch, Side::Fixed(1), Side::Fixed(height), Side::Fixed(width)]);
        graph.node("Flatten", "answer", &["face"], vec![]);
        graph.output("answer", &[batch, Side::Fixed(height * width)]);
        fs::write(folder.join(name).with_extension("onnx"), graph.finish(name)).unwrap();
        let input = format!("[input]\nwidth = {width}\nheight = {height}\ncolor = \"gray\"\nscale = 0.01\n");
        fs::write(folder.join(name).with_extension("toml"), format!("{card}\n{input}")).unwrap();
    };
    network("sevenths", [7, 1], &format!("task = \"expression\"\nsoftmax = true\nlabels = {labels}"));
    network("pixels", [8, 8], "task = \"embedding\"");
}

/// All keys of a value, with those of what is in it.
fn keys(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), keys(value))).collect()
        }
        serde_json::Value::Array(values) => values.iter().map(keys).collect(),
        _ => serde_json::Value::Null,
    }
}

#[test]
fn translated_faces_are_measured_in_both_directions_beside_real_ones() {
    let house = House::new(&fer::rows(140));
    networks(house.folder(), "['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral']");
    let file = house.path("graph.toml");
    let graph = |fidelity: &str| {
        format!(
            "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n\
             [node.pair]\nuse = \"cyclegan\"\ninput = \"faces\"\nfrom = \"happy\"\nto = \"sad\"\n\
             generator-width = 2\ngenerator-blocks = 1\ndiscriminator-width = 2\nepoch-faces = 2\nepochs = 1\ndecay-epochs = 0\n\
             [node.how-good]\nuse = \"fidelity\"\ninput = \"faces\"\nmodel = \"pair\"\npath = \"out\"\n\
             classifier = \"sevenths.onnx\"\nfeatures = \"pixels.onnx\"\n{fidelity}\n"
        )
    };
    fs::write(&file, graph("")).unwrap();
    let out = house.succeed(&["run", name(&file)]);
    assert!(out.contains("called_target_there"), "{out}");
    let read = || fs::read(house.path("out/fidelity.json")).unwrap();
    let measured: serde_json::Value = serde_json::from_slice(&read()).unwrap();
    insta::assert_json_snapshot!("the_facts_of_translated_faces", keys(&measured));
    let number = |path: &str| measured.pointer(path).and_then(serde_json::Value::as_f64).unwrap();
    // 12 happy and 10 sad faces are trained on.
    let sizes = [[12.0, 10.0, 10.0, 5.0], [10.0, 12.0, 12.0, 6.0]];
    for (direction, from, to) in [(0, "happy", "sad"), (1, "sad", "happy")] {
        let at = |path: &str| number(&format!("/directions/{direction}/{path}"));
        let names = ["from", "to"].map(|key| measured["directions"][direction][key].clone());
        assert_eq!(names, [from, to]);
        assert_eq!(["faces", "real_faces", "training_faces", "sample"].map(at), sizes[direction]);
        for share in ["translated", "real", "source"] {
            assert!((0.0..=1.0).contains(&at(&format!("called_target/{share}"))), "{measured}");
            assert!(at(&format!("frechet/{share}/mean")) > 0.0, "{measured}");
        }
        // A network that has learnt nothing is farther from real faces than these are from each other.
        assert!(at("frechet/translated/mean") > at("frechet/real/mean"), "{measured}");
        assert!(at("kernel/translated/mean") > at("kernel/real/mean"), "{measured}");
        assert!(at("structure/returned") < 1.0 && at("structure/others") < 1.0, "{measured}");
        let nearest = |whose: &str, what: &str| at(&format!("nearest/{whose}/{what}"));
        assert!(nearest("real", "greatest_correlation") >= nearest("real", "median_correlation"));
        assert!(nearest("translated", "least_distance") <= nearest("translated", "median_distance"));
    }
    let page = fs::read_to_string(house.path("out/index.html")).unwrap();
    assert_eq!(page.matches("<figure").count(), 22);
    assert!(page.contains("<svg role=\"img\" aria-label=\"losses of the CycleGAN"), "{page}");
    assert!(!page.contains("src=\"http"), "{page}");
    let before = read();
    house.succeed(&["run", name(&file), "--force=how-good"]);
    assert_eq!(read(), before);
    // Fewer faces, of which the halves are made.
    fs::write(&file, graph("faces = 8")).unwrap();
    house.succeed(&["run", name(&file)]);
    let fewer: serde_json::Value = serde_json::from_slice(&read()).unwrap();
    assert_eq!(fewer.pointer("/directions/0/sample"), Some(&4.into()));
    assert_eq!(fewer.pointer("/directions/0/training_faces"), Some(&10.into()));
    for (parameter, words) in [
        ("faces = 3", "`faces` is 3: two halves of two faces are needed"),
        ("split = \"nowhere\"", "the class `happy` has 0 faces in the split `nowhere`"),
        ("device = \"abacus\"", "`device`"),
    ] {
        fs::write(&file, graph(parameter)).unwrap();
        let refused = house.refuse(&["run", name(&file)]);
        assert!(refused.contains(words), "{refused}");
    }
    networks(house.folder(), "['a', 'b', 'c', 'd', 'happy', 'f', 'g']");
    fs::write(&file, graph("")).unwrap();
    let refused = house.refuse(&["run", name(&file)]);
    assert!(refused.contains("does not know the class `sad` (it has: a, b, c, d, happy, f, g)"), "{refused}");
}

/// A classifier as small as it can be, its teachers' pupil, and both judged.
fn classifiers(more: &str) -> String {
    let small = "layers = \"8p 16\"\nepochs = 3\nbatch-size = 8\naveraging = 0.5";
    format!(
        "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n\
         [node.balanced]\nuse = \"balance\"\ninput = \"faces\"\nmethod = \"class-weights\"\n\
         [node.teacher]\nuse = \"train\"\ninput = \"balanced\"\nname = \"teacher\"\npath = \"teacher\"\n{small}\n\
         [node.taught]\nuse = \"predict\"\ninput = \"faces\"\nmodels = \"teacher\"\ntemperature = 2\n\
         [node.pupil]\nuse = \"train\"\ninput = \"taught\"\nname = \"pupil\"\nsoft-labels = 0.7\n{small}\n\
         [node.further]\nuse = \"train\"\ninput = \"faces\"\nbegin = \"teacher\"\nname = \"further\"\n{small}\n\
         [node.votes]\nuse = \"ferplus\"\npath = \"votes.csv\"\n\
         [node.judged]\nuse = \"evaluate\"\ninput = \"faces\"\nmodels = [\"teacher\", \"pupil\", \"further\"]\npath = \"judged\"\n\
         reference = \"votes\"\n{more}\n"
    )
}

#[test]
fn labels_of_a_test_part_have_no_say_in_what_is_learnt_from() {
    let corrected = |change: bool| {
        let mut rows = fer::rows(140);
        for row in rows.iter_mut().filter(|row| change && row.usage != "Training") {
            row.label = (row.label + 1) % 7;
        }
        let house = House::new(&rows);
        // Validation labels choose the epoch that is kept: none may.
        let learn = "train name=teacher layers='8p 16' epochs=40 batch-size=8 averaging=0 validation=none";
        let graph = format!(
            "fer2013 path=fer2013.csv name=faces ! {learn} faces. ! predict.input teacher. ! predict.models predict name=predict ! relabel ! export path=out dropped=true"
        );
        house.succeed(&["run", &graph]);
        let of_train = house.path("out/data/train-00000-of-00001.parquet");
        let table = ferroflow::batch::data::Table::open(&of_train).unwrap();
        let labels: arrow_array::Int64Array = table.typed("label").unwrap();
        let quality: arrow_array::Float32Array = table.typed("label_quality").unwrap();
        (labels, quality)
    };
    assert_eq!(corrected(false), corrected(true));
}

#[test]
fn classifiers_are_trained_teach_each_other_and_are_judged() {
    let house = House::new(&fer::rows(140));
    let file = house.path("graph.toml");
    fs::write(&file, classifiers("")).unwrap();
    house.succeed(&["run", name(&file)]);
    for result in ["classifier.onnx", "network.bin", "training.svg"] {
        assert!(house.path("teacher").join(result).is_file(), "{result}");
    }
    let facts = json(&house.path("judged/evaluation.json"));
    let models = facts["models"].as_array().unwrap();
    let names: Vec<_> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["teacher", "pupil", "further"]);
    // Every fifth of 140 rows is for the test.
    assert_eq!(facts["faces"], 28);
    assert_eq!(facts["comparisons"].as_array().unwrap().len(), 3);
    for model in models {
        let right: u64 = (0..7).map(|class| model["confusion"][class][class].as_u64().unwrap()).sum();
        let accuracy = model["accuracy"].as_f64().unwrap();
        assert!((accuracy - right as f64 / 28.0).abs() < 1e-9, "{model}");
        let interval = &model["interval"];
        assert!(interval[0].as_f64().unwrap() <= accuracy && accuracy <= interval[1].as_f64().unwrap());
    }
    let page = fs::read_to_string(house.path("judged/index.html")).unwrap();
    assert!(page.contains("pupil") && !page.contains("src=\"http"), "{page}");
    // The file alone is enough for others: its card is inside.
    let (path, copy) = (house.path("teacher/classifier.onnx"), house.path("alone.onnx"));
    fs::copy(path, &copy).unwrap();
    let card = resolve_model(name(&copy)).unwrap().card.unwrap();
    assert_eq!((card.input.width, card.input.height, card.labels.len()), (48, 48, 7));
    fs::write(&file, classifiers("classifiers = [\"alone.onnx\"]")).unwrap();
    house.succeed(&["run", name(&file)]);
    let facts = json(&house.path("judged/evaluation.json"));
    assert_eq!(facts["models"][3]["name"], "alone");
    assert_eq!(facts["models"][3]["confusion"], facts["models"][0]["confusion"]);
    // Made anew, it is the same to the byte.
    let network = fs::read(house.path("teacher/network.bin")).unwrap();
    house.succeed(&["run", name(&file), "--force=teacher"]);
    assert!(fs::read(house.path("teacher/network.bin")).unwrap() == network);
}

#[test]
fn several_protocols_stand_in_one_table_with_gains_and_what_others_report() {
    let house = House::new(&fer::rows(140));
    let file = house.path("graph.toml");
    let graph = |protocols: &str| {
        let train = |node: &str, name: &str, seed: usize| {
            format!(
                "[node.{node}]\nuse = \"train\"\ninput = \"faces\"\nname = \"{name} {seed}\"\nseed = {seed}\n\
                 layers = \"8p 16\"\nepochs = 1\nbatch-size = 8\n"
            )
        };
        let trained: String = (0..2)
            .map(|seed| {
                train(&format!("a{seed}"), "plain", seed) + &train(&format!("b{seed}"), "other", seed + 1)
            })
            .collect();
        let judge = |node: &str, title: &str, more: &str| {
            format!(
                "[node.{node}]\nuse = \"evaluate\"\ninput = \"faces\"\nmodels = [\"a0\", \"a1\", \"b0\", \"b1\"]\n\
                 title = \"{title}\"\n{more}\n"
            )
        };
        format!(
            "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n{trained}{}{}\
             [node.all]\nuse = \"protocols\"\ninput = [\"first\", \"second\"]\npath = \"all\"\n{protocols}\n",
            judge("first", "PrivateTest", ""),
            judge("second", "PublicTest", "split = \"validation\"")
        )
    };
    let reported = "baseline = \"plain\"\nsteps = [{ name = \"ours\", before = \"plain\", after = \"other\" }]\n\
         reported-steps = [{ name = \"theirs\", before = 0.5, after = 0.75, recall-gains = { sad = 0.25 } }]\nreported = [{ protocol = \"PrivateTest\", model = \"they\", accuracy = 0.64 }]";
    fs::write(&file, graph(reported)).unwrap();
    house.succeed(&["run", name(&file)]);
    let protocols = json(&house.path("all/protocols.json"));
    let lines = |at: usize| protocols["protocols"][at]["lines"].as_array().unwrap();
    let names: Vec<_> =
        lines(0).iter().map(|line| (line["model"].as_str().unwrap(), &line["seeds"])).collect();
    assert_eq!(names, [("plain", &2.into()), ("other", &2.into()), ("they", &0.into())]);
    assert_eq!((&protocols["protocols"][1]["title"], lines(1).len()), (&"PublicTest".into(), 2));
    // Only seed 1 is in both.
    assert!(lines(0)[1]["gain"].is_number() && lines(0)[1]["gain_interval"].is_null());
    let steps = &protocols["steps"];
    assert_eq!(steps[0]["before"], lines(0)[0]["accuracy"]);
    assert_eq!(steps[1]["recall_gains"], serde_json::json!([null, null, null, null, 0.25, null, null]));
    let page = fs::read_to_string(house.path("all/index.html")).unwrap();
    assert!(page.contains("they") && page.contains("64.0 %") && !page.contains("src=\"http"), "{page}");
    for (protocols, words) in [
        ("baseline = \"nobody\"", "`baseline` is `nobody`; there are: other, plain"),
        (
            "steps = [{ name = \"x\", before = \"plain\", after = \"x\" }]",
            "`after` is `x`; there are: other, plain",
        ),
        (
            "reported = [{ protocol = \"x\", model = \"they\", accuracy = 0.64 }]",
            "`reported` names the protocol `x`; there are: PrivateTest, PublicTest",
        ),
        (
            "reported = [{ protocol = \"PrivateTest\", model = \"they\", accuracy = 64 }]",
            "must be from 0 to 1",
        ),
    ] {
        fs::write(&file, graph(protocols)).unwrap();
        let refused = house.refuse(&["run", name(&file)]);
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn what_a_classifier_cannot_be_made_or_judged_with_is_said() {
    let house = House::new(&fer::rows(70));
    let file = house.path("graph.toml");
    let refuse = |text: &str| {
        fs::write(&file, text).unwrap();
        house.refuse(&["run", name(&file)])
    };
    let source = "[node.faces]\nuse = \"fer2013\"\npath = \"fer2013.csv\"\n";
    let train = |more: &str| {
        format!("{source}[node.network]\nuse = \"train\"\ninput = \"faces\"\nepochs = 1\n{more}\n")
    };
    let judge =
        |more: &str| format!("{source}[node.judged]\nuse = \"evaluate\"\ninput = \"faces\"\n{more}\n");
    for (graph, words) in [
        (train("layers = \"8p x\""), "`layers` has `x`"),
        (train("mixup = 2"), "`mixup` is 2: a number from 0 to 1 is needed"),
        (train("soft-labels = 1.5"), "`soft-labels` is 1.5"),
        (train("soft-labels = 0.5"), "which `cross-validate` and `predict` make"),
        (train("split = \"nowhere\""), "no row of the split `nowhere`"),
        (train("layers = \"8p 8p 8p 8p 8p\""), "are too small"),
        (judge(""), "there is no classifier to ask"),
        (judge("classifiers = [\"nobody\"]"), "`nobody` is neither a model of the manifest nor a file"),
    ] {
        let refused = refuse(&graph);
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let mut rows = fer::rows(70);
    rows.retain(|row| row.label != 1 || row.usage != "Training");
    let house = House::new(&rows);
    fs::write(house.path("graph.toml"), train("")).unwrap();
    let refused = house.refuse(&["run", "graph.toml"]);
    assert!(refused.contains("the class `disgust` has no faces in the split `train`"), "{refused}");
}

#[test]
fn a_cyclegan_of_classes_that_are_not_there_is_refused_with_advice() {
    let house = House::new(&fer::rows(70));
    let with = |set: &str| {
        let more = vec!["--set".to_owned(), set.to_owned()];
        house.refuse(&borrowed(&[translator("run"), more].concat()))
    };
    assert!(
        with("to=disgusted")
            .contains("there is no class `disgusted`, did you mean `disgust`? (classes: angry")
    );
    assert!(with("to=neutral").contains("`from` and `to` are both `neutral`"));
    assert!(with("node.translator.split=nowhere").contains("has 0 faces in the split `nowhere`"));
    assert!(with("node.translator.dropout=1").contains("`dropout` is 1"));
    assert!(
        with("node.translator.device=gpu").contains("unknown device `gpu`: use auto, cpu, cuda or cuda:N")
    );
    // Whether this program was built without CUDA, or there is none, or not that many.
    assert!(with("node.translator.device=cuda:60000").contains("device"));
}

#[test]
fn the_plan_says_what_is_done_stale_and_to_run_and_why() {
    let house = House::new(&fer::rows(30));
    let file = house.path("graph.toml");
    let graph = |rows: usize| {
        format!(
            "[node.faces]\nuse = 'fer2013'\npath = 'fer2013.csv'\n[node.some]\nuse = 'sample'\ninput = 'faces'\nrows = {rows}\n\
             [node.out]\nuse = 'export'\ninput = 'some'\npath = 'out'\n"
        )
    };
    fs::write(&file, graph(10)).unwrap();
    let fresh = house.succeed(&["plan", "graph.toml"]);
    house.succeed(&["run", "graph.toml"]);
    let done = house.succeed(&["plan", "graph.toml"]);
    fs::write(&file, graph(12)).unwrap();
    let stale = house.succeed(&["plan", "graph.toml"]);
    let mut rows = fer::rows(30);
    rows[0].label = (rows[0].label + 1) % 7;
    fer::write(house.folder(), &rows);
    let changed = house.succeed(&["run", "graph.toml", "--dry"]);
    let dot = house.succeed(&["plan", "graph.toml", "--format", "dot"]);
    let mermaid = house.succeed(&["plan", "graph.toml", "--format", "mermaid"]);
    insta::assert_snapshot!([fresh, done, stale, changed, dot, mermaid].join("\n"));
}

#[test]
fn stages_are_made_again_when_asked() {
    let house = House::new(&fer::rows(30));
    let graph = "fer2013 path=fer2013.csv name=a ! sample rows=10 name=b ! export path=out name=c";
    house.succeed(&["run", graph]);
    let before = house.digests();
    let made = |flags: &[&str]| {
        let out = house.succeed(&[&["run", graph], flags].concat());
        let made =
            out.lines().filter_map(|line| line.split_once(": made in")).map(|(node, _)| node.to_owned());
        made.collect::<Vec<_>>().join("")
    };
    assert_eq!(made(&[]), "");
    assert_eq!(made(&["--force=b"]), "b");
    assert_eq!(made(&["--from", "b"]), "bc");
    assert_eq!(made(&["--force"]), "abc");
    assert_eq!(house.digests(), before);
    insta::assert_snapshot!(house.refuse(&["run", graph, "--from", "bb"]));
}

#[test]
fn a_stage_that_fails_leaves_the_others_alone_and_can_be_mended() {
    let house = House::new(&fer::rows(30));
    let graph = "fer2013 path=fer2013.csv name=faces ! filter classes=[\"hapy\"] name=bad ! export path=bad-out \
                 faces. ! export path=out name=good";
    let output = house.run(&["run", graph]);
    let (code, out, error) = text(&output);
    assert_eq!(code, Some(3), "{out} {error}");
    assert!(out.contains("2 made, 0 unchanged, 1 failed, 1 not run"), "{out}");
    assert!(error.contains("there is no class `hapy`, did you mean `happy`?"), "{error}");
    assert!(house.path("out/data").is_dir() && !house.path("bad-out").exists());
    let mended = graph.replace("hapy", "happy");
    assert!(house.succeed(&["run", &mended]).contains("2 made, 2 unchanged"));
}

#[test]
fn a_file_that_is_not_there_is_told_before_hours_of_work_and_not_after() {
    let house = House::new(&fer::rows(30));
    let graph = "fer2013 path=fer2013.csv ! sample rows=9 ! evaluate classifiers=[\"mine.onnx\"] path=out";
    let planned = house.succeed(&["plan", graph]);
    assert!(
        planned.contains("to run: will fail: `mine.onnx` is neither a model of the manifest nor a file"),
        "{planned}"
    );
    let mut command = house.command(&["--log", "json", "run", graph]);
    let (code, _, log) = text(&command.env("RUST_LOG", "info").output().unwrap());
    assert_eq!(code, Some(3), "{log}");
    let told = log.find("mine.onnx");
    assert!(told.is_some() && told < log.find("\"begun\""), "{log}");
}

#[test]
fn a_result_that_goes_nowhere_is_found_in_the_store() {
    let house = House::new(&fer::rows(30));
    let said = house.succeed(&["run", "fer2013 path=fer2013.csv ! sample rows=9"]);
    let kept = said.lines().find_map(|line| line.strip_prefix("  sample: no `path`, kept in ")).unwrap();
    assert!(house.path(kept).join("facts.json").is_file(), "{said}");
}

#[test]
fn the_store_is_cleared_of_what_no_graph_uses() {
    let house = House::new(&fer::rows(30));
    let graph = |rows: usize| {
        format!(
            "[node.f]\nuse='fer2013'\npath='fer2013.csv'\n[node.s]\nuse='sample'\ninput='f'\nrows={rows}\n"
        )
    };
    for rows in [5, 6] {
        fs::write(house.path("g.toml"), graph(rows)).unwrap();
        house.succeed(&["run", "g.toml"]);
    }
    assert!(house.succeed(&["store", "prune", "--dry"]).starts_with("would remove 1 results"));
    assert!(house.succeed(&["store", "prune", "--older-than", "1d"]).starts_with("removed 0 results"));
    let pruned = house.succeed(&["store", "prune"]);
    assert!(pruned.starts_with("removed 1 results") && pruned.ends_with("2 results stay\n"), "{pruned}");
    assert!(house.succeed(&["run", "g.toml"]).contains("0 made, 2 unchanged"));
    assert!(house.succeed(&["store", "prune", "--all"]).contains("0 results stay"));
    assert!(house.succeed(&["plan", "g.toml"]).contains("its result is no longer in the store"));
}

#[test]
fn pruning_removes_only_what_the_store_made_and_nothing_that_can_go_on() {
    let house = House::new(&fer::rows(20));
    fs::create_dir_all(house.path("mine/work/thesis")).unwrap();
    fs::write(house.path("mine/work/notes.txt"), "years of work").unwrap();
    let error = house.refuse(&["store", "prune", "--all", "--store", "mine"]);
    assert!(error.contains("mine is no result store"), "{error}");
    assert!(house.path("mine/work/thesis").is_dir() && house.path("mine/work/notes.txt").is_file());
    assert!(house.refuse(&["store", "list", "--store", "typo"]).contains("there is no result store in typo"));
    assert!(!house.path("typo").exists());
    assert!(house.refuse(&["store", "list", "--store", "mine"]).contains("there is no result store in mine"));
    assert!(!house.path("mine/results").exists());

    house.succeed(&["run", "fer2013 path=fer2013.csv ! sample rows=5"]);
    let attempt = |digit: &str| house.path("store/work").join(digit.repeat(64));
    let (checkpoint, bare) = (attempt("a").join("checkpoints/state.bin"), attempt("b"));
    fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    fs::write(&checkpoint, "a night of training").unwrap();
    fs::create_dir_all(bare.join("out")).unwrap();
    fs::write(house.path("store/work/notes.txt"), "mine").unwrap();
    let said = house.succeed(&["store", "prune"]);
    assert!(
        said.contains("and 1 unfinished attempts; 2 results stay, and 1 unfinished attempts that can go on"),
        "{said}"
    );
    assert!(checkpoint.is_file() && !bare.exists());
    assert!(
        house.succeed(&["store", "prune", "--attempts"]).contains("and 1 unfinished attempts; 2 results")
    );
    assert!(!checkpoint.exists() && house.path("store/work/notes.txt").is_file());
}

#[test]
fn no_result_goes_where_the_graph_reads() {
    let house = House::new(&fer::rows(20));
    house.succeed(&["run", "fer2013 path=fer2013.csv ! export path=faces"]);
    std::os::unix::fs::symlink(house.path("faces"), house.path("link")).unwrap();
    for place in ["faces", "faces/clean", "link/clean", "."] {
        let graph = format!("parquet path=faces name=read ! filter kept=true ! export path={place}");
        let (code, _, error) = text(&house.run(&["run", &graph]));
        assert_eq!(code, Some(2), "{place}: {error}");
        assert!(error.contains("its result would go to") && error.contains("`read` reads"), "{error}");
    }
    assert!(!house.path("faces/clean").exists());
    fs::create_dir(house.path("made")).unwrap();
    fs::write(house.path("made/classifier.onnx"), "trained for hours").unwrap();
    for graph in [
        "evaluate classifiers=[\"made/classifier.onnx\"] path=made",
        "quantize classifier=made/classifier.onnx precision=int8 path=made",
    ] {
        let (code, _, error) = text(&house.run(&["run", &format!("fer2013 path=fer2013.csv ! {graph}")]));
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("reads") && error.contains("made/classifier.onnx"), "{error}");
    }
}

#[test]
fn a_link_to_a_folder_stays_one() {
    let house = House::new(&fer::rows(20));
    fs::create_dir(house.path("real")).unwrap();
    std::os::unix::fs::symlink("real", house.path("link")).unwrap();
    house.succeed(&["run", "fer2013 path=fer2013.csv ! report path=link"]);
    assert!(house.path("link").is_symlink() && house.path("real/index.html").is_file());
    std::os::unix::fs::symlink("nowhere", house.path("loose")).unwrap();
    let error = house.refuse(&["run", "fer2013 path=fer2013.csv ! report path=loose"]);
    assert!(error.contains("the link loose leads nowhere"), "{error}");
}

#[test]
fn why_something_failed_is_told_whatever_is_logged() {
    let house = House::new(&fer::rows(20));
    for told in ["hyper=debug", "", "warn"] {
        let output = house.command(&["run", "parquet path=nosuch ! filter"]).env("RUST_LOG", told).output();
        let (code, _, error) = text(&output.unwrap());
        assert_eq!(code, Some(1));
        assert!(error.contains("error: parquet:") && error.contains("nosuch"), "{told}: {error}");
    }
}

#[test]
fn what_train_makes_is_called_as_its_node_or_by_its_path() {
    let house = House::new(&fer::rows(140));
    let train = |name: &str| format!("train name={name} layers='4' epochs=1 path=made/{name}");
    let graph =
        format!("fer2013 path=fer2013.csv name=faces ! {} faces. ! {}", train("first"), train("second"));
    house.succeed(&["run", &graph]);
    let judge = "fer2013 path=fer2013.csv ! evaluate path=judged classifiers";
    house.succeed(&[
        "run",
        &format!("{judge}=[\"made/first/classifier.onnx\",\"made/second/classifier.onnx\"]"),
    ]);
    let facts = json(&house.path("judged/evaluation.json"));
    let names: Vec<_> = facts["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["made/first/classifier", "made/second/classifier"]);
    let names: Vec<_> = ["first", "second"]
        .map(|node| json(&house.results(node)[0].join("facts.json"))["name"].clone())
        .into();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn a_folder_with_other_things_is_never_written_over() {
    let house = House::new(&fer::rows(20));
    fs::create_dir(house.path("mine")).unwrap();
    fs::write(house.path("mine/thesis.tex"), "years of work").unwrap();
    let error = house.refuse(&["run", "fer2013 path=fer2013.csv ! export path=mine"]);
    assert!(error.contains("mine holds something that is no result of ours, and is left alone"), "{error}");
    assert_eq!(fs::read_to_string(house.path("mine/thesis.tex")).unwrap(), "years of work");
}

#[test]
fn two_results_never_share_a_folder() {
    let house = House::new(&fer::rows(20));
    let read = "fer2013 path=fer2013.csv name=faces ! export path=out name=first faces. ! report name=second";
    for second in ["out", "./out", "out/page", "."] {
        let output = house.run(&["run", &format!("{read} path={second}")]);
        let (code, _, error) = text(&output);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("node `second`: its result would go to"), "{error}");
        assert!(error.contains("neither may lie in the other"), "{error}");
    }
    assert!(!house.path("out").exists());
}

#[test]
fn folders_that_are_classes_count_by_name_wherever_they_lie() {
    let house = House::new(&fer::rows(20));
    house.succeed(&["run", "fer2013 path=fer2013.csv ! export format=image-folder path=out"]);
    let photos = house.path("photos");
    fs::rename(house.path("out/train"), &photos).unwrap();
    let graph = |path: &str| format!("image-folder path={path} ! export path=copy");
    assert!(house.succeed(&["run", &graph("photos")]).contains("2 made, 0 unchanged"));
    fs::rename(&photos, house.path("moved")).unwrap();
    assert!(house.succeed(&["run", &graph("moved")]).contains("0 made, 2 unchanged"));
    fs::rename(house.path("moved/happy"), house.path("moved/hopeful")).unwrap();
    assert!(house.succeed(&["run", &graph("moved")]).contains("2 made, 0 unchanged"));
}

#[test]
fn a_copy_that_was_taken_away_is_copied_again() {
    let house = House::new(&fer::rows(20));
    let graph = ["run", "fer2013 path=fer2013.csv ! export path=out"];
    house.succeed(&graph);
    fs::remove_dir_all(house.path("out")).unwrap();
    assert!(house.succeed(&graph).contains("0 made, 2 unchanged"));
    assert!(house.path("out/data/train-00000-of-00001.parquet").is_file());
}

#[test]
fn what_somebody_put_into_a_copy_or_changed_there_is_not_lost() {
    let house = House::new(&fer::rows(20));
    let graph = |more: &str| format!("fer2013 path=fer2013.csv {more} ! export path=out format=csv");
    let (table, notes) = (house.path("out/fer2013.csv"), house.path("out/notes.txt"));
    house.succeed(&["run", &graph("")]);
    let whole = fs::read(&table).unwrap();
    fs::remove_file(&table).unwrap();
    house.succeed(&["run", &graph("")]);
    assert_eq!(fs::read(&table).unwrap(), whole);
    fs::write(&notes, "mine").unwrap();
    let error = house.refuse(&["run", &graph("! sample rows=5")]);
    assert!(error.contains("out holds `notes.txt`, which was put there or changed"), "{error}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    fs::remove_file(&notes).unwrap();
    fs::write(&table, "edited").unwrap();
    for more in ["", "! sample rows=5"] {
        let error = house.refuse(&["run", &graph(more)]);
        assert!(error.contains("out holds `fer2013.csv`, which was put there or changed"), "{error}");
        assert_eq!(fs::read_to_string(&table).unwrap(), "edited");
    }
    fs::write(&table, whole).unwrap();
    house.succeed(&["run", &graph("! sample rows=5")]);
}

#[test]
fn a_result_that_lost_a_part_is_made_again() {
    let house = House::new(&fer::rows(20));
    let graph = ["run", "fer2013 path=fer2013.csv ! sample rows=5"];
    house.succeed(&graph);
    let table = house.results("fer2013")[0].join("data.parquet");
    let whole = fs::read(&table).unwrap();
    fs::write(&table, &whole[..100]).unwrap();
    assert!(house.succeed(&graph).contains("1 made, 1 unchanged"));
    assert_eq!(fs::read(&table).unwrap(), whole);
}

#[test]
fn what_a_kill_left_behind_is_in_nobodys_way() {
    let house = House::new(&fer::rows(20));
    let graph = "fer2013 path=fer2013.csv ! export path=out";
    house.succeed(&["run", graph]);
    // Killed when the older result was out of the way and not yet removed, in the store and at a copy.
    let key = house.results("export")[0].file_name().unwrap().to_owned();
    let leftovers = [house.path("store/work").join(key).join("old"), house.path(".partial-.out")];
    for leftover in &leftovers {
        fs::create_dir_all(leftover).unwrap();
        fs::write(leftover.join("facts.json"), "half").unwrap();
    }
    fs::remove_dir_all(house.path("out")).unwrap();
    for _ in 0..2 {
        assert!(house.succeed(&["run", "--force", graph]).contains("2 made"));
    }
    assert!(leftovers.iter().all(|leftover| !leftover.exists()));
}

#[test]
fn graphs_that_cannot_be_are_refused_with_advice() {
    let house = House::new(&fer::rows(20));
    let read = "[node.a]\nuse = 'fer2013'\npath = 'fer2013.csv'\n";
    let mut said = Vec::new();
    for graph in [
        // A circle.
        "[node.a]\nuse='sample'\nrows=1\ninput='b'\n[node.b]\nuse='deduplicate'\ninput='a'\n".to_owned(),
        // Nothing at an input.
        "[node.a]\nuse='sample'\nrows=1\n".to_owned(),
        // No such node, kind, parameter.
        format!("{read}[node.b]\nuse='deduplicate'\ninput='aa'\n"),
        format!("{read}[node.b]\nuse='dedupliate'\ninput='a'\n"),
        format!("{read}[node.b]\nuse='deduplicate'\ninput='a'\nexcat='drop'\n"),
        format!("{read}[node.b]\nuse='deduplicate'\ninput='a'\nexact='never'\n"),
        format!("{read}[node.b]\nuse='deduplicate'\ninput='a'\nnear-correlation=1.5\n"),
        // A parameter that must be given; `use` that must be.
        "[node.a]\nuse='fer2013'\n".to_owned(),
        "[node.a]\npath='fer2013.csv'\n".to_owned(),
        // Two nodes of one name.
        format!("{read}{read}"),
        // Two at an input for one; files where faces should be.
        format!("{read}[node.b]\nuse='sample'\nrows=1\ninput=['a', 'a']\n"),
        format!(
            "{read}[node.b]\nuse='export'\npath='o'\ninput='a'\n[node.c]\nuse='sample'\nrows=1\ninput='b'\n"
        ),
    ] {
        fs::write(house.path("graph.toml"), &graph).unwrap();
        let output = house.run(&["run", "graph.toml"]);
        assert_eq!(text(&output).0, Some(2), "{graph}");
        said.push(text(&output).2);
    }
    for line in [
        "fer2013 path=x name=a ! sample name=a rows=1",
        "fer2013 path=x ! ! export",
        "fer2013 path='x",
        "fer2013 path=x | export path=y",
        "faces.csv ! export path=y",
    ] {
        said.push(house.refuse(&["run", line]));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_full_disk_says_where_and_what_to_do_and_keeps_what_is_finished() {
    let house = House::new(&fer::rows(60));
    let small = house.path("small");
    fs::create_dir(&small).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=220k", "tmpfs", name(&small)]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: only root can make a small disk");
        return;
    }
    let graph = "fer2013 path=fer2013.csv ! sample rows=50 ! export path=out";
    let output = house.run(&["run", graph, "--store", "small/store"]);
    let results = fs::read_dir(small.join("store/results")).map_or(0, Iterator::count);
    let unmounted = Command::new("umount").arg(&small).status().unwrap();
    assert!(unmounted.success());
    let (code, out, error) = text(&output);
    assert_eq!(code, Some(3), "{out} {error}");
    assert!(error.contains("the disk is full: free some space and run the same again"), "{error}");
    assert!(error.contains("what is finished is kept. `ferroflow store prune --store "), "{error}");
    assert!(results >= 1, "{results}");
    assert!(house.succeed(&["run", graph]).contains("3 made"));
}

#[test]
fn a_reader_that_has_seen_enough_stops_nothing() {
    let house = House::new(&fer::rows(20));
    let mut child = house
        .command(&["run", "fer2013 path=fer2013.csv ! sample rows=5 ! export path=out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    assert!(house.path("out/data").is_dir());
}

#[test]
fn a_missing_model_or_device_is_named_with_the_way_to_it() {
    let house = House::new(&fer::rows(10));
    let graph = "fer2013 path=fer2013.csv ! drop-non-faces";
    let mut command = house.command(&["run", graph]);
    let (_, _, error) = text(&command.env("FERROFLOW_HOME", house.path("empty")).output().unwrap());
    assert!(error.contains("run `ferroflow models fetch yunet`"), "{error}");
    assert!(house.refuse(&["run", &format!("{graph} device=gpu")]).contains("`device`"));
    let on_cuda = house.run(&["run", &format!("{graph} device=cuda:7")]);
    assert_eq!(text(&on_cuda).0, Some(3), "no machine has eight: {}", text(&on_cuda).1);
    assert!(text(&on_cuda).2.to_lowercase().contains("cuda"), "{}", text(&on_cuda).2);
}

#[test]
fn machines_read_json_lines() {
    let house = House::new(&fer::rows(20));
    let mut command = house.command(&["--log", "json", "run", "fer2013 path=fer2013.csv ! sample rows=5"]);
    let (_, out, log) = text(&command.env("RUST_LOG", "info").output().unwrap());
    assert_eq!(out.lines().filter(|line| !line.starts_with("  ")).count(), 1, "{out}");
    let events: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made = events.iter().filter(|event| event["fields"]["state"] == "made").count();
    assert_eq!(made, 2, "{log}");
}

#[test]
fn the_reference_of_nodes_is_not_stale() {
    let page = text(&ferroflow().args(["nodes", "--markdown"]).output().unwrap()).1;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nodes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let is_fresh = fs::read_to_string(&path).is_ok_and(|there| there == page);
    assert!(is_fresh, "docs/nodes.md is stale: UPDATE_DOCS=1 cargo test --release --test batch_graphs");
}

#[test]
fn nodes_are_listed_and_described() {
    let house = House::new(&fer::rows(1));
    insta::assert_snapshot!([house.succeed(&["nodes"]), house.succeed(&["nodes", "sample"])].join("\n"));
    assert!(house.refuse(&["nodes", "smaple"]).contains("did you mean `sample`?"));
}
