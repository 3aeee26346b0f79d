//! Sources and exports of data sets: every form that goes round, and what is wrong in one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, io::Write, path::Path, process::Output};

use common::{asset, fer, ferroflow, name, text};
use ferroflow::batch::data::{Faces, Table};

fn run(folder: &Path, graph: &str) -> Output {
    let mut command = ferroflow();
    command
        .args(["run", graph])
        .env("FERROFLOW_STORE", folder.join("store"))
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs a graph with an export behind it, and answers with the faces of a split.
fn exported(folder: &Path, graph: &str) -> Faces {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let out = format!("out-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let output = run(folder, &format!("{graph} ! export path={out} dropped=true"));
    assert_eq!(text(&output).0, Some(0), "{graph}: {}", text(&output).2);
    Faces::of(Table::open(&folder.join(out).join("data/train-00000-of-00001.parquet")).unwrap()).unwrap()
}

fn refuse(folder: &Path, graph: &str) -> String {
    let output = run(folder, graph);
    assert_ne!(text(&output).0, Some(0), "{graph}: {}", text(&output).1);
    text(&output).2.replace(name(folder), "FOLDER")
}

fn folder_with(rows: &[fer::Row]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fer::write(folder.path(), rows);
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Labels and pixels.
fn contents(faces: &Faces) -> (Vec<Option<usize>>, Vec<u8>) {
    (faces.labels().unwrap(), faces.gray_pixels(2).unwrap().2)
}

#[test]
fn fer2013_is_read_in_all_its_forms() {
    let rows = fer::rows(30);
    let folder = folder_with(&rows);
    let csv = fs::read(folder.path().join("fer2013.csv")).unwrap();
    fs::write(folder.path().join("fer2013.csv.gz"), gzip(&csv)).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(csv.len() as u64);
    header.set_mode(0o644);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "fer2013/fer2013.csv", csv.as_slice()).unwrap();
    fs::write(folder.path().join("fer2013.tar.gz"), gzip(&tar.into_inner().unwrap())).unwrap();
    // Kaggle's second edition has its columns in another order, with blanks before their names.
    let mut icml = "emotion, Usage, pixels\n".to_owned();
    for line in String::from_utf8(csv).unwrap().lines().skip(1) {
        let parts: Vec<_> = line.split(',').collect();
        icml.push_str(&format!("{},{},{}\n", parts[0], parts[2], parts[1]));
    }
    fs::write(folder.path().join("icml_face_data.csv"), icml).unwrap();
    let expected: Vec<&fer::Row> = rows.iter().filter(|row| row.usage == "Training").collect();
    for file in ["fer2013.csv", "fer2013.csv.gz", "fer2013.tar.gz", "icml_face_data.csv"] {
        let (labels, pixels) = contents(&exported(folder.path(), &format!("fer2013 path={file}")));
        assert_eq!(labels, expected.iter().map(|row| Some(row.label)).collect::<Vec<_>>(), "{file}");
        assert_eq!(pixels, expected.iter().flat_map(|row| row.pixels.clone()).collect::<Vec<_>>(), "{file}");
    }
}

#[test]
fn what_is_exported_can_be_read_again() {
    let folder = folder_with(&fer::rows(30));
    let original = contents(&exported(folder.path(), "fer2013 path=fer2013.csv"));
    for (format, source) in [
        ("parquet", "parquet path=kept"),
        ("csv", "fer2013 path=kept/fer2013.csv"),
        ("image-folder", "fer2013 path=kept"),
    ] {
        let output =
            run(folder.path(), &format!("fer2013 path=fer2013.csv ! export format={format} path=kept"));
        assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
        let (labels, pixels) = contents(&exported(folder.path(), source));
        if format == "image-folder" {
            // In the order of folders.
            assert_eq!(labels.len(), original.0.len());
        } else {
            assert_eq!((labels, pixels), original, "{format}");
        }
        fs::remove_dir_all(folder.path().join("kept")).unwrap();
    }
}

#[test]
fn bad_rows_are_told_with_number_and_reason() {
    let rows = fer::rows(8);
    let folder = folder_with(&rows);
    let csv = fer::csv(&rows);
    let mut lines: Vec<String> = csv.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace(' ', " x").chars().take(30).collect();
    lines[3] = lines[3].replacen(',', ",300 ", 1);
    lines[4] = format!("9{}", &lines[4][1..]);
    lines[5] = lines[5].replace("PrivateTest", "PrivatTest");
    lines[6] = lines[6].replacen(',', ",7 ", 1);
    lines[7] = format!("Training,{},0", lines[7].split(',').nth(1).unwrap());
    fs::write(folder.path().join("bad.csv"), lines.join("\n")).unwrap();
    let none = refuse(folder.path(), "fer2013 path=bad.csv");
    let few = refuse(folder.path(), "fer2013 path=bad.csv bad-rows=5");
    insta::assert_snapshot!([none, few].join("\n"));
    let enough = run(folder.path(), "fer2013 path=bad.csv bad-rows=6");
    assert!(
        text(&enough).1.contains("rows 2, train") && text(&enough).1.contains("bad_rows 6"),
        "{:?}",
        text(&enough)
    );
}

#[test]
fn files_that_are_cut_short_or_something_else_are_refused() {
    let folder = folder_with(&fer::rows(30));
    let path = |name: &str| folder.path().join(name);
    let whole = gzip(&fs::read(path("fer2013.csv")).unwrap());
    fs::write(path("short.csv.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("short.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("other.csv"), "a,b\n1,2\n").unwrap();
    fs::write(path("empty.csv"), "emotion,pixels,Usage\n").unwrap();
    fs::write(path("noise.parquet"), [7u8; 400]).unwrap();
    let said: Vec<_> = [
        "fer2013 path=none.csv",
        "fer2013 path=short.csv.gz",
        "fer2013 path=short.tar.gz",
        "fer2013 path=other.csv",
        "fer2013 path=empty.csv",
        "parquet path=noise.parquet",
        "ferplus path=other.csv",
    ]
    .iter()
    .map(|graph| refuse(folder.path(), graph))
    .collect();
    insta::assert_snapshot!(said.join(""));
}

#[test]
fn a_parquet_file_of_another_schema_says_which_it_has() {
    let folder = folder_with(&fer::rows(10));
    let out = run(folder.path(), "ferplus path=votes.csv");
    assert_eq!(text(&out).0, Some(0));
    let results = fs::read_dir(folder.path().join("store/results")).unwrap();
    let table = results.map(|entry| entry.unwrap().path().join("data.parquet")).next().unwrap();
    fs::copy(table, folder.path().join("votes.parquet")).unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "parquet path=votes.parquet label=majority"));
}

#[test]
fn pictures_of_several_sizes_are_named_where_one_size_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    for (class, side) in [("happy", 48), ("sad", 40)] {
        fs::create_dir_all(folder.path().join("pictures").join(class)).unwrap();
        let picture = image::GrayImage::from_fn(side, side, |x, y| image::Luma([(x * 3 + y) as u8]));
        picture.save(folder.path().join("pictures").join(class).join("a.png")).unwrap();
    }
    let said = refuse(folder.path(), "image-folder path=pictures ! cross-validate folds=2 epochs=1");
    assert!(
        said.contains("row 1 has 40x40 pixels, the rows before 48x48: all must be of one size"),
        "{said}"
    );
    let resized = exported(folder.path(), "image-folder path=pictures size=48");
    assert_eq!(resized.gray_pixels(1).unwrap().2.len(), 2 * 48 * 48);
    fs::write(folder.path().join("pictures/sad/broken.png"), b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let said = refuse(folder.path(), "image-folder path=pictures");
    assert!(said.contains("pictures/sad/broken.png"), "{said}");
}

#[test]
fn faces_are_harvested_from_videos() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("videos/happy")).unwrap();
    fs::copy(asset("speech.mp4"), folder.path().join("videos/speech.mp4")).unwrap();
    fs::copy(asset("phone.mp4"), folder.path().join("videos/happy/phone.mp4")).unwrap();
    fs::write(folder.path().join("videos/notes.txt"), "no video").unwrap();
    let faces = exported(folder.path(), "video-faces path=videos every=1 least-side=30");
    let (labels, pixels) = contents(&faces);
    assert!(labels.len() >= 4 && pixels.len() == labels.len() * 48 * 48, "{}", labels.len());
    let happy = labels.iter().filter(|label| **label == Some(3)).count();
    assert!(happy > 0 && happy < labels.len(), "{labels:?}");
}

#[test]
fn duplicates_are_decided_by_policy() {
    let folder = folder_with(&fer::dirty(40));
    let dropped = |flags: &str| {
        let faces = exported(folder.path(), &format!("fer2013 path=fer2013.csv ! deduplicate {flags}"));
        let mut reasons: Vec<String> = faces.dropped().unwrap().into_iter().flatten().collect();
        reasons.sort();
        reasons.join(" ")
    };
    // Of rows in the split train: a copy, a leak (its twin is in validation), two that disagree, one of two black ones.
    assert_eq!(dropped(""), "conflict conflict duplicate duplicate leak");
    assert_eq!(dropped("conflicts=ignore"), "duplicate duplicate duplicate leak");
    assert_eq!(dropped("keep=train"), "conflict conflict duplicate duplicate");
    assert_eq!(dropped("keep=each"), "conflict conflict duplicate duplicate");
    assert_eq!(dropped("exact=mark"), "");
}

#[test]
fn duplicates_stay_together_when_splits_are_made_anew() {
    let folder = folder_with(&fer::dirty(60));
    let graph = "fer2013 path=fer2013.csv ! deduplicate exact=mark ! split test=0.3 validation=0.2";
    let output = run(folder.path(), &format!("{graph} ! export path=out"));
    assert_eq!(text(&output).0, Some(0), "{}", text(&output).2);
    let mut seen = std::collections::BTreeMap::new();
    for split in ["train", "validation", "test"] {
        let path = folder.path().join(format!("out/data/{split}-00000-of-00001.parquet"));
        let faces = Faces::of(Table::open(&path).unwrap()).unwrap();
        assert!(faces.table.rows() > 5, "{split}");
        let groups: arrow_array::Int64Array = faces.table.typed("duplicate_group").unwrap();
        for group in groups.iter().flatten() {
            assert_eq!(*seen.entry(group).or_insert(split), split, "group {group}");
        }
    }
    assert!(seen.len() >= 3);
}

#[test]
fn classes_are_balanced() {
    let folder = folder_with(&fer::rows(50));
    let count = |flags: &str| {
        let faces = exported(
            folder.path(),
            &format!("fer2013 path=fer2013.csv ! balance {flags} ! filter kept=true"),
        );
        let labels = faces.labels().unwrap();
        (0..7).map(|class| labels.iter().filter(|label| **label == Some(class)).count()).collect::<Vec<_>>()
    };
    let over = count("");
    assert!(over.iter().all(|count| *count == over[0]), "{over:?}");
    let under = count("method=undersample");
    assert!(under.iter().all(|count| *count == under[0]) && under[0] < over[0], "{under:?}");
    let weighted = exported(folder.path(), "fer2013 path=fer2013.csv ! balance method=class-weights");
    let weights: arrow_array::Float32Array = weighted.table.typed("weight").unwrap();
    let total: f32 = weights.values().iter().sum();
    assert!((total - weighted.table.rows() as f32).abs() < 0.01, "{total}");
}

#[test]
fn columns_of_another_table_are_joined() {
    let folder = folder_with(&fer::rows(20));
    let graph =
        "fer2013 path=fer2013.csv ! join name=j ferplus path=votes.csv ! j.other j. ! export path=out";
    let output = run(folder.path(), graph);
    assert!(text(&output).1.contains("rows 20, matched 20"), "{:?}", text(&output));
    let faces = Table::open(&folder.path().join("out/data/train-00000-of-00001.parquet")).unwrap();
    let majority: arrow_array::Int64Array = faces.typed("majority").unwrap();
    let labels: arrow_array::Int64Array = faces.typed("label").unwrap();
    assert_eq!(majority, labels);
}
