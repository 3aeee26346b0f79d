//! Pipelines that would write over what they read.

use std::path::{Path, PathBuf};

use gst::prelude::*;

/// What is wrong with a pipeline in which an element writes the file that another reads: the end of the run would put the one
/// in place of the other.
pub fn mistake(top: &gst::Element) -> Option<String> {
    let elements: Vec<_> = top.downcast_ref::<gst::Bin>()?.iterate_recurse().into_iter().flatten().collect();
    let is = |element: &gst::Element, flag| element.element_flags().contains(flag);
    let reads: Vec<_> = elements
        .iter()
        .filter(|element| is(element, gst::ElementFlags::SOURCE))
        .filter_map(|element| Some((element, file(element)?)))
        .collect();
    let is_writer = |element: &&gst::Element| {
        is(element, gst::ElementFlags::SINK) || element.is::<gstferroflow::writer::Meta>()
    };
    elements.iter().filter(is_writer).find_map(|writer| {
        let written = file(writer)?;
        let (reader, _) = reads.iter().find(|(_, read)| *read == written)?;
        let (reader, writer) = (reader.name(), writer.name());
        let path = written.display();
        Some(format!("`{writer}` would write over {path}, which `{reader}` reads: give it another location"))
    })
}

/// The regular file that an element is told to read or write, if there is one.
fn file(element: &gst::Element) -> Option<PathBuf> {
    let text = |name: &str| {
        element
            .has_property_with_type(name, String::static_type())
            .then(|| element.property::<Option<String>>(name))?
    };
    let path = match text("location") {
        Some(location) => PathBuf::from(location),
        None => gst::glib::filename_from_uri(&text("uri")?).ok()?.0,
    };
    Path::new(&path).canonicalize().ok().filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::stream::launch;

    #[test]
    fn what_is_read_is_not_written_over() {
        crate::stream::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("clip.mp4");
        std::fs::write(&video, "a film").unwrap();
        let linked = folder.path().join("link.mp4");
        std::os::unix::fs::symlink(&video, &linked).unwrap();
        let other = folder.path().join("faces.jsonl");
        let refused = |source: String, chain: String| {
            launch::parse("s", &format!("{source} ! {chain}")).err().map(|error| error.to_string())
        };
        let reads = || format!("filesrc location={} ! decodebin", video.display());
        let said = refused(reads(), format!("fermeta location={} ! fakesink", linked.display())).unwrap();
        assert!(said.contains("would write over") && said.contains("give it another location"), "{said}");
        assert!(refused(reads(), format!("filesink location={}", video.display())).is_some());
        let camera = format!("fersource uri=file://{}", video.display());
        assert!(refused(camera, format!("fermeta location={} ! fakesink", video.display())).is_some());
        assert_eq!(refused(reads(), format!("fermeta location={} ! fakesink", other.display())), None);
    }
}
