//! How much of a Matroska or WebM file is there, by the size that it says it has.
//!
//! Its length in time does not tell: the container promises the time of its end, and a recording that goes on from another
//! begins late (RFC 8794 has EBML, RFC 9559 Matroska).

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// IDs of the header, and of the segment, which holds all else.
const HEADER: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;

/// The share of its bytes that the file has, 1 where it is whole; none where it is not Matroska's, or does not say how many
/// there are, as of a stream that was recorded while it ran.
pub fn share(path: &Path) -> Option<f64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    if number(&mut file, true)? != HEADER {
        return None;
    }
    let header = number(&mut file, false)?;
    file.seek(SeekFrom::Current(i64::try_from(header).ok()?)).ok()?;
    if number(&mut file, true)? != SEGMENT {
        return None;
    }
    let size = number(&mut file, false)?;
    let promised = file.stream_position().ok()?.checked_add(size)?;
    Some((length as f64 / promised as f64).min(1.0))
}

/// A number of EBML: as many zeros as its first byte begins with, so many bytes follow. IDs keep the bit behind those zeros;
/// a size of ones alone is none.
fn number(file: &mut File, is_id: bool) -> Option<u64> {
    let mut first = [0];
    file.read_exact(&mut first).ok()?;
    let more = first[0].leading_zeros();
    if more > 7 {
        return None;
    }
    let mut rest = [0; 7];
    let rest = rest.get_mut(..more as usize)?;
    file.read_exact(rest).ok()?;
    let mark = 0x80u8 >> more;
    let begin = u64::from(if is_id { first[0] } else { first[0] & !mark });
    let value = rest.iter().fold(begin, |value, byte| value << 8 | u64::from(*byte));
    let ones = (1u64 << (7 * (more + 1))) - 1;
    (is_id || value != ones).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_file_has_the_share_of_what_it_says_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let share = |bytes: &[u8]| {
            let path = folder.path().join("a.mkv");
            std::fs::write(&path, bytes).unwrap();
            share(&path)
        };
        let header = [0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2, 0x18, 0x53, 0x80, 0x67];
        let with = |more: &[u8]| [&header[..], more].concat();
        assert_eq!(share(&with(&[0x83, 7, 8, 9])), Some(1.0));
        assert_eq!(share(&with(&[0x40, 0x03, 7, 8, 9])), Some(1.0), "a longer size");
        assert_eq!(share(&with(&[0x84, 7, 8, 9])), Some(15.0 / 16.0), "cut off");
        assert_eq!(
            share(&with(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7])),
            None,
            "of no known size"
        );
        for other in [&b""[..], b"\x1a\x45", b"an mp4 is another thing", &header, &with(&[0])] {
            assert_eq!(share(other), None);
        }
    }
}
