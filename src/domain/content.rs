//! Content: the first bytes of a file, held against what may be uploaded and what its client said.
//!
//! Separate from `sniff`, which says what bytes show and knows no rules; and from `policy`, whose other rules need no look
//! into the file. One format has many names here, and some formats are written inside of others.

use super::policy::{MediaType, Policy};
use super::sniff::sniff;
use crate::error::Error;

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

    /// Holds the first bytes of a file against what may be uploaded and what its client declared. What shows no type
    /// passes, since most formats have no signature; and so does what is declared to be just some bytes, unless a program
    /// may run it.
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
