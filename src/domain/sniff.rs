//! What a file is, by its first bytes.
//!
//! Separate from [`MediaType`], which is what a client says. The table holds common signatures by the rules of
//! <https://mimesniff.spec.whatwg.org/>, and those of what does harm under another name: pages, pictures that hold scripts,
//! programs. Nothing here opens a file: a signature says what a program will take it for, not that it is sound.

use super::policy::{MediaType, Policy};
use crate::error::Error;

/// Bytes at the beginning of a file that are looked at.
pub const SNIFFED: u64 = 1024;

/// How much the first bytes have to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sniffing {
    /// Nothing.
    #[default]
    Off,
    /// What they are must be among the types that are taken.
    Types,
    /// And it must be what the client declared.
    Declared,
}

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

/// Other names of types, and formats that have the same signature.
const ALIASES: &[(&str, &[&str])] = &[
    ("image/jpeg", &["image/jpg", "image/pjpeg"]),
    ("image/bmp", &["image/x-bmp", "image/x-ms-bmp"]),
    ("image/x-icon", &["image/vnd.microsoft.icon"]),
    (
        "image/heic",
        &["image/heif", "image/heic-sequence", "image/heif-sequence"],
    ),
    (
        "image/tiff",
        &[
            "image/x-adobe-dng",
            "image/x-canon-cr2",
            "image/x-nikon-nef",
            "image/x-sony-arw",
        ],
    ),
    ("video/avi", &["video/x-msvideo", "video/msvideo"]),
    (
        "video/webm",
        &["audio/webm", "video/x-matroska", "audio/x-matroska"],
    ),
    (
        "video/mp4",
        &[
            "audio/mp4",
            "audio/x-m4a",
            "video/x-m4v",
            "video/quicktime",
            "video/3gpp",
            "audio/3gpp",
            "application/mp4",
        ],
    ),
    (
        "audio/mp4",
        &["audio/m4a", "audio/x-m4a", "audio/aac", "video/mp4"],
    ),
    ("audio/wave", &["audio/wav", "audio/x-wav", "audio/vnd.wave"]),
    ("audio/aiff", &["audio/x-aiff"]),
    ("audio/flac", &["audio/x-flac"]),
    ("audio/midi", &["audio/mid", "audio/x-midi"]),
    ("audio/mpeg", &["audio/mp3", "audio/mpeg3", "audio/x-mpeg"]),
    ("application/ogg", &["audio/ogg", "video/ogg", "audio/opus"]),
];

/// All types that a file may be of whose bytes show `found`.
fn names_of(found: &'static str) -> impl Iterator<Item = &'static str> {
    let other = ALIASES.iter().find(|(kind, _)| *kind == found);
    std::iter::once(found).chain(other.into_iter().flat_map(|(_, names)| names.iter().copied()))
}

/// Whether a format of this declared type is written inside of what was found: a document in a ZIP archive, JSON in text.
fn is_carried(found: &str, declared: &str) -> bool {
    let is_any = |kinds: &[&str]| kinds.iter().any(|kind| declared.contains(kind));
    match found {
        "application/zip" => is_any(&[
            "zip",
            "officedocument",
            "opendocument",
            "epub",
            "java-archive",
            "android.package",
            "application/vnd.",
        ]),
        "application/x-ole-storage" => is_any(&["msword", "application/vnd.ms-", "application/x-ms"]),
        "application/gzip" => is_any(&["gzip", "tar", "tgz"]),
        "application/x-msdownload" => is_any(&["msdos", "msdownload", "dosexec", "portable-executable"]),
        "application/x-executable" => is_any(&["executable", "x-elf", "sharedlib"]),
        "application/x-rar-compressed" => is_any(&["rar"]),
        "text/xml" => is_any(&["xml"]),
        "text/html" => is_any(&["html"]),
        "text/x-shellscript" => is_any(&["x-sh", "script", "python", "perl", "ruby"]),
        "text/plain" => {
            declared == "image/svg+xml"
                || !["image/", "audio/", "video/", "font/", "model/"]
                    .iter()
                    .any(|kind| declared.starts_with(kind))
        }
        _ => false,
    }
}

/// Whether a program may run what shows this type.
fn is_active(found: &str) -> bool {
    matches!(
        found,
        "text/html"
            | "image/svg+xml"
            | "text/xml"
            | "text/x-shellscript"
            | "application/x-msdownload"
            | "application/x-executable"
            | "application/x-mach-binary"
    )
}

impl Policy {
    /// Whether the first bytes of a file have a say at all.
    pub fn sniffs(&self) -> bool {
        match self.sniffing {
            Sniffing::Off => false,
            Sniffing::Types => self.types.is_some(),
            Sniffing::Declared => true,
        }
    }

    /// Holds the first bytes of a file against what may be uploaded and what its client declared. What shows no type passes, since most formats have no signature; and so does what is declared to be just
    /// some bytes, unless a program may run it.
    ///
    /// # Errors
    /// [`Error::ContentRefused`].
    pub fn check_content(&self, declared: &MediaType, bytes: &[u8]) -> Result<(), Error> {
        let Some(found) = sniff(bytes) else {
            return Ok(());
        };
        let essence = declared.as_str().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        let is_taken = |pattern: &String| match pattern.as_str() {
            "*/*" => true,
            // Pictures that hold scripts are not meant by "all pictures".
            "image/*" if found == "image/svg+xml" => false,
            pattern => {
                names_of(found).any(|name| MediaType::new(name).is_ok_and(|kind| kind.matches(pattern)))
            }
        };
        let is_declared = || names_of(found).any(|name| name == essence) || is_carried(found, &essence);
        let is_fine = match (self.sniffing, &self.types) {
            (Sniffing::Off, _) | (Sniffing::Types, None) => true,
            (Sniffing::Types, Some(types)) => types.iter().any(is_taken) || is_declared(),
            (Sniffing::Declared, _) => is_declared(),
        };
        let is_vague = essence == "application/octet-stream" && !is_active(found);
        if is_fine || is_vague {
            return Ok(());
        }
        Err(Error::ContentRefused {
            found,
            declared: declared.as_str().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PartLimits, Quotas};

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn is_fine(types: &[&str], declared: &str, bytes: &[u8], sniffing: Sniffing) -> bool {
        let policy = Policy {
            max_size: 1,
            types: (!types.is_empty()).then(|| types.iter().map(ToString::to_string).collect()),
            parts: PartLimits::s3(1, 1),
            quotas: Quotas::default(),
            sniffing,
            whole_objects: true,
        };
        policy
            .check_content(&MediaType::new(declared).unwrap(), bytes)
            .is_ok()
    }

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

    #[test]
    fn what_pretends_to_be_a_picture_is_refused() {
        let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\">";
        let cases: [(&[u8], bool); 8] = [
            (PNG, true),
            (b"\xff\xd8\xff\xe0", true),
            (b"<html><script>", false),
            (svg, false),
            (b"just text", false),
            (b"MZ\x90\0\x03", false),
            (b"%PDF-1.7", false),
            (b"\x01\x02\x03", true),
        ];
        for (bytes, fine) in cases {
            assert_eq!(
                is_fine(&["image/*"], "image/png", bytes, Sniffing::Types),
                fine,
                "{bytes:?}"
            );
            assert!(is_fine(&["image/*"], "image/png", bytes, Sniffing::Off));
        }
        // Where it is declared, or asked for by name, it is what it says.
        assert!(is_fine(&["image/*"], "image/svg+xml", svg, Sniffing::Declared));
        assert!(is_fine(
            &["image/svg+xml", "image/png"],
            "image/png",
            svg,
            Sniffing::Types
        ));
        assert!(!is_fine(&["image/jpeg"], "image/jpeg", PNG, Sniffing::Types));
        assert!(!is_fine(&[], "image/jpeg", PNG, Sniffing::Declared));
        assert!(is_fine(&[], "image/jpeg", PNG, Sniffing::Types));
    }

    #[test]
    fn formats_within_formats_are_what_their_clients_say() {
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        let cases: [(&str, &[u8]); 7] = [
            (docx, b"PK\x03\x04\x14"),
            ("application/json; charset=utf-8", b"{\"a\": 1}"),
            ("text/csv", b"a;b\n1;2\n"),
            ("application/gpx+xml", b"<?xml version=\"1.0\"?><gpx>"),
            ("audio/ogg", b"OggS\0\x02"),
            ("image/jpg", b"\xff\xd8\xff\xe0"),
            ("application/octet-stream", b"PK\x03\x04\x14"),
        ];
        for (declared, bytes) in cases {
            assert!(
                is_fine(&[declared], declared, bytes, Sniffing::Declared),
                "{declared}"
            );
            assert!(
                is_fine(&[declared], declared, bytes, Sniffing::Types),
                "{declared}"
            );
        }
        let page = b"<html><script>";
        assert!(!is_fine(
            &["application/octet-stream"],
            "application/octet-stream",
            page,
            Sniffing::Types
        ));
        assert!(!is_fine(&["text/csv"], "text/csv", page, Sniffing::Types));
    }
}
