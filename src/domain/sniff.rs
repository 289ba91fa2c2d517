//! What a file is, by its first bytes.
//!
//! Separate from [`MediaType`](super::MediaType), which is what a client says, and from `content`, which holds the one
//! against the other. The table holds common signatures by the rules of
//! <https://mimesniff.spec.whatwg.org/>, and those of what does harm under another name: pages, pictures that hold scripts,
//! programs. Nothing here opens a file: a signature says what a program will take it for, not that it is sound.

/// Bytes at the beginning of a file that are looked at.
pub const SNIFFED: u64 = 1024;

/// Where a signature stands, what it is, and of which type a file is that has it.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"\0\0\x01\0", "image/x-icon"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (8, b"AVI ", "video/avi"),
    (8, b"WAVE", "audio/wave"),
    (8, b"AIFF", "audio/aiff"),
    (0, b"OggS\0", "application/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"MThd\0\0\0\x06", "audio/midi"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"OTTO", "font/otf"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"%!PS-Adobe-", "application/postscript"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"Rar!\x1a\x07", "application/x-rar-compressed"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "application/x-ole-storage",
    ),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\0asm", "application/wasm"),
    (0, b"#!", "text/x-shellscript"),
];

/// How a page begins for a browser, whatever it is called.
const PAGES: &[&str] = &[
    "<!doctype html",
    "<html",
    "<head",
    "<script",
    "<iframe",
    "<h1",
    "<div",
    "<font",
    "<table",
    "<a ",
    "<style",
    "<title",
    "<body",
    "<br",
    "<p>",
    "<p ",
    "<!--",
];

/// The type that these first bytes of a file show; `None` where they show none.
pub fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let has = |at: usize, text: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(text));
    if has(4, b"ftyp") {
        return Some(match bytes.get(8..12) {
            Some(b"avif" | b"avis") => "image/avif",
            Some(b"heic" | b"heix" | b"mif1" | b"msf1") => "image/heic",
            Some(b"qt  ") => "video/quicktime",
            Some(b"M4A " | b"M4B ") => "audio/mp4",
            _ => "video/mp4",
        });
    }
    let is_riff = |kind: &str| !matches!(kind, "image/webp" | "video/avi" | "audio/wave") || has(0, b"RIFF");
    let is_aiff = |kind: &str| kind != "audio/aiff" || has(0, b"FORM");
    // Two letters are no proof where the rest is text.
    let is_binary = |text: &[u8]| text.len() > 3 || !text.is_ascii() || text == b"#!" || !is_text(bytes);
    let known = SIGNATURES
        .iter()
        .find(|(at, text, kind)| has(*at, text) && is_riff(kind) && is_aiff(kind) && is_binary(text));
    if let Some((.., kind)) = known {
        return Some(kind);
    }
    // A frame of MPEG audio without tags.
    if matches!(bytes, [0xff, second, ..] if matches!(second, 0xfb | 0xf3 | 0xf2)) {
        return Some("audio/mpeg");
    }
    markup(bytes).or_else(|| is_text(bytes).then_some("text/plain"))
}

/// What kind of markup it is, in the encodings that browsers tell by a mark at the beginning.
fn markup(bytes: &[u8]) -> Option<&'static str> {
    let text = decoded(bytes);
    let text = text.trim_start().to_ascii_lowercase();
    if !text.starts_with('<') {
        return None;
    }
    if PAGES.iter().any(|page| text.starts_with(page)) && !text.starts_with("<!--") {
        return Some("text/html");
    }
    // Comments, declarations and document types may stand before the first element.
    if text.contains("<svg") {
        return Some("image/svg+xml");
    }
    if text.starts_with("<?xml") {
        let is_page = text.contains("<html") || text.contains("<script");
        return Some(if is_page { "text/html" } else { "text/xml" });
    }
    text.starts_with("<!--").then_some("text/html")
}

fn decoded(bytes: &[u8]) -> String {
    let wide = |unit: fn([u8; 2]) -> u16, rest: &[u8]| {
        let units: Vec<u16> = rest
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Whether no byte is there that no text has: <https://mimesniff.spec.whatwg.org/#binary-data-byte>.
fn is_text(bytes: &[u8]) -> bool {
    let has_mark = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    !bytes.is_empty() && (has_mark || !bytes.iter().any(is_binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_in_every_dress() {
        for text in [
            "<!DOCTYPE html><p>",
            " \n\t<HTML>",
            "<script>alert(1)</script>",
            "<!-- a --><script>",
            "\u{feff}<html>",
            "<?xml version=\"1.0\"?><html xmlns=\"x\">",
        ] {
            assert_eq!(sniff(text.as_bytes()), Some("text/html"), "{text}");
        }
        let wide: Vec<u8> = "\u{feff}<html>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(sniff(&wide), Some("text/html"));
        let svg = b"<?xml version=\"1.0\"?><!-- x --><svg onload=\"alert(1)\">";
        assert_eq!(sniff(svg), Some("image/svg+xml"));
        assert_eq!(sniff(b"<?xml version=\"1.0\"?><gpx>"), Some("text/xml"));
    }

    #[test]
    fn text_that_begins_like_a_signature_stays_text_and_noise_is_nothing() {
        assert_eq!(sniff(b"BMW is a car"), Some("text/plain"));
        assert_eq!(sniff(b"MZ and so on"), Some("text/plain"));
        assert_eq!(sniff(b"MZ\x90\0\x03\0\0\0"), Some("application/x-msdownload"));
        assert_eq!(sniff(b"\x01\x02\x03\x04"), None);
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(b"\0\0\0\x20ftypisom"), Some("video/mp4"));
    }
}
