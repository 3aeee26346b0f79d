//! Pipeline files: the shipped ones run, wrong ones say what is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{asset, ferroflow, name, run, text};
use ferroflow::{graph, pipelines::SHIPPED};

fn refuse(toml: &str, sets: &[&str]) -> String {
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let path = Path::new("pipeline.toml");
    let loaded = graph::load::parse(path, toml, std::iter::empty(), &sets);
    let no_assets = |name: &str| Err(format!("`{name}` is not here").into());
    loaded.and_then(|file| graph::substitute::substitute(path, file, &no_assets)).unwrap_err().to_string()
}

#[test]
fn a_clip_becomes_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("faces.jsonl");
    let sets = [format!("input={}", name(&asset("speech.mp4"))), format!("output={}", name(&out))];
    let output = run(["run", "pipelines/clip.toml", "--set", &sets[0], "--set", &sets[1]]);
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    assert_eq!(fs::read_to_string(out).unwrap().lines().count(), 105);
}

#[test]
fn a_webcam_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("faces.jsonl");
    let output = format!("output={}", name(&out));
    let source =
        "source=videotestsrc is-live=true num-buffers=30 ! video/x-raw,width=320,height=240,framerate=30/1";
    let run =
        run(["run", "pipelines/webcam.toml", "--set", source, "--set", "sink=fakesink", "--set", &output]);
    assert_eq!(text(&run).0, Some(0), "{}", text(&run).2);
    let lines = fs::read_to_string(out).unwrap().lines().count();
    assert!((1..=30).contains(&lines), "{lines}");
}

#[test]
fn a_directory_is_read() {
    let (input, out) = (common::videos(), tempfile::tempdir().unwrap());
    let sets = [format!("input={}", name(input.path())), format!("output={}", name(out.path()))];
    let output = run(["run", "pipelines/directory.toml", "--set", &sets[0], "--set", &sets[1]]);
    assert!(text(&output).1.contains("2 done, 0 unchanged, 0 failed"), "{:?}", text(&output));
}

#[test]
fn the_demo_makes_videos_data_and_a_page() {
    let out = tempfile::tempdir().unwrap();
    let set = format!("output={}", name(out.path()));
    let output = run(["run", "pipelines/demo.toml", "--set", &set]);
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    for file in ["index.html", "summary.json", "woman.mp4/annotated.mp4", "woman.mp4/faces.parquet"] {
        assert!(out.path().join(file).metadata().unwrap().len() > 1000, "{file}");
    }
}

#[test]
fn every_shipped_file_can_be_planned() {
    for entry in fs::read_dir("pipelines").unwrap() {
        let path = entry.unwrap().path();
        let mut command = ferroflow();
        command.arg("plan").arg(&path);
        for set in ["input=clip.mp4", "uri=rtsp://127.0.0.1:1/x"] {
            let parameter = set.split('=').next().unwrap();
            if fs::read_to_string(&path).unwrap().contains(&format!("{parameter} = \"\"")) {
                command.args(["--set", set]);
            }
        }
        let output = command.output().unwrap();
        assert_eq!(text(&output).0, Some(0), "{}: {}", path.display(), text(&output).2);
    }
}

#[test]
fn every_shipped_file_is_part_of_the_program() {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    let files: BTreeMap<_, _> = fs::read_dir("pipelines").unwrap().map(name).collect();
    let shipped = SHIPPED.iter().map(|shipped| (shipped.name.to_owned(), shipped.text.to_owned()));
    assert_eq!(files, shipped.collect());
}

#[test]
fn a_pipeline_of_the_program_runs_by_its_name_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    // Pipelines leave folders that are called like them.
    fs::create_dir(folder.path().join("clip")).unwrap();
    let input = format!("input={}", name(&asset("speech.mp4")));
    let output = ferroflow().args(["run", "clip", "--set", &input]).current_dir(&folder).output().unwrap();
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    assert_eq!(fs::read_to_string(folder.path().join("faces.jsonl")).unwrap().lines().count(), 105);
}

#[test]
fn a_file_goes_before_a_pipeline_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("clip"),
        "[stream.mine]\nlaunch = 'videotestsrc num-buffers=1 ! fakesink'\n",
    )
    .unwrap();
    let output = ferroflow().args(["plan", "clip"]).current_dir(&folder).output().unwrap();
    assert!(text(&output).1.contains("stream mine, to run"), "{:?}", text(&output));
}

#[test]
fn pipelines_are_listed_and_printed_to_make_others_of_them() {
    insta::assert_snapshot!(text(&run(["pipelines"])).1);
    let (code, printed, _) = text(&run(["pipelines", "clip"]));
    assert_eq!((code, printed), (Some(0), fs::read_to_string("pipelines/clip.toml").unwrap()));
}

#[test]
fn what_is_neither_a_file_nor_a_pipeline_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let tell = |arguments: [&str; 2]| {
        let output = ferroflow().args(arguments).current_dir(&folder).output().unwrap();
        let (code, _, stderr) = text(&output);
        assert_eq!(code, Some(2));
        stderr
    };
    insta::assert_snapshot!(
        [tell(["run", "pipelines/clip.toml"]), tell(["plan", "fer2013-claen"]), tell(["pipelines", "x"])]
            .concat()
    );
}

#[test]
fn a_plan_shows_elements_their_settings_and_links() {
    let output = run(["plan", "pipelines/clip.toml", "--set", "input=clip.mp4", "--set", "detector=ssd"]);
    insta::assert_snapshot!(text(&output).1);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    insta::assert_snapshot!(refuse("[stream.main]\nlanch = 'videotestsrc ! fakesink'\n", &[]));
}

#[test]
fn an_unknown_key_of_set_names_the_nearest() {
    insta::assert_snapshot!(refuse("[stream.main]\nlaunch = 'x'\n", &["stream.main.restart=3"]));
}

#[test]
fn an_unknown_parameter_names_the_nearest() {
    insta::assert_snapshot!(refuse(
        "[parameters]\ninput = 'a'\n[stream.main]\nlaunch = 'filesrc location=${inptu}'\n",
        &[]
    ));
}

#[test]
fn a_parameter_without_a_value_says_how_to_give_one() {
    insta::assert_snapshot!(refuse(
        "[parameters]\ninput = ''\n[stream.main]\nlaunch = 'filesrc location=${input}'\n",
        &[]
    ));
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    insta::assert_snapshot!(refuse("[stream.main\nlaunch = 'x'\n", &[]));
}

#[test]
fn a_file_that_runs_nothing_says_so() {
    insta::assert_snapshot!(refuse("name = 'nothing'\n", &[]));
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    insta::assert_snapshot!(refuse("[directory]\ninput='a'\noutput='b'\nlaunch='c'\njobs = 'many'\n", &[]));
}

#[test]
fn the_environment_stands_between_the_file_and_set() {
    let toml = "[parameters]\ninput = 'file'\nother = 'file'\n[stream.main]\nlaunch = '${input} ${other}'\n";
    let environment =
        [("FERROFLOW_INPUT", "environment"), ("FERROFLOW_OTHER", "environment"), ("FERROFLOW_HOME", "x")];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let path = Path::new("p.toml");
    let file = graph::load::parse(path, toml, environment.into_iter(), &["other=set".to_owned()]).unwrap();
    let file = graph::substitute::substitute(path, file, &|_| Err(String::new().into())).unwrap();
    assert_eq!(file.stream["main"].launch, "environment set");
}

#[test]
fn a_value_with_a_quote_can_stand_in_two_places() {
    let path = Path::new("pipelines/clip.toml");
    let toml = fs::read_to_string(path).unwrap();
    let sets = ["input=12\" remix.mp4".to_owned()];
    let file = graph::load::parse(path, &toml, std::iter::empty(), &sets).unwrap();
    let file = graph::substitute::substitute(path, file, &|_| Err(String::new().into())).unwrap();
    let launch = &file.stream["clip"].launch;
    assert!(launch.contains(r#"location="12\" remix.mp4""#), "{launch}");
    assert!(launch.contains(r#"source="12\" remix.mp4""#), "{launch}");
}

#[test]
fn quotes_in_a_value_cannot_end_a_quoted_place() {
    let toml = "[parameters]\ninput = 'a'\n[stream.main]\nlaunch = 'filesrc location=\"${input}\"'\n";
    let path = Path::new("p.toml");
    let file = graph::load::parse(path, toml, std::iter::empty(), &["input=a\" ! rm".to_owned()]).unwrap();
    let file = graph::substitute::substitute(path, file, &|_| Err(String::new().into())).unwrap();
    assert_eq!(file.stream["main"].launch, "filesrc location=\"a\\\" ! rm\"");
}

#[test]
fn a_value_that_looks_like_a_number_stays_text_where_text_is_wanted() {
    let toml = "[parameters]\ninput = ''\n[stream.main]\nlaunch = 'filesrc location=${input}'\n";
    let path = Path::new("p.toml");
    for value in ["0001", "2024.10", "1e3"] {
        let set = format!("input={value}");
        let file = graph::load::parse(path, toml, std::iter::empty(), &[set]).unwrap();
        let file = graph::substitute::substitute(path, file, &|_| Err(String::new().into())).unwrap();
        assert_eq!(file.stream["main"].launch, format!("filesrc location={value}"));
    }
}

#[test]
fn what_is_set_has_a_place_in_the_file() {
    let toml = "[parameters]\ninput = ''\n[stream.clip]\nlaunch = 'filesrc location=${input}'\n";
    insta::assert_snapshot!(
        ["inptu=x", "stream.clp.launch=x", "node.faces.path=x", "parameters.output=x", "stream.clip.lanch=x"]
            .map(|set| refuse(toml, &[set]))
            .join("\n")
    );
}

#[test]
fn what_is_true_or_false_stays_so() {
    let toml = "[parameters]\non = true\n[node.faces]\nuse = 'fer2013'\npath = 'x.csv'\nwhen = '${on}'\n";
    let said = refuse(toml, &["on=False"]);
    assert!(said.contains("`on` is true or false, and --set or the environment has `False`"), "{said}");
    assert!(
        graph::load::parse(Path::new("p.toml"), toml, std::iter::empty(), &["on=false".to_owned()]).is_ok()
    );
}

#[test]
fn set_takes_lists() {
    let toml = "[node.faces]\nuse = 'fer2013'\npath = 'x.csv'\n[node.judged]\nuse = 'evaluate'\n";
    let set = r#"node.judged.classifiers=["mini-xception", "mine.onnx"]"#.to_owned();
    let file = graph::load::parse(Path::new("p.toml"), toml, std::iter::empty(), &[set]).unwrap();
    let classifiers = file.node["judged"]["classifiers"].as_array().unwrap();
    assert_eq!(classifiers.len(), 2);
    assert_eq!(classifiers[1].as_str(), Some("mine.onnx"));
}
