//! Addresses that hold a secret, as a log may show them.
//!
//! Separate from the log, because a path can be written in many ways, and none of them may get the secret through.

use std::borrow::Cow;
use std::sync::Arc;

/// Addresses whose next piece is a secret, which no log may hold.
#[derive(Debug, Clone)]
pub struct SecretPaths(Arc<[String]>);

impl SecretPaths {
    /// Below these.
    pub fn new(addresses: Vec<String>) -> Self {
        Self(addresses.into())
    }

    /// The path without the secret, wherever in it one of the addresses is: a proxy may have left something before it. It
    /// is read as whoever would read it most generously, decoded as often as it is encoded and without empty pieces,
    /// since a path that leads nowhere is logged as well. What looks like a token of ours is veiled in any place.
    pub(super) fn veil<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let plain = decoded(path);
        let mut pieces: Vec<&str> = plain
            .split(['/', '\\'])
            .filter(|piece| !piece.is_empty())
            .collect();
        let mut is_veiled = false;
        for at in 0..pieces.len() {
            let is_secret =
                is_token(pieces[at]) || self.0.iter().any(|address| ends_in(&pieces[..at], address));
            if is_secret {
                (pieces[at], is_veiled) = ("\u{2026}", true);
            }
        }
        if is_veiled {
            format!("/{}", pieces.join("/")).into()
        } else {
            path.into()
        }
    }
}

/// Whether these pieces of a path end in all of an address.
fn ends_in(pieces: &[&str], address: &str) -> bool {
    let mut pieces = pieces.iter().rev();
    let mut own = address.split('/').rev().filter(|piece| !piece.is_empty());
    own.all(|piece| {
        pieces
            .next()
            .is_some_and(|other| other.eq_ignore_ascii_case(piece))
    })
}

/// Whether a piece of a path may be a token of ours: base64 with two dots in it, and long
/// (<https://www.rfc-editor.org/rfc/rfc7515#section-7.1>).
fn is_token(piece: &str) -> bool {
    piece.len() > 40 && piece.starts_with("eyJ") && piece.matches('.').count() == 2
}

/// The path behind all its percent-encoding, however often that was done.
fn decoded(path: &str) -> String {
    let mut plain = path.to_owned();
    for _ in 0..MOST_ENCODINGS {
        if plain.contains('%') {
            plain = decoded_once(&plain);
        }
    }
    plain
}

fn decoded_once(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let mut byte = [first];
        rest = behind;
        if first == b'%'
            && let Some((digits, behind)) = behind.split_at_checked(2)
            && hex::decode_to_slice(digits, &mut byte).is_ok()
        {
            rest = behind;
        }
        bytes.extend(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encoded more often than this, nothing would lead to us.
const MOST_ENCODINGS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_does_not_reach_the_log() {
        let secrets = SecretPaths::new(vec!["/t".into()]);

        for (path, shown) in [
            ("/t/SECRET/s3/multipart", "/t/\u{2026}/s3/multipart"),
            ("//t//SECRET//s3", "/t/\u{2026}/s3"),
            ("/t/SECRET", "/t/\u{2026}"),
            ("/%74/SECRET/s3", "/t/\u{2026}/s3"),
            ("/%2574/SECRET/s3", "/t/\u{2026}/s3"),
            ("/t%2FSECRET/s3", "/t/\u{2026}/s3"),
            ("/%2ft%2f%2fSECRET%2fs3", "/t/\u{2026}/s3"),
            ("/T/SECRET/s3", "/T/\u{2026}/s3"),
            (
                "/prefix/of/a/proxy/t/SECRET/s3",
                "/prefix/of/a/proxy/t/\u{2026}/s3",
            ),
            ("/t/%53%45CRET/s3", "/t/\u{2026}/s3"),
        ] {
            assert_eq!(secrets.veil(path), shown);
        }
        for path in ["/tus/x", "/x/tt/y", "/a%20b//c", "/t", "/t/", "/"] {
            assert_eq!(secrets.veil(path), path);
        }
    }

    #[test]
    fn a_longer_address_counts_as_a_whole_and_a_token_in_any_place() {
        let secrets = SecretPaths::new(vec!["/by/token".into()]);
        let token = format!("eyJ{0}.{0}.{0}", "x".repeat(20));

        assert_eq!(secrets.veil("/by/token/SECRET/s3"), "/by/token/\u{2026}/s3");
        assert_eq!(secrets.veil("/by/SECRET/s3"), "/by/SECRET/s3");
        for path in [format!("/{token}/s3"), format!("/tt/%65{}", &token[1..])] {
            assert!(!secrets.veil(&path).contains("xxx"), "{path}");
        }
    }
}
