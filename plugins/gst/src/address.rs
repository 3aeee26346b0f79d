//! Addresses of cameras, which hold passwords.

use std::borrow::Cow;

/// Keys of queries behind which cameras take what nobody else should know.
const SECRETS: [&str; 14] = [
    "user",
    "usr",
    "username",
    "login",
    "password",
    "passwd",
    "pwd",
    "pass",
    "token",
    "access_token",
    "auth",
    "apikey",
    "api_key",
    "secret",
];

/// A text without the users and passwords of the addresses in it, before their hosts and in their queries, for whatever is
/// written or told.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    const MARK: &str = "://";
    let Some(first) = text.find(MARK) else { return text.into() };
    let (before, mut rest) = text.split_at(first);
    let mut told = before.to_owned();
    while let Some(address) = rest.strip_prefix(MARK) {
        told.push_str(MARK);
        let end = address.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'));
        let (address, after) = address.split_at(end.unwrap_or(address.len()));
        let authority = address.split(['/', '?', '#']).next().unwrap_or(address);
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        tell_query(&address[host..], &mut told);
        let next = after.find(MARK).unwrap_or(after.len());
        told.push_str(&after[..next]);
        rest = &after[next..];
    }
    if told == text { text.into() } else { told.into() }
}

/// Adds an address, its secrets blotted out.
fn tell_query(address: &str, told: &mut String) {
    let Some((place, query)) = address.split_once('?') else { return told.push_str(address) };
    told.push_str(place);
    for (at, part) in query.split('&').enumerate() {
        told.push(if at == 0 { '?' } else { '&' });
        match part.split_once('=') {
            Some((key, _)) if SECRETS.contains(&key.to_ascii_lowercase().as_str()) => {
                told.push_str(key);
                told.push_str("=***");
            }
            _ => told.push_str(part),
        }
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
            (
                "rtsp://cam/1?channel=2&user=admin&Password=x/y&sub=1",
                "rtsp://cam/1?channel=2&user=***&Password=***&sub=1",
            ),
            (
                "not found (404), URL: http://a:b@cam/x?pwd=1 and \"rtsp://c:d@cam\"",
                "not found (404), URL: http://cam/x?pwd=*** and \"rtsp://cam\"",
            ),
            ("12 :// is no address", "12 :// is no address"),
            ("file:///a/b@c.mp4", "file:///a/b@c.mp4"),
        ] {
            assert_eq!(without_credentials(address), told);
        }
    }
}
