//! SigV4 as a store checks it, written from the specification and from nothing else in this repository.
//!
//! It is separate from the signer so that the two can disagree: it starts from what goes over the wire, URL and
//! headers, and shares no code with the product.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A request as a store receives it.
pub struct Received<'a> {
    pub method: &'a str,
    pub url: &'a str,
    /// Without `host`, which follows from the URL.
    pub headers: Vec<(String, String)>,
    pub body: &'a [u8],
}

/// What a valid signature was found to cover.
#[derive(Debug)]
pub struct Verified {
    pub signed_headers: Vec<String>,
    pub expires: Option<u64>,
    pub canonical_request_sha256: String,
}

impl Received<'_> {
    /// Checks a signature in the query.
    pub fn verify_query(&self, secret: &str) -> Result<Verified, String> {
        let (host, path, pairs) = self.split_url();
        let one = |name: &str| match pairs
            .iter()
            .filter(|(found, _)| found == name)
            .collect::<Vec<_>>()[..]
        {
            [(_, value)] => Ok(value.clone()),
            _ => Err(format!("{name} must come once")),
        };
        let scope = Scope::parse(&one("X-Amz-Credential")?, &one("X-Amz-Date")?)?;
        if one("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err("algorithm".into());
        }
        let expires: u64 = one("X-Amz-Expires")?.parse().map_err(|_| "expires")?;
        if !(1..=604_800).contains(&expires) {
            return Err(format!("expires in {expires}"));
        }
        let signed_headers = one("X-Amz-SignedHeaders")?;
        let claimed = one("X-Amz-Signature")?;
        let query = canonical_query(pairs.into_iter().filter(|(name, _)| name != "X-Amz-Signature"));
        let canonical = self.canonical(&path, &query, &host, &signed_headers, "UNSIGNED-PAYLOAD")?;
        scope.check(secret, &canonical, &claimed)?;
        Ok(Verified::new(&signed_headers, Some(expires), &canonical))
    }

    /// Checks a signature in the `Authorization` header, and that the hash of the body is right.
    pub fn verify_header(&self, secret: &str) -> Result<Verified, String> {
        let (host, path, pairs) = self.split_url();
        let authorization = self.header("authorization").ok_or("no authorization")?;
        let fields = authorization
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or("algorithm")?;
        let field = |name: &str| {
            fields
                .split(", ")
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or(format!("no {name}"))
        };
        let scope = Scope::parse(field("Credential")?, &self.header("x-amz-date").ok_or("no date")?)?;
        let signed_headers = field("SignedHeaders")?;
        let payload = self.header("x-amz-content-sha256").ok_or("no payload hash")?;
        if payload != "UNSIGNED-PAYLOAD" && payload != hex::encode(Sha256::digest(self.body)) {
            return Err("the body is another one".into());
        }
        let canonical = self.canonical(&path, &canonical_query(pairs), &host, signed_headers, &payload)?;
        scope.check(secret, &canonical, field("Signature")?)?;
        Ok(Verified::new(signed_headers, None, &canonical))
    }

    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
            .collect();
        if values.is_empty() {
            None
        } else {
            Some(values.join(","))
        }
    }

    fn canonical(
        &self,
        path: &str,
        query: &str,
        host: &str,
        signed_headers: &str,
        payload: &str,
    ) -> Result<String, String> {
        let names: Vec<_> = signed_headers.split(';').collect();
        if !names.is_sorted() || !names.contains(&"host") {
            return Err(format!("signed headers {signed_headers}"));
        }
        // S3 wants every x-amz- header that is sent to be signed.
        for (name, _) in &self.headers {
            if name.starts_with("x-amz-") && !names.contains(&name.as_str()) {
                return Err(format!("{name} is not signed"));
            }
        }
        let mut headers = String::new();
        for name in names {
            let value = if name == "host" {
                Some(host.to_owned())
            } else {
                self.header(name)
            };
            let value = value.ok_or(format!("{name} is signed and not sent"))?;
            let single_spaced = value
                .split(' ')
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ");
            headers.extend([name, ":", &single_spaced, "\n"]);
        }
        Ok(format!(
            "{}\n{path}\n{query}\n{headers}\n{signed_headers}\n{payload}",
            self.method
        ))
    }

    /// Host as a client writes it, path as it is sent, query decoded.
    fn split_url(&self) -> (String, String, Vec<(String, String)>) {
        let (scheme, rest) = self.url.split_once("://").expect("a scheme");
        let (host, rest) = rest.split_once('/').expect("a path");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)));
        (
            host.trim_end_matches(default_port).to_owned(),
            format!("/{path}"),
            pairs.collect(),
        )
    }
}

impl Verified {
    fn new(signed_headers: &str, expires: Option<u64>, canonical: &str) -> Self {
        Self {
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            expires,
            canonical_request_sha256: hex::encode(Sha256::digest(canonical)),
        }
    }
}

struct Scope {
    day: String,
    region: String,
    time: String,
}

impl Scope {
    fn parse(credential: &str, time: &str) -> Result<Self, String> {
        let mut fields: Vec<_> = credential.rsplitn(5, '/').collect();
        fields.reverse();
        let [key_id, day, region, "s3", "aws4_request"] = fields[..] else {
            return Err(format!("credential {credential}"));
        };
        if key_id.is_empty() || !time.starts_with(day) {
            return Err(format!("{credential} at {time}"));
        }
        Ok(Self {
            day: day.into(),
            region: region.into(),
            time: time.into(),
        })
    }

    fn check(&self, secret: &str, canonical: &str, claimed: &str) -> Result<(), String> {
        let key = [self.day.as_str(), &self.region, "s3", "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, step| {
                hmac(&key, step.as_bytes())
            });
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}/{}/s3/aws4_request\n{}",
            self.time,
            self.day,
            self.region,
            hex::encode(Sha256::digest(canonical))
        );
        let expected = hex::encode(hmac(&key, string_to_sign.as_bytes()));
        if expected == claimed {
            Ok(())
        } else {
            Err(format!("signature over\n{canonical}"))
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(message)
        .finalize()
        .into_bytes()
        .to_vec()
}

fn canonical_query(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let mut pairs: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| format!("{}={}", encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            bytes.push(
                u8::from_str_radix(&text[text.len() - after.len()..][..2], 16).expect("two hex digits"),
            );
            rest = &after[2..];
        } else {
            assert_ne!(
                first, b'+',
                "a bare plus is read as a blank by some stores and as a plus by others"
            );
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
