//! A bucket's CORS and lifecycle rules: reading them, and putting ours among them.
//!
//! Separate, because S3 can only replace all rules at once. Those of others are therefore kept to the letter, as the text
//! that the store gave: a rule may hold elements that we know nothing of.

use std::fmt::Write as _;

/// The id of the rule that is ours, in both lists.
pub const OUR_RULE: &str = "muleteer";

/// What a bucket's CORS rule must allow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CorsRule {
    /// Origins; `*` alone for all.
    pub allowed_origins: Vec<String>,
    /// Methods, in capitals.
    pub allowed_methods: Vec<&'static str>,
    /// Header fields that a page may send.
    pub allowed_headers: Vec<&'static str>,
    /// Header fields that a page may read.
    pub expose_headers: Vec<&'static str>,
    /// Seconds for which a browser may remember the answer.
    pub max_age_s: u32,
}

impl CorsRule {
    /// The rule as S3 takes it.
    pub fn xml(&self) -> String {
        let mut xml = format!("<CORSRule><ID>{OUR_RULE}</ID>");
        let mut list = |name: &str, values: &mut dyn Iterator<Item = &str>| {
            for value in values {
                let value = quick_xml::escape::escape(value);
                let _ = write!(xml, "<{name}>{value}</{name}>");
            }
        };
        list(
            "AllowedOrigin",
            &mut self.allowed_origins.iter().map(String::as_str),
        );
        list("AllowedMethod", &mut self.allowed_methods.iter().copied());
        list("AllowedHeader", &mut self.allowed_headers.iter().copied());
        list("ExposeHeader", &mut self.expose_headers.iter().copied());
        let _ = write!(
            xml,
            "<MaxAgeSeconds>{}</MaxAgeSeconds></CORSRule>",
            self.max_age_s
        );
        xml
    }
}

/// One lifecycle rule that drops unfinished multipart uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortRule {
    /// Its id; empty where it has none.
    pub id: String,
    /// Keys that it is for begin so.
    pub prefix: String,
    /// Days after which an unfinished upload is dropped.
    pub days: u64,
}

/// The whole CORS document: ours first, as S3 takes the first rule that fits, and whatever others were there.
pub fn cors_document(current: &str, ours: &CorsRule) -> String {
    document("CORSConfiguration", "CORSRule", current, &ours.xml())
}

/// The whole lifecycle document, with our rule that drops what is older than `days`.
pub fn lifecycle_document(current: &str, days: u64) -> String {
    document("LifecycleConfiguration", "Rule", current, &lifecycle_rule(days))
}

fn lifecycle_rule(days: u64) -> String {
    format!(
        "<Rule><ID>{OUR_RULE}</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule>"
    )
}

fn document(root: &str, rule: &str, current: &str, ours: &str) -> String {
    let mut xml = format!("<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{ours}");
    for other in elements(current, rule) {
        if text_of(other, "ID") != Some(OUR_RULE) {
            xml.push_str(other);
        }
    }
    let _ = write!(xml, "</{root}>");
    xml
}

/// The enabled rules of a lifecycle document that drop unfinished multipart uploads. Rules that ask for tags or sizes are
/// left out: an unfinished upload has neither.
pub fn abort_rules(document: &str) -> Vec<AbortRule> {
    let rules = elements(document, "Rule").into_iter();
    rules
        .filter(|rule| text_of(rule, "Status") == Some("Enabled"))
        .filter(|rule| {
            !["<Tag>", "<ObjectSizeGreaterThan>", "<ObjectSizeLessThan>"]
                .iter()
                .any(|asked| rule.contains(asked))
        })
        .filter_map(|rule| {
            Some(AbortRule {
                id: text_of(rule, "ID").unwrap_or_default().to_owned(),
                prefix: text_of(rule, "Prefix").unwrap_or_default().to_owned(),
                days: text_of(rule, "DaysAfterInitiation")?.trim().parse().ok()?,
            })
        })
        .collect()
}

/// Our own rule of a CORS document, as text.
pub fn our_cors_rule(document: &str) -> Option<&str> {
    elements(document, "CORSRule")
        .into_iter()
        .find(|rule| text_of(rule, "ID") == Some(OUR_RULE))
}

/// How many CORS rules there are.
pub fn cors_rule_count(document: &str) -> usize {
    elements(document, "CORSRule").len()
}

/// Every `<name>…</name>`, none of which holds another, as it stands there.
fn elements<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = document;
    while let Some(at) = rest.find(&begin) {
        let Some(length) = rest[at..].find(&end) else {
            break;
        };
        let past = at + length + end.len();
        found.push(&rest[at..past]);
        rest = &rest[past..];
    }
    found
}

/// The text of the first element with that name; `None` where there is none, or it is empty.
pub fn text_of<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("<{name}>");
    let at = document.find(&begin)? + begin.len();
    let text = document[at..].split('<').next()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_others_are_kept_to_the_letter_and_ours_is_replaced() {
        let theirs = "<Rule><ID>logs</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And>\
                      </Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>";
        let current = format!(
            "<?xml version=\"1.0\"?><LifecycleConfiguration xmlns=\"x\">{}{theirs}</LifecycleConfiguration>",
            lifecycle_rule(3)
        );

        let next = lifecycle_document(&current, 9);

        assert!(next.contains(theirs), "{next}");
        assert_eq!(
            abort_rules(&next),
            [AbortRule {
                id: OUR_RULE.to_owned(),
                prefix: String::new(),
                days: 9
            }]
        );
    }

    #[test]
    fn a_rule_that_is_switched_off_drops_nothing() {
        let off = lifecycle_rule(3).replace("Enabled", "Disabled");

        assert_eq!(abort_rules(&off), []);
    }

    #[test]
    fn a_rule_that_asks_for_tags_or_sizes_drops_no_unfinished_upload() {
        let prefix = "<Prefix></Prefix>";
        for asked in [
            "<Tag><Key>a</Key><Value>b</Value></Tag>",
            "<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>",
            "<ObjectSizeLessThan>9</ObjectSizeLessThan>",
        ] {
            let narrow = lifecycle_rule(3).replace(prefix, &format!("<And>{prefix}{asked}</And>"));

            assert_eq!(abort_rules(&narrow), [], "{asked}");
        }
        assert_eq!(abort_rules(&lifecycle_rule(3)).len(), 1);
    }

    #[test]
    fn an_origin_that_would_break_the_document_is_escaped() {
        let rule = CorsRule {
            allowed_origins: vec!["https://a.test?x&y".to_owned()],
            allowed_methods: vec!["PUT"],
            allowed_headers: vec!["*"],
            expose_headers: vec!["ETag"],
            max_age_s: 60,
        };

        let document = cors_document("", &rule);

        assert!(document.contains("https://a.test?x&amp;y"), "{document}");
        assert_eq!(our_cors_rule(&document), Some(rule.xml().as_str()));
    }
}
