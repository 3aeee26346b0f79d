//! Addresses of cameras, which hold passwords.

use std::borrow::Cow;

/// The address without the user and password before its host, for whatever is written or told; any other text
/// as it is.
pub fn without_credentials(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return address.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]).into(),
        None => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn passwords_of_cameras_are_left_out() {
        for (address, told) in [
            ("rtsp://admin:secret@10.0.0.7:554/stream?x=a@b", "rtsp://10.0.0.7:554/stream?x=a@b"),
            ("rtsp://user@camera", "rtsp://camera"),
            ("rtsp://a:p@ss@camera/1", "rtsp://camera/1"),
            ("rtsp://camera/a@b", "rtsp://camera/a@b"),
            ("clip@home.mp4", "clip@home.mp4"),
            ("file:///a/b@c.mp4", "file:///a/b@c.mp4"),
        ] {
            assert_eq!(without_credentials(address), told);
        }
    }
}
