//! `ferroflow batch`: every frame accounted for, nothing half-written, nothing done twice, nothing lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::Path, time::Duration};

use common::{
    asset, ferroflow, filmed_sideways, launch, name, photographed_sideways, signal, spawn, text, trimmed,
    videos, wait_until,
};
use ferroflow_vision::record::json;
use gst::prelude::*;

fn batch(input: &Path, out: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = ferroflow().arg("batch").arg(input).arg("--out").arg(out).args(more).output().unwrap();
    text(&output)
}

fn lines(result: &Path) -> usize {
    fs::read_to_string(result.join("faces.jsonl")).unwrap().lines().count()
}

/// Whether a result is being written there.
fn unfinished(out: &Path) -> bool {
    let folders = fs::read_dir(out).into_iter().flatten().flatten();
    folders.into_iter().any(|folder| {
        folder.file_name().to_string_lossy().starts_with(".partial-")
            && folder.path().join("faces.jsonl").exists()
    })
}

#[test]
fn every_decoded_frame_is_in_the_result() {
    let (input, out) = (videos(), tempfile::tempdir().unwrap());
    let (code, stdout, stderr) = batch(input.path(), out.path(), &["--jobs", "2"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("speech.mp4: 105 frames decoded = 105 in the result, 210 faces, 2 tracks"),
        "{stdout}"
    );
    assert!(stdout.contains("deep/phone.mp4: 115 frames decoded = 115 in the result"), "{stdout}");
    assert_eq!(lines(&out.path().join("speech.mp4")), 105);
    assert_eq!(lines(&out.path().join("deep/phone.mp4")), 115);
    let csv = fs::read_to_string(out.path().join("speech.mp4/faces.csv")).unwrap();
    assert_eq!(csv.lines().count(), 211);
    let page = fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains("deep/phone.mp4") && page.contains("<svg"));
}

#[test]
fn a_video_that_a_phone_filmed_upright_is_read_upright() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filmed_sideways(&asset("speech.mp4"), &input.path().join("upright.mp4"));
    let (code, stdout, stderr) = batch(input.path(), out.path(), &["--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("105 frames decoded = 105 in the result, 210 faces, 2 tracks"), "{stdout}");
    let size = |result: &Path| {
        let record = fs::read_to_string(result.join("faces.jsonl")).unwrap();
        let record: serde_json::Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
        ["width", "height"].map(|side| record["resolution"][side].as_u64().unwrap())
    };
    let first = size(&out.path().join("upright.mp4"));
    assert!(first[0] > first[1], "{first:?}");
    // The annotated video is upright without a note, and is not turned again.
    let (annotated, again) = (out.path().join("upright.mp4/annotated.mp4"), tempfile::tempdir().unwrap());
    batch(&annotated, again.path(), &[]);
    assert_eq!(size(&again.path().join("annotated.mp4")), first);
}

#[test]
fn a_photo_that_a_phone_took_upright_is_read_upright() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(asset("expressions.jpg"), input.path().join("plain.jpg")).unwrap();
    photographed_sideways(&asset("expressions.jpg"), &input.path().join("upright.jpg"));
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout.matches("1 frames decoded = 1 in the result, 16 faces").count(), 2, "{stdout}");
}

#[test]
fn pixels_that_are_not_square_become_so() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    launch(&format!(
        "filesrc location={} ! decodebin ! videoconvertscale ! video/x-raw,width=480,height=360,pixel-aspect-ratio=4/3 ! \
         x264enc speed-preset=veryfast ! h264parse ! mp4mux ! filesink location={}",
        asset("speech.mp4").display(),
        input.path().join("squeezed.mp4").display()
    ));
    let (code, stdout, stderr) = batch(input.path(), out.path(), &["--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("105 frames decoded = 105 in the result"), "{stdout}");
    let record = fs::read_to_string(out.path().join("squeezed.mp4/faces.jsonl")).unwrap();
    assert!(
        record.starts_with('{') && record.contains("\"resolution\":{\"width\":640,\"height\":360}"),
        "{record}"
    );
}

#[test]
fn a_video_that_its_container_trims_is_whole_and_its_times_begin_at_zero() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    trimmed(&asset("speech.mp4"), &input.path().join("trimmed.mp4"));
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("1 done"), "{stdout}");
    let records = fs::read_to_string(out.path().join("trimmed.mp4/faces.jsonl")).unwrap();
    let times: Vec<_> = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["timestamp"].as_u64().unwrap())
        .collect();
    assert_eq!(times[0], 0, "{times:?}");
    assert!((92..=93).contains(&times.len()) && times.is_sorted(), "{times:?}");
}

#[test]
fn videos_of_odd_sizes_can_be_annotated() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, size) in [("odd.mkv", "width=447,height=317"), ("tiny.mkv", "width=7,height=5")] {
        launch(&format!(
            "filesrc location={} ! decodebin ! videoconvertscale ! video/x-raw,{size} ! jpegenc ! matroskamux ! \
             filesink location={}",
            asset("speech.mp4").display(),
            input.path().join(name).display()
        ));
    }
    let (code, stdout, stderr) = batch(input.path(), out.path(), &["--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("2 done, 0 unchanged, 0 failed"), "{stdout}");
    assert!(out.path().join("odd.mkv/annotated.mp4").metadata().unwrap().len() > 10_000);
    // What is told is told of the frames as they were decoded, made square, whatever the encoder takes.
    let plain = tempfile::tempdir().unwrap();
    assert_eq!(batch(input.path(), plain.path(), &[]).0, Some(0));
    let of = |out: &Path| fs::read_to_string(out.join("odd.mkv/faces.jsonl")).unwrap();
    assert!(of(plain.path()).contains(r#""resolution":{"width":423,"height":317}"#));
    assert!(of(plain.path()) == of(out.path()), "the same lines with and without a video that is drawn into");
}

#[test]
fn a_recording_that_goes_on_from_another_is_whole_though_it_begins_late() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = input.path().join("second.mkv");
    ferroflow::stream::init().unwrap();
    let chain = format!(
        "filesrc location={} ! decodebin ! videoconvert ! jpegenc name=late ! matroskamux ! filesink location={}",
        asset("speech.mp4").display(),
        path.display()
    );
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("late").unwrap().static_pad("src").unwrap().set_offset(60_000_000_000);
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &end).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0), "{stdout} {stderr}");
    assert_eq!(lines(&out.path().join("second.mkv")), 105);
    // Half of it is still known to be half.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (code, _, stderr) = batch(input.path(), out.path(), &[]);
    assert_ne!(code, Some(0), "{stderr}");
}

#[test]
fn a_hole_in_a_video_is_told_of_and_the_rest_is_read() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut bytes = fs::read(asset("speech.mp4")).unwrap();
    let hole = bytes.len() * 45 / 100..bytes.len() * 60 / 100;
    bytes[hole].fill(0);
    fs::write(input.path().join("hole.mp4"), bytes).unwrap();
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("of the 105 pictures in it could not be decoded"), "{stdout} {stderr}");
    let read = lines(&out.path().join("hole.mp4"));
    assert!((50..105).contains(&read), "{read} lines");
}

#[test]
fn a_file_may_have_any_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Two that are the same as text, and one as long as names may be.
    let names = [&b"a\xff.mp4"[..], b"a\xfe.mp4", &[b"n".repeat(251), b".mp4".to_vec()].concat()];
    for (name, video) in names.iter().zip(["speech.mp4", "phone.mp4", "phone.mp4"]) {
        fs::copy(asset(video), input.path().join(OsStr::from_bytes(name))).unwrap();
    }
    let (code, stdout, stderr) = batch(input.path(), out.path(), &["--jobs", "2", "--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("3 done, 0 unchanged, 0 failed"), "{stdout}");
    let written = names.map(|name| lines(&out.path().join(OsStr::from_bytes(name))));
    assert_eq!(written, [105, 115, 115]);
    assert!(out.path().join(OsStr::from_bytes(names[0])).join("annotated.mp4").exists());
}

#[test]
fn what_is_no_video_by_its_name_and_results_of_other_runs_are_left_out() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(asset("phone.mp4"), input.path().join("phone.mp4")).unwrap();
    for file in ["index.html", "notes.TXT", "phone.srt"] {
        fs::write(input.path().join(file), "words").unwrap();
    }
    // Links that lead nowhere: a lock of Emacs, and what would be left out if it were there.
    for link in [".#notes.TXT", "gone.txt"] {
        std::os::unix::fs::symlink("/nowhere/at/all", input.path().join(link)).unwrap();
    }
    let (code, _, stderr) = batch(&asset("phone.mp4"), &input.path().join("earlier"), &["--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    for done in ["1 done, 0 unchanged, 0 failed", "0 done, 1 unchanged, 0 failed"] {
        let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(done), "{stdout}");
        assert!(stdout.contains("4 other files are no videos by their names, and were left out"), "{stdout}");
    }
}

#[test]
fn times_that_begin_late_and_sound_that_ends_late_are_no_damage() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str| input.path().join(name);
    let picture = |frames: u32, offset: u64| {
        format!(
            "videotestsrc num-buffers={frames} timestamp-offset={offset} ! video/x-raw,width=160,height=120,framerate=30/1 ! x264enc key-int-max=15 ! h264parse"
        )
    };
    let late = file("cut-out-of-a-recording.mkv");
    launch(&format!(
        "{} ! matroskamux offset-to-zero=false ! filesink location={}",
        picture(300, 3_600_000_000_000),
        late.display()
    ));
    let sound = "audiotestsrc num-buffers=431 samplesperbuffer=1024 ! vorbisenc ! mux.";
    launch(&format!(
        "{} ! matroskamux name=mux ! filesink location={} {sound}",
        picture(60, 0),
        file("sound.mkv").display()
    ));
    let whole = fs::read(&late).unwrap();
    fs::write(file("truncated.mkv"), &whole[..whole.len() / 3]).unwrap();
    let mut zeroed = fs::read(file("sound.mkv")).unwrap();
    let half = zeroed.len() / 2;
    zeroed[half..].fill(0);
    fs::write(file("zeroed.mkv"), zeroed).unwrap();
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(3), "{stdout}{stderr}");
    assert!(stdout.contains("3 done, 0 unchanged, 1 failed"), "{stdout}{stderr}");
    assert!(
        stderr.contains("truncated.mkv: failed: cut short or damaged: it has 33 % of the bytes"),
        "{stderr}"
    );
    assert!(stderr.contains("zeroed.mkv: all its bytes are there, yet cut short or damaged"), "{stderr}");
    let seconds =
        |name: &str| common::json(&out.path().join(name).join("done.json"))["seconds"].as_f64().unwrap();
    assert!((seconds("cut-out-of-a-recording.mkv") - 10.0).abs() < 0.05);
    assert!((seconds("sound.mkv") - 2.0).abs() < 0.05);
    let bins = &common::json(&out.path().join("cut-out-of-a-recording.mkv/done.json"))["timeline"]["bins"];
    assert_eq!(bins.as_array().unwrap().len(), 40);
}

#[test]
fn the_parquet_table_has_a_row_for_each_face() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let out = tempfile::tempdir().unwrap();
    batch(&asset("speech.mp4"), out.path(), &[]);
    let file = fs::File::open(out.path().join("speech.mp4/faces.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 210);
    let columns = reader.metadata().file_metadata().schema_descr().num_columns();
    let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    insta::assert_snapshot!(
        row.get_column_iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
    );
    assert_eq!(columns, 19);
}

#[test]
fn what_is_done_is_skipped_until_content_or_settings_change() {
    let (input, out) = (videos(), tempfile::tempdir().unwrap());
    let (_, stdout, _) = batch(input.path(), out.path(), &[]);
    assert!(stdout.contains("2 done, 0 unchanged, 0 failed"), "{stdout}");
    let (_, stdout, _) = batch(input.path(), out.path(), &[]);
    assert!(stdout.contains("0 done, 2 unchanged, 0 failed"), "{stdout}");
    // The same name, other content.
    fs::copy(asset("phone.mp4"), input.path().join("speech.mp4")).unwrap();
    let (_, stdout, _) = batch(input.path(), out.path(), &[]);
    assert!(stdout.contains("1 done, 1 unchanged, 0 failed"), "{stdout}");
    assert_eq!(lines(&out.path().join("speech.mp4")), 115);
    // The same content, other settings.
    let (_, stdout, _) = batch(input.path(), out.path(), &["--set", "detector=haar"]);
    assert!(stdout.contains("2 done, 0 unchanged, 0 failed"), "{stdout}");
}

#[test]
fn a_directory_of_a_pipeline_file_is_done_again_when_asked() {
    let out = tempfile::tempdir().unwrap();
    let sets = [format!("input={}", name(&asset("phone.mp4"))), format!("output={}", name(out.path()))];
    let said = |command: &str, more: Option<&str>| {
        let arguments: [&str; 6] =
            [command, "pipelines/directory.toml", "--set", &sets[0], "--set", &sets[1]];
        text(&ferroflow().args(arguments).args(more).output().unwrap()).1
    };
    assert!(said("run", None).contains("1 done, 0 unchanged, 0 failed"));
    assert!(said("run", None).contains("0 done, 1 unchanged, 0 failed"));
    assert!(said("plan", Some("--force")).contains("phone.mp4: to run again"));
    assert!(said("run", Some("--force")).contains("1 done, 0 unchanged, 0 failed"));
    assert!(said("plan", None).contains("phone.mp4: done"));
}

#[test]
fn keys_that_are_set_count_and_paths_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("${detector}-${nothing}"), folder.path().join("out"));
    fs::create_dir(&input).unwrap();
    fs::copy(asset("phone.mp4"), input.join("phone.mp4")).unwrap();
    let (code, _, stderr) = batch(&input, &out, &["--set", "directory.annotate=true"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(out.join("phone.mp4/annotated.mp4").exists());
    let (code, _, stderr) = batch(&input, &out, &["--set", "output=elsewhere"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--set output: ") && stderr.contains("--out"), "{stderr}");
}

#[test]
fn a_variable_that_is_no_text_disturbs_nobody() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = ferroflow();
    command.env("ODD", std::ffi::OsStr::from_bytes(b"\xff"));
    command.args(["batch", "/nowhere", "--out", "/nowhere/out"]);
    let (code, _, stderr) = text(&command.output().unwrap());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("/nowhere does not exist"), "{stderr}");
}

#[test]
fn results_never_take_the_place_of_videos() {
    let input = videos();
    let (folder, video) = (input.path(), input.path().join("speech.mp4"));
    let link = folder.join("link.mp4");
    std::os::unix::fs::symlink(asset("phone.mp4"), &link).unwrap();
    let before = fs::read(&video).unwrap();
    for (from, reason) in [
        (folder, "results would lie among the videos themselves"),
        (video.as_path(), "speech.mp4 would take its place"),
        (link.as_path(), "link.mp4 would take its place"),
    ] {
        let (code, stdout, stderr) = batch(from, folder, &[]);
        assert_eq!(code, Some(1), "{stdout}");
        assert!(stderr.contains(reason) && stderr.contains("choose another folder for results"), "{stderr}");
    }
    assert_eq!(fs::read(&video).unwrap(), before);
    assert!(link.is_symlink());
    assert!(!folder.join(".lock").exists() && !folder.join("index.html").exists());
}

#[test]
fn what_is_no_result_is_never_removed() {
    let out = tempfile::tempdir().unwrap();
    let notes = out.path().join("phone.mp4/notes.txt");
    fs::create_dir(notes.parent().unwrap()).unwrap();
    fs::write(&notes, "mine").unwrap();
    let (code, _, stderr) = batch(&asset("phone.mp4"), out.path(), &["--force"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("phone.mp4 is there already and is no result: move it away"), "{stderr}");
    assert_eq!(fs::read_to_string(notes).unwrap(), "mine");
}

#[test]
fn bad_files_are_reported_and_do_not_stop_the_others() {
    let (input, out) = (videos(), tempfile::tempdir().unwrap());
    let whole = fs::read(asset("speech.mp4")).unwrap();
    fs::write(input.path().join("empty.mp4"), b"").unwrap();
    fs::write(input.path().join("notes.mp4"), "no video at all\n").unwrap();
    fs::write(input.path().join("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    let mut garbled = whole.clone();
    garbled[2000..].iter_mut().step_by(3).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    fs::write(input.path().join("garbled.mp4"), garbled).unwrap();
    fs::write(
        input.path().join("noise.mkv"),
        (0..50_000u32).map(|i| ((i * i) >> 7) as u8).collect::<Vec<_>>(),
    )
    .unwrap();
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stdout.contains("2 done, 0 unchanged, 5 failed"), "{stdout}\n{stderr}");
    for (file, reason) in [("empty.mp4", "the file is empty"), ("notes.mp4", "failed"), ("cut.mp4", "failed")]
    {
        assert!(
            stderr.lines().any(|line| line.contains(&format!("{file}: ")) && line.contains(reason)),
            "{file}: {stderr}"
        );
    }
    for file in ["empty.mp4", "notes.mp4", "cut.mp4", "garbled.mp4", "noise.mkv"] {
        assert!(!out.path().join(file).exists(), "{file} has a result");
    }
    let summary = fs::read_to_string(out.path().join("summary.json")).unwrap();
    assert!(summary.contains("\"status\": \"failed\""));
}

#[test]
fn an_interrupted_run_leaves_nothing_half_written_and_goes_on() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(asset("speech.mp4"), input.path().join("a.mp4")).unwrap();
    fs::copy(asset("woman.mp4"), input.path().join("b.mp4")).unwrap();
    for stop in ["INT", "TERM"] {
        let mut child = spawn(&["batch", name(input.path()), "--out", name(out.path())]);
        let is_at_second = || out.path().join("a.mp4/done.json").exists() && unfinished(out.path());
        assert!(wait_until(Duration::from_secs(60), is_at_second));
        signal(&child, stop);
        let began = std::time::Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(out.path().join("a.mp4/done.json").exists());
        assert!(!out.path().join("b.mp4").exists() && !unfinished(out.path()));
    }
    let (code, stdout, _) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("1 done, 1 unchanged, 0 failed"), "{stdout}");
}

#[test]
fn a_killed_run_leaves_only_what_looks_unfinished() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(asset("woman.mp4"), input.path().join("b.mp4")).unwrap();
    let mut child = spawn(&["batch", name(input.path()), "--out", name(out.path())]);
    assert!(wait_until(Duration::from_secs(60), || unfinished(out.path())));
    signal(&child, "KILL");
    child.wait().unwrap();
    assert!(!out.path().join("b.mp4").exists());
    let (code, _, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lines(&out.path().join("b.mp4")), 464);
    assert!(!unfinished(out.path()));
}

#[test]
fn two_runs_do_not_write_to_one_place() {
    let (input, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(asset("woman.mp4"), input.path().join("b.mp4")).unwrap();
    let mut child = spawn(&["batch", name(input.path()), "--out", name(out.path())]);
    assert!(wait_until(Duration::from_secs(60), || unfinished(out.path())));
    let (code, _, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("another ferroflow is writing to"), "{stderr}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_full_disk_stops_the_run_and_says_where() {
    let small = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=96k", "tmpfs", name(small.path())])
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: no right to mount a small file system");
        return;
    }
    let input = videos();
    let (code, _, stderr) = batch(input.path(), &small.path().join("out"), &[]);
    let left: Vec<_> = walkdir::WalkDir::new(small.path())
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| {
            entry.file_name() == "done.json" || entry.file_name().to_string_lossy().starts_with(".partial")
        })
        .collect();
    std::process::Command::new("umount").arg(small.path()).status().unwrap();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("No space left on device") && stderr.contains("results cannot be"), "{stderr}");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_without_permission_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let (input, out) = (videos(), tempfile::tempdir().unwrap());
    let closed = input.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        println!("skipped: this user may read any directory");
        return;
    }
    let (code, _, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(3));
    assert!(stderr.contains("closed: cannot be looked into: Permission denied"), "{stderr}");
}

#[test]
fn a_link_in_a_circle_is_reported_and_passed_by() {
    let (input, out) = (videos(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(input.path(), input.path().join("deep/again")).unwrap();
    let (code, stdout, stderr) = batch(input.path(), out.path(), &[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stdout.contains("2 done, 0 unchanged, 1 failed"), "{stdout}");
    assert!(stderr.contains("a link that leads back to a directory above it"), "{stderr}");
}

#[test]
fn a_result_that_has_more_than_is_asked_for_is_done() {
    let out = tempfile::tempdir().unwrap();
    let video = asset("phone.mp4");
    for (options, done) in [
        (&["--annotate"][..], "1 done, 0 unchanged"),
        (&[], "0 done, 1 unchanged"),
        (&["--annotate"], "0 done, 1 unchanged"),
    ] {
        let (_, stdout, _) = batch(&video, out.path(), options);
        assert!(stdout.contains(done), "{options:?}: {stdout}");
        assert!(out.path().join("phone.mp4/annotated.mp4").exists());
    }
}

#[test]
fn annotated_videos_have_as_many_frames() {
    let out = tempfile::tempdir().unwrap();
    let (code, _, stderr) = batch(&asset("phone.mp4"), out.path(), &["--annotate"]);
    assert_eq!(code, Some(0), "{stderr}");
    let again = tempfile::tempdir().unwrap();
    let annotated = out.path().join("phone.mp4/annotated.mp4");
    let (code, stdout, stderr) = batch(&annotated, again.path(), &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("115 frames decoded = 115 in the result"), "{stdout}");
}

#[test]
fn a_chain_that_drops_frames_is_found_out() {
    let out = tempfile::tempdir().unwrap();
    let chain = "identity drop-probability=0.3 ! ferfacedetect";
    let (code, _, stderr) = batch(&asset("speech.mp4"), out.path(), &["--launch", chain]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("does the chain of elements drop frames?"), "{stderr}");
    assert!(!out.path().join("speech.mp4").exists());
}

#[test]
fn identities_and_times_in_the_lines_are_those_of_the_video() {
    let out = tempfile::tempdir().unwrap();
    batch(&asset("speech.mp4"), out.path(), &[]);
    let text = fs::read_to_string(out.path().join("speech.mp4/faces.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().map(|line| json::read_line(line.as_bytes()).unwrap()).collect();
    assert!(lines.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    assert!(
        lines.iter().all(|line| line.objects.iter().all(|face| face.id.is_some() && face.emotion.is_some()))
    );
}
