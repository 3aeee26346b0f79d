//! The command line: exit codes, errors that name element, file and way out, signals, metrics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use common::{asset, ferroflow, name, run, signal, spawn, text, wait_until};

#[test]
fn help_documents_the_exit_codes() {
    insta::assert_snapshot!(text(&run(["--help"])).1);
}

#[test]
fn a_string_that_no_pipeline_can_be_made_of_says_what_would_be_right() {
    let launch = |chain: &str| format!("videotestsrc num-buffers=1 ! {chain} ! fakesink");
    for (chain, reason) in [
        ("ferfacedetct", "no element `ferfacedetct`, did you mean `ferfacedetect`?"),
        ("ferfacedetect detectr=ssd", "`ferfacedetect` has no property `detectr`, did you mean `detector`?"),
        (
            "ferfacedetect detector=ssdd",
            "`detector` of `ferfacedetect` cannot be `ssdd`: it must be one of haar, ssd, mtcnn, scrfd, yunet",
        ),
        (
            "ferfacedetect threads=many",
            "`threads` of `ferfacedetect` cannot be `many`: it must be a number from 0 to 256",
        ),
        ("ferfacedetect threads=100000", "`threads` cannot be 100000: it must be a number from 0 to 256"),
        ("ferfacedetect threshold=5", "`threshold` cannot be 5.000000: it must be a number from -1 to 1"),
        (
            "fermeta format=cvs",
            "`format` of `fermeta` cannot be `cvs`: it must be one of json-lines, csv, message",
        ),
    ] {
        let (code, _, stderr) = text(&run(["launch", &launch(chain)]));
        assert_eq!((code, stderr), (Some(2), format!("error: stream `main`: {reason}\n")), "{chain}");
    }
    for (chain, reason) in [
        ("videorate ! video/x-raw,framerate=5/1", "caps at an end are `capsfilter caps=video/...`"),
        ("ferfacedetect detector=ssdd", "`detector` of `ferfacedetect` cannot be `ssdd`"),
        ("ferfacedetect threshold=5", "`threshold` cannot be 5.000000"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let video = asset("phone.mp4");
        let (code, _, stderr) =
            text(&run(["batch", name(&video), "--out", name(out.path()), "--launch", chain]));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.starts_with(&format!("error: directory.launch: {reason}")), "{stderr}");
    }
}

#[test]
fn a_stream_that_fails_is_told_of_while_others_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.toml");
    let good = "[stream.good]\nlaunch = 'videotestsrc is-live=true ! fakesink'\n";
    std::fs::write(
        &file,
        format!("{good}[stream.bad]\nlaunch = 'filesrc location=/nowhere/a.mp4 ! fakesink'\n"),
    )
    .unwrap();
    let mut child = spawn(&["run", name(&file)]);
    let mut said = Vec::new();
    let errors = child.stderr.as_mut().unwrap();
    while !String::from_utf8_lossy(&said).contains("/nowhere/a.mp4") {
        let mut some = [0; 256];
        let count = errors.read(&mut some).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&said));
        said.extend(&some[..count]);
    }
    assert!(child.try_wait().unwrap().is_none(), "the other stream goes on");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    std::fs::write(&file, format!("{good}[stream.bad]\nlaunch = 'videotestsrc ! fakesnk'\n")).unwrap();
    let (code, _, stderr) = text(&run(["run", name(&file)]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("stream `bad`: no element `fakesnk`, did you mean `fakesink`?"), "{stderr}");
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, stderr) = text(&run(["run", "pipelines/clip.toml", "--set", "input=/nowhere/clip.mp4"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("filesrc0") && stderr.contains("/nowhere/clip.mp4"), "{stderr}");
    let (code, _, stderr) = text(&run(["run", "/nowhere/pipeline.toml"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is no file /nowhere/pipeline.toml"), "{stderr}");
}

#[test]
fn a_missing_model_says_how_to_fetch_it() {
    let empty = tempfile::tempdir().unwrap();
    let output = ferroflow()
        .args(["launch", "videotestsrc num-buffers=1 ! ferfacedetect ! fakesink"])
        .env("FERROFLOW_HOME", empty.path())
        .output()
        .unwrap();
    let (code, _, stderr) = text(&output);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("ferfacedetect0: `yunet` is not here"), "{stderr}");
    assert!(stderr.contains("run `ferroflow models fetch yunet`"), "{stderr}");
}

#[test]
fn errors_can_be_json() {
    let (code, _, stderr) = text(&run(["--log", "json", "run", "/nowhere/pipeline.toml"]));
    assert_eq!(code, Some(2));
    let line: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(line["level"], "ERROR");
}

#[test]
fn options_that_would_mean_nothing_are_refused() {
    let line = "fer2013 path=/nowhere.csv ! deduplicate ! export path=/nowhere/out";
    for (arguments, reason) in [
        (["run", "pipelines/webcam.toml", "--force"].as_slice(), "--force is for batch graphs"),
        (["run", "pipelines/directory.toml", "--from", "x"].as_slice(), "--from STAGE and --force=STAGE"),
        (["plan", "pipelines/directory.toml", "--force=x"].as_slice(), "--from STAGE and --force=STAGE"),
        (["run", "pipelines/directory.toml", "--cores", "1"].as_slice(), "--cores and --memory are for"),
        (["run", line, "--set", "a=b"].as_slice(), "--set is for pipeline files"),
        (["plan", line, "--set", "a=b"].as_slice(), "--set is for pipeline files"),
    ] {
        let (code, _, stderr) = text(&ferroflow().args(arguments).output().unwrap());
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(reason), "{arguments:?}: {stderr}");
    }
}

#[test]
fn one_stream_that_fails_does_not_stop_another() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("two.toml"), folder.path().join("good.jsonl"));
    let toml = format!(
        "[stream.bad]\nlaunch = 'filesrc location=/nowhere ! decodebin ! fakesink'\n\
         [stream.good]\nlaunch = 'filesrc location=\"{}\" ! decodebin ! ferfacedetect ! fermeta location={} ! fakesink'\n",
        name(&asset("speech.mp4")),
        name(&out)
    );
    std::fs::write(&file, toml).unwrap();
    let (code, _, stderr) = text(&run(["run", name(&file)]));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("stream `bad`"), "{stderr}");
    assert_eq!(std::fs::read_to_string(out).unwrap().lines().count(), 105);
}

#[test]
fn a_stream_that_begins_again_keeps_what_it_recorded_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weak.toml");
    let toml = format!(
        "[stream.weak]\nrestarts = 2\nlaunch = 'filesrc location=\"{}\" ! decodebin ! ferfacedetect ! \
         fermeta location=\"{}\" ! identity error-after=21 ! fakesink'\n",
        name(&asset("speech.mp4")),
        name(&folder.path().join("faces.jsonl"))
    );
    std::fs::write(&file, toml).unwrap();
    let output = ferroflow().env("RUST_LOG", "info").args(["run", name(&file)]).output().unwrap();
    let (code, _, stderr) = text(&output);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("restart 2 of 2"), "{stderr}");
    assert!(stderr.contains("weak: 63 frames"), "{stderr}");
    assert!(stderr.contains("faces        126 found"), "{stderr}");
    assert!(stderr.matches("  63 buffers").count() >= 3, "{stderr}");
    assert!(stderr.contains("faces.jsonl was not completed before"), "{stderr}");
    let parts = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let parts: Vec<_> = parts.filter(|path| path.extension() == Some("part".as_ref())).collect();
    let lines = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(parts.iter().map(lines).collect::<Vec<_>>(), [21, 21, 21]);
}

#[test]
fn a_stream_whose_source_fails_leaves_parts_and_no_file_that_looks_complete() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weak.toml");
    // A source sends the end of its stream behind its error.
    let toml = format!(
        "[stream.weak]\nrestarts = 2\nlaunch = 'videotestsrc ! video/x-raw,width=64,height=64 ! identity error-after=21 ! \
         fermeta location=\"{}\" ! fakesink'\n",
        name(&folder.path().join("faces.jsonl"))
    );
    std::fs::write(&file, toml).unwrap();
    let (code, _, stderr) = text(&run(["run", name(&file)]));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("faces.jsonl was not completed before"), "{stderr}");
    assert_eq!(
        stderr.matches("the stream did not come to its end: what was written is in ").count(),
        3,
        "{stderr}"
    );
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| *path != file).collect();
    let lines = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    assert!(files.iter().all(|path| path.extension() == Some("part".as_ref())), "{files:?}");
    assert_eq!(files.iter().map(lines).collect::<Vec<_>>(), [20, 20, 20]);
}

#[test]
fn frames_that_a_sink_drops_for_being_late_are_counted() {
    let chain = "videotestsrc num-buffers=12 ! video/x-raw,width=64,height=64,framerate=30/1 ! \
                 identity sleep-time=100000 ! fermeta format=message ! fakesink sync=true qos=true max-lateness=1000000";
    let output = ferroflow().env("RUST_LOG", "info").args(["launch", chain]).output().unwrap();
    let (code, _, stderr) = text(&output);
    assert_eq!(code, Some(0), "{stderr}");
    let dropped = stderr.split(" dropped").next().unwrap().rsplit(' ').next().unwrap();
    assert!((5..=12).contains(&dropped.parse::<u64>().unwrap()), "{stderr}");
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("faces.jsonl");
    let chain = format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=64 ! fermeta location={} ! fakesink",
        name(&out)
    );
    let child = spawn(&["launch", &chain]);
    let part = || std::fs::read_dir(folder.path()).unwrap().next().is_some();
    assert!(wait_until(Duration::from_secs(20), part));
    std::thread::sleep(Duration::from_millis(500));
    // As `timeout` does: to the program, and to the group that it is in.
    signal(&child, "TERM");
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(std::fs::read_to_string(&out).unwrap().lines().count() > 1);
}

#[test]
fn a_recording_is_not_replaced_by_none_and_passwords_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("camera.jsonl");
    std::fs::write(&out, "yesterday\n").unwrap();
    let chain = format!("videotestsrc num-buffers=0 ! fermeta location={} ! fakesink", name(&out));
    assert_eq!(text(&run(["launch", &chain])).0, Some(0));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "yesterday\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let (_, stdout, _) = text(&run(["plan", "rtsp", "--set", "uri=rtsp://admin:s3cret@camera/1"]));
    assert!(stdout.contains("rtsp://camera/1") && !stdout.contains("s3cret"), "{stdout}");
}

#[test]
fn lines_go_to_standard_output_and_devices_where_these_are_named() {
    for location in ["-", "/dev/stdout"] {
        let chain = format!(
            "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=64 ! fermeta location={location} ! fakesink"
        );
        let (code, stdout, stderr) = text(&run(["launch", &chain]));
        assert_eq!(
            (code, stdout.lines().filter(|line| line.starts_with('{')).count()),
            (Some(0), 2),
            "{stderr}"
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_stream() {
    let chain = "videotestsrc ! video/x-raw,width=64,height=64 ! fermeta ! fakesink";
    let mut child = spawn(&["launch", chain]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).2);
}

#[test]
fn numbers_out_of_range_are_refused_whatever_their_sign() {
    for chain in
        ["fertrack max-lost=-5", "ferfacedetect batch-size=-1", "ferexpression reclassify-interval=-1"]
    {
        let (code, _, stderr) =
            text(&run(["launch", &format!("videotestsrc num-buffers=1 ! {chain} ! fakesink")]));
        assert_eq!(code, Some(2), "{chain}: {stderr}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.mp4"), folder.path().join("cut.mp4"));
    common::launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! x264enc speed-preset=veryfast key-int-max=10 ! h264parse ! \
         mp4mux faststart=true ! filesink location={}",
        name(&asset("speech.mp4")),
        name(&whole)
    ));
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    for (file, is_cut) in [(&whole, false), (&cut, true)] {
        let chain = format!("filesrc location={} ! decodebin ! fakesink", name(file));
        let (_, _, stderr) = text(&run(["launch", &chain]));
        assert_eq!(stderr.contains("a file is cut short or damaged: it promises 8.7 s"), is_cut, "{stderr}");
    }
}

#[test]
fn pixels_that_are_not_square_are_told_of() {
    let chain = "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64,pixel-aspect-ratio=4/3 ! ferfacedetect ! fakesink";
    let (code, _, stderr) = text(&run(["launch", chain]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("pixels are not square (4/3)") && stderr.contains("videoscale"), "{stderr}");
}

#[test]
fn an_interrupted_stream_completes_its_file() {
    for stop in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("faces.jsonl");
        let chain = format!(
            "videotestsrc is-live=true ! video/x-raw,framerate=30/1 ! ferfacedetect ! fermeta location={} ! fakesink",
            name(&out)
        );
        let mut child = spawn(&["launch", &chain]);
        let part = || std::fs::read_dir(folder.path()).unwrap().next().is_some();
        assert!(wait_until(Duration::from_secs(20), part));
        std::thread::sleep(Duration::from_millis(700));
        signal(&child, stop);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let lines = std::fs::read_to_string(&out).unwrap();
        assert!(lines.lines().count() > 5 && lines.ends_with('\n'), "{}", lines.lines().count());
    }
}

#[test]
fn metrics_are_served_while_a_stream_runs() {
    let address = "127.0.0.1:19464";
    let chain = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! queue ! ferfacedetect ! \
                 fertrack ! ferexpression ! fakesink";
    let mut child = spawn(&["--metrics-listen", address, "launch", chain]);
    let scrape = || {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        text
    };
    let wanted = [
        "ferroflow_frames_total{stream=\"main\"}",
        "ferroflow_frames_dropped_total",
        "ferroflow_faces_total",
        "ferroflow_element_busy_seconds",
        "ferroflow_queue_depth",
        "ferroflow_inference_batch_size",
        "ferroflow_inference_wait_seconds",
        "ferroflow_inference_queue_depth",
        "ferroflow_latency_seconds",
        "ferroflow_model_loaded",
    ];
    let all = || {
        let text = scrape();
        wanted.iter().all(|metric| text.contains(metric))
    };
    let found = wait_until(Duration::from_secs(20), all);
    let last = scrape();
    signal(&child, "INT");
    child.wait().unwrap();
    assert!(found, "{last}");
}

#[test]
fn doctor_finds_everything_after_set_up() {
    let (code, stdout, _) = text(&run(["doctor"]));
    assert_eq!(code, Some(0), "{stdout}");
    for part in ["GStreamer", "ONNX Runtime", "OpenCV", "mini-xception", "rtspsrc"] {
        assert!(stdout.contains(part), "{stdout}");
    }
    let classifier = stdout.lines().find(|line| line.contains("mini-xception")).unwrap();
    assert!(classifier.ends_with("runs on cpu") || classifier.contains("runs on cuda:0"), "{classifier}");
}

#[test]
fn doctor_says_what_is_missing_and_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let output = ferroflow().arg("doctor").env("FERROFLOW_HOME", empty.path()).output().unwrap();
    let (code, stdout, _) = text(&output);
    assert_eq!(code, Some(4));
    assert!(stdout.contains("ferroflow models fetch yunet"), "{stdout}");
    // It is part of the program.
    let shipped = stdout.lines().find(|line| line.contains("ferroflow-expression")).unwrap();
    assert!(shipped.starts_with("ok "), "{shipped}");
}

#[test]
fn completions_are_written_for_bash() {
    let (code, stdout, _) = text(&run(["completions", "bash"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("_ferroflow()"));
}

#[test]
fn a_full_disk_behind_standard_output_is_told_and_a_closed_one_is_not() {
    for arguments in [&["completions", "bash"][..], &["nodes", "--markdown"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = ferroflow().args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).2.contains("error: standard output cannot be written"), "{}", text(&output).2);
        let mut child =
            ferroflow().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output).2.as_str()), (Some(0), ""));
    }
}

#[test]
fn what_cannot_be_measured_or_fetched_is_a_wrong_command_line() {
    let (code, _, error) = text(&run(["bench", "detectors", "--detectors", "yunet", "--backend", "opencv"]));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("OpenCV has haar and ssd alone"), "{error}");
    let (code, _, error) = text(&run(["models", "fetch", "nosuch"]));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("`nosuch`"), "{error}");
}

#[test]
fn empty_variables_are_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ferroflow();
    command.args(["plan", "fer2013 path=x.csv"]).current_dir(folder.path());
    command.envs([("FERROFLOW_STORE", ""), ("FERROFLOW_MANIFEST", "")]);
    let (_, _, error) = text(&command.env("FERROFLOW_HOME", folder.path().join("home")).output().unwrap());
    assert!(!error.contains("manifest"), "{error}");
    assert!(!folder.path().join("results").exists() && folder.path().join("home/store/results").is_dir());
}

#[test]
fn models_can_be_listed_and_verified() {
    let (code, stdout, _) = text(&run(["models", "list"]));
    assert_eq!(code, Some(0));
    assert!(
        stdout.lines().any(|line| line.starts_with("ferroflow-expression")
            && line.contains(" here ")
            && line.contains("(default)")),
        "{stdout}"
    );
    let (code, stdout, _) = text(&run(["models", "verify"]));
    assert_eq!(code, Some(0), "{stdout}");
}

#[test]
fn a_changed_model_is_found_by_verify() {
    let home = tempfile::tempdir().unwrap();
    for file in ["libonnxruntime.so", "yunet-2023mar.onnx", "yunet-2023mar.onnx.sha256"] {
        let from = ferroflow_vision::model::store::home().unwrap().join(file);
        std::fs::copy(from, home.path().join(file)).unwrap();
    }
    let model = home.path().join("yunet-2023mar.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&model, bytes).unwrap();
    let output = ferroflow().args(["models", "verify"]).env("FERROFLOW_HOME", home.path()).output().unwrap();
    let (code, stdout, _) = text(&output);
    assert_eq!(code, Some(4));
    assert!(stdout.contains("yunet-2023mar.onnx has changed"), "{stdout}");
}

#[test]
fn what_is_asked_of_vgg16_is_refused_for_other_networks() {
    let (code, _, error) = text(&run(["models", "import", "net.onnx", "--out", "new.onnx", "--size", "64"]));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--size and --means are for VGG16"), "{error}");
    let (code, _, error) = text(&run(["models", "import", "a.h5", "--out", "b.onnx", "--means", "caffe"]));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("use imagenet, vggface or torchvision"), "{error}");
}
