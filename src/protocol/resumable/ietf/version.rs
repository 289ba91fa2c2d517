//! What differs from one interop version of the draft to the next.
//!
//! Separate, because the draft still moves: a version is one row here, and nothing elsewhere asks for a number. Drafts and
//! what changed in them: <https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/>.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;

use super::fields;

/// The field that names a version, in requests and in every 104.
pub(super) const NUMBER: &str = "upload-draft-interop-version";

/// One way to speak the protocol.
#[derive(Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one column of the table, and independent of the others"
)]
pub(super) struct Version {
    /// Its number; none for the RFC to come, whose clients send none, and for numbers that nobody knows yet.
    pub(super) number: Option<u64>,
    /// Whether its clients are sent a 104. While there is no RFC, none goes to a client that names no version or one that
    /// we do not know ("Draft Version Identification"): the one switch to turn once there is.
    pub(super) is_announced: bool,
    /// How a request says whether it is the last.
    pub(super) completeness: Completeness,
    /// Whether a PATCH must say whether it is the last; where not, silence means that it is.
    pub(super) needs_completeness: bool,
    /// Whether a PATCH must be `application/partial-upload`.
    pub(super) needs_media_type: bool,
    /// The key in `Upload-Limit` for the seconds that an upload has left; none where that field does not exist yet.
    pub(super) age: Option<&'static str>,
    /// Whether a 104 tells limits.
    pub(super) tells_limits_early: bool,
    /// Fields that HEAD and DELETE must not carry.
    pub(super) not_when_looking: &'static [&'static str],
    /// The status for a request that both made an upload and completed it.
    pub(super) made_whole: StatusCode,
    /// Whether that answer tells the upload's address too.
    pub(super) locates_whole: bool,
    /// The status for content that was appended and is not the last.
    pub(super) appended: StatusCode,
    /// Whether content that really passed the length is the end of the upload.
    pub(super) voids_overrun: bool,
    /// The problem of content for an upload that is complete.
    pub(super) is_complete_already: &'static str,
}

/// The field by which requests and answers tell completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    /// `Upload-Complete`.
    Complete,
    /// `Upload-Incomplete`, its inverse.
    Incomplete,
}

impl Completeness {
    /// The field's name.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Complete => "upload-complete",
            Self::Incomplete => "upload-incomplete",
        }
    }

    /// What a request says.
    pub(super) fn told(self, headers: &HeaderMap) -> Option<bool> {
        fields::boolean(headers, self.field()).map(|value| value == self.value(true))
    }

    /// The field's value for an upload that is complete or not.
    fn value(self, is_complete: bool) -> bool {
        is_complete == (self == Self::Complete)
    }

    /// The field's text for an upload that is complete or not.
    pub(super) fn text(self, is_complete: bool) -> &'static str {
        if self.value(is_complete) { "?1" } else { "?0" }
    }
}

/// The newest rules, for clients that name no version or an unknown one.
const UNNUMBERED: Version = Version {
    number: None,
    is_announced: false,
    completeness: Completeness::Complete,
    needs_completeness: true,
    needs_media_type: true,
    age: Some("max-age"),
    tells_limits_early: true,
    not_when_looking: &[],
    made_whole: StatusCode::OK,
    locates_whole: false,
    appended: StatusCode::NO_CONTENT,
    voids_overrun: true,
    is_complete_already: "inconsistent-upload-length",
};

/// -13.
const TEN: Version = Version {
    number: Some(10),
    is_announced: true,
    ..UNNUMBERED
};

/// -12.
const NINE: Version = Version {
    number: Some(9),
    ..TEN
};

/// -09 to -11.
const EIGHT: Version = Version {
    number: Some(8),
    is_complete_already: "completed-upload",
    ..NINE
};

/// -06 to -08.
const SEVEN: Version = Version {
    number: Some(7),
    tells_limits_early: false,
    voids_overrun: false,
    ..EIGHT
};

/// -04 and -05: `URLSession` since iOS 18.1.
const SIX: Version = Version {
    number: Some(6),
    needs_completeness: false,
    age: Some("expires"),
    not_when_looking: &["upload-offset", "upload-complete", "upload-length"],
    made_whole: StatusCode::CREATED,
    // tus-js-client gives up without it.
    locates_whole: true,
    ..SEVEN
};

/// -03: `URLSession` of iOS 18.0.
const FIVE: Version = Version {
    number: Some(5),
    needs_media_type: false,
    age: None,
    not_when_looking: &["upload-offset", "upload-complete"],
    appended: StatusCode::CREATED,
    ..SIX
};

/// -02.
const FOUR: Version = Version {
    number: Some(4),
    ..FIVE
};

/// -01: `URLSession` of iOS 17.
const THREE: Version = Version {
    number: Some(3),
    completeness: Completeness::Incomplete,
    not_when_looking: &[],
    ..FOUR
};

static NEWEST: Version = UNNUMBERED;

/// The old spelling without a number: what is left of a version 3 request by a proxy that takes its number away so that
/// no 104 is sent.
static OLDEST: Version = Version {
    number: None,
    is_announced: false,
    ..THREE
};

static NUMBERED: [Version; 8] = [TEN, NINE, EIGHT, SEVEN, SIX, FIVE, FOUR, THREE];

impl Version {
    /// The newest.
    pub(super) fn newest() -> &'static Self {
        &NEWEST
    }

    /// The one with this number; the newest rules, unannounced, where nobody knows it.
    pub(super) fn numbered(number: u64) -> &'static Self {
        let known = NUMBERED.iter().find(|version| version.number == Some(number));
        known.unwrap_or(&NEWEST)
    }

    /// The one that a request names, if only by its spelling.
    pub(super) fn told(headers: &HeaderMap) -> Option<&'static Self> {
        let has = |spelling: Completeness| headers.contains_key(spelling.field());
        let is_old = || has(Completeness::Incomplete) && !has(Completeness::Complete);
        fields::integer(headers, NUMBER)
            .map(Self::numbered)
            .or_else(|| is_old().then_some(&OLDEST))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn each_number_has_one_row_and_every_other_goes_by_the_newest() {
        for number in 3..=10 {
            assert_eq!(Version::numbered(number).number, Some(number));
        }
        for number in [0, 2, 11, 99] {
            let version = Version::numbered(number);
            assert_eq!(version, Version::newest());
            assert!(!version.is_announced);
        }
    }

    #[test]
    fn the_old_spelling_says_enough_without_a_number() {
        let old = Version::told(&headers("upload-incomplete", "?0")).unwrap();

        assert_eq!(old.completeness, Completeness::Incomplete);
        assert!(!old.is_announced && !old.needs_media_type);
        assert_eq!(Version::told(&headers("upload-complete", "?1")), None);
        assert_eq!(Version::told(&headers(NUMBER, "3")).unwrap().number, Some(3));
    }

    #[test]
    fn completeness_is_told_in_two_spellings() {
        let told = |spelling: Completeness, name, value| spelling.told(&headers(name, value));

        assert_eq!(told(Completeness::Complete, "upload-complete", "?1"), Some(true));
        assert_eq!(
            told(Completeness::Incomplete, "upload-incomplete", "?1"),
            Some(false)
        );
        assert_eq!(told(Completeness::Incomplete, "upload-complete", "?1"), None);
        assert_eq!(told(Completeness::Complete, "upload-complete", "true"), None);
        assert_eq!(Completeness::Incomplete.text(true), "?0");
        assert_eq!(Completeness::Complete.text(true), "?1");
    }
}
