//! What the tests of the program share.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

pub mod data;
pub mod fer;
mod house;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub use house::House;

/// The program, with its log at warnings.
pub fn ferroflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferroflow"));
    command.env("RUST_LOG", "warn").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs the program to its end.
pub fn run<const N: usize>(arguments: [&str; N]) -> Output {
    ferroflow().args(arguments).output().unwrap()
}

/// What a run printed, and how it ended.
pub fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A file of the model manifest.
pub fn asset(name: &str) -> PathBuf {
    ferroflow_vision::model::asset_path(name).unwrap_or_else(|error| panic!("{error}: run `make setup`"))
}

/// A directory with the demo's videos.
pub fn videos() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::copy(asset("speech.mp4"), folder.path().join("speech.mp4")).unwrap();
    std::fs::copy(asset("phone.mp4"), folder.path().join("deep/phone.mp4")).unwrap();
    folder
}

/// Runs a gst-launch string to its end.
pub fn launch(chain: &str) {
    use gst::prelude::*;
    ferroflow::stream::init().unwrap();
    let pipeline = gst::parse::launch(chain).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
}

/// An MP4 video as a phone leaves it that was held upright: its frames lie on their side, and a note in the
/// file says so.
pub fn filmed_sideways(video: &Path, to: &Path) {
    launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! videoflip video-direction=90l ! \
         x264enc speed-preset=veryfast ! h264parse ! mp4mux ! filesink location={}",
        video.display(),
        to.display()
    ));
    // The matrix in the header of the track (ISO 14496-12): a quarter clockwise, which mp4mux cannot be told.
    let mut bytes = std::fs::read(to).unwrap();
    let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    let matrix = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30].map(i32::to_be_bytes).concat();
    bytes[header + 44..][..36].copy_from_slice(&matrix);
    std::fs::write(to, bytes).unwrap();
}

/// An MP4 video of which its container shows all but the first second, as cutting without encoding leaves it.
pub fn trimmed(video: &Path, to: &Path) {
    launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! x264enc speed-preset=veryfast bframes=0 ! h264parse ! mp4mux ! \
         filesink location={}",
        video.display(),
        to.display()
    ));
    // The one entry of the edit list (ISO 14496-12): how long in the film's units, from where in the medium's.
    let mut bytes = std::fs::read(to).unwrap();
    let number = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..][..4].try_into().unwrap());
    let find = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    let (list, track) = (find(b"elst"), find(b"tkhd"));
    let (film, medium) = (find(b"mvhd"), find(b"mdhd"));
    assert_eq!(number(&bytes, list + 8), 1);
    let length = number(&bytes, list + 12) - number(&bytes, film + 16);
    let from = number(&bytes, list + 16) + number(&bytes, medium + 16);
    for (at, value) in [(list + 12, length), (list + 16, from), (film + 20, length), (track + 24, length)] {
        bytes[at..][..4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(to, bytes).unwrap();
}

/// A JPEG picture as a camera leaves it that was held upright: it lies on its side, and EXIF says so.
pub fn photographed_sideways(picture: &Path, to: &Path) {
    use image::{ImageEncoder, codecs::jpeg::JpegEncoder};
    let lying = image::open(picture).unwrap().to_rgb8();
    let lying = image::imageops::rotate270(&lying);
    let mut encoder = JpegEncoder::new_with_quality(std::fs::File::create(to).unwrap(), 90);
    // A TIFF header, and one entry: orientation (0x0112), a short, 6: turn it a quarter clockwise.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    encoder.write_image(&lying, lying.width(), lying.height(), image::ExtendedColorType::Rgb8).unwrap();
}

/// Starts the program in the background.
pub fn spawn(arguments: &[&str]) -> Child {
    ferroflow().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success()
    );
}

/// Waits until `is` holds, for `limit` at most.
pub fn wait_until(limit: Duration, mut is: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if is() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A path as text.
pub fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A JSON file's value.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
