//! Pages: prefix, delimiter, marker and limit over names in order, for objects and for unfinished uploads alike.
//!
//! Separate because both listings follow one rule, and because it is the rule that clients get wrong most easily:
//! a common prefix counts as one entry of a page, and the next page begins after everything below it. See
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{CommonPrefix, EncodingType};
use s3s::{S3Result, s3_error};

use super::address::percent_encode;

/// The most entries of one page, also where the client asks for more.
pub const MAX_PAGE: i32 = 1000;

/// What a page is asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only names that begin so.
    pub prefix: String,
    /// Names are gathered up to the first of these behind the prefix; none when empty.
    pub delimiter: String,
    /// The most entries; common prefixes count.
    pub limit: usize,
}

impl Filter {
    /// The common prefix that hides a name, if any.
    pub fn common_prefix<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(self.prefix.as_str())?;
        let at = rest
            .find(self.delimiter.as_str())
            .filter(|_| !self.delimiter.is_empty())?;
        Some(&name[..self.prefix.len() + at + self.delimiter.len()])
    }
}

/// One page.
#[derive(Debug)]
pub struct Page<'n, T> {
    /// The entries, in order.
    pub entries: Vec<T>,
    /// The common prefixes, in order.
    pub prefixes: Vec<&'n str>,
    /// Whether there is more.
    pub truncated: bool,
    /// The last name or common prefix of the page.
    pub last: Option<Last<'n>>,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last<'n> {
    /// At an entry of that name.
    Name(&'n str),
    /// At a common prefix.
    Prefix(&'n str),
}

/// Cuts a page from `items`: names with what they stand for, in order, beginning behind the last page.
pub fn page<'n, T>(items: impl Iterator<Item = (&'n str, T)>, filter: &Filter) -> Page<'n, T> {
    let mut page = Page {
        entries: Vec::new(),
        prefixes: Vec::new(),
        truncated: false,
        last: None,
    };
    for (name, item) in items.filter(|(name, _)| name.starts_with(&filter.prefix)) {
        let common = filter.common_prefix(name);
        if common.is_some() && common.map(Last::Prefix) == page.last {
            continue;
        }
        if page.entries.len() + page.prefixes.len() >= filter.limit {
            // S3 calls an empty page that was asked for whole.
            page.truncated = filter.limit > 0;
            break;
        }
        page.last = Some(common.map_or(Last::Name(name), Last::Prefix));
        match common {
            Some(common) => page.prefixes.push(common),
            None => page.entries.push(item),
        }
    }
    page
}

/// The token with which the next page of objects is asked for.
pub fn token(last: Last<'_>) -> String {
    let text = match last {
        Last::Name(name) => format!("n{name}"),
        Last::Prefix(prefix) => format!("p{prefix}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the first name.
    Beginning,
    /// Behind that name.
    After(String),
    /// Behind all names that begin so.
    AfterPrefix(String),
}

impl Start {
    /// Reads a token of [`token`].
    ///
    /// # Errors
    /// `InvalidArgument` for any other text.
    pub fn from_token(token: &str) -> S3Result<Self> {
        let text = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.unwrap_or_default();
        match (text.strip_prefix('n'), text.strip_prefix('p')) {
            (Some(name), _) => Ok(Self::After(name.to_owned())),
            (_, Some(prefix)) => Ok(Self::AfterPrefix(prefix.to_owned())),
            _ => Err(s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )),
        }
    }

    /// The least name from which a search may begin.
    pub fn floor(&self) -> &str {
        match self {
            Self::Beginning => "",
            Self::After(name) | Self::AfterPrefix(name) => name,
        }
    }

    /// Whether a name comes behind.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::Beginning => true,
            Self::After(last) => name > last.as_str(),
            Self::AfterPrefix(last) => name > last.as_str() && !name.starts_with(last.as_str()),
        }
    }
}

/// The limit of a page from `max-keys`, `max-uploads` or `max-parts`.
///
/// # Errors
/// `InvalidArgument` for a negative one.
pub fn limit(asked: Option<i32>) -> S3Result<i32> {
    match asked.unwrap_or(MAX_PAGE) {
        negative if negative < 0 => Err(s3_error!(
            InvalidArgument,
            "The limit of a listing must not be negative"
        )),
        limit => Ok(limit.min(MAX_PAGE)),
    }
}

/// Writes names as `encoding-type` asks for: only so can a key with control characters stand in XML.
#[derive(Debug, Clone)]
pub struct Encoding(Option<EncodingType>);

impl Encoding {
    /// The encoding that the client asks for.
    ///
    /// # Errors
    /// `InvalidArgument` for any other than `url`.
    pub fn new(asked: Option<EncodingType>) -> S3Result<Self> {
        match asked {
            Some(other) if other.as_str() != EncodingType::URL => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
            asked => Ok(Self(asked)),
        }
    }

    /// A name as it stands in the answer.
    pub fn write(&self, name: &str) -> String {
        if self.0.is_some() {
            percent_encode(name)
        } else {
            name.to_owned()
        }
    }

    /// The answer's `EncodingType`.
    pub fn echo(self) -> Option<EncodingType> {
        self.0
    }

    /// The answer's `CommonPrefixes`; none at all when there are none.
    pub fn prefixes(&self, prefixes: &[&str]) -> Option<Vec<CommonPrefix>> {
        let written: Vec<_> = prefixes
            .iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(self.write(prefix)),
            })
            .collect();
        (!written.is_empty()).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["a", "b/1", "b/2", "b/c/3", "d", "e/"];

    fn names(filter: &Filter, start: &Start) -> (Vec<&'static str>, Vec<&'static str>, Option<String>) {
        let items = NAMES
            .into_iter()
            .filter(|name| start.admits(name))
            .map(|name| (name, name));
        let page = page(items, filter);
        let token = page.last.filter(|_| page.truncated).map(token);
        (page.entries, page.prefixes, token)
    }

    fn filter(prefix: &str, delimiter: &str, limit: usize) -> Filter {
        Filter {
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            limit,
        }
    }

    #[test]
    fn a_delimiter_gathers_what_lies_below_it() {
        assert_eq!(
            names(&filter("", "/", 10), &Start::Beginning),
            (vec!["a", "d"], vec!["b/", "e/"], None)
        );
        assert_eq!(
            names(&filter("b/", "/", 10), &Start::Beginning),
            (vec!["b/1", "b/2"], vec!["b/c/"], None)
        );
    }

    #[test]
    fn pages_of_one_give_every_entry_once_with_and_without_a_delimiter() {
        for (delimiter, expected) in [("", NAMES.to_vec()), ("/", vec!["a", "b/", "d", "e/"])] {
            let (mut seen, mut start) = (Vec::new(), Start::Beginning);
            loop {
                let (entries, prefixes, token) = names(&filter("", delimiter, 1), &start);
                seen.extend(entries);
                seen.extend(prefixes);
                let Some(token) = token else { break };
                start = Start::from_token(&token).expect("our own token");
            }
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_page_of_nothing_is_whole_and_a_foreign_token_is_refused() {
        assert_eq!(
            names(&filter("", "", 0), &Start::Beginning),
            (vec![], vec![], None)
        );
        assert!(Start::from_token("not a token").is_err());
    }
}
