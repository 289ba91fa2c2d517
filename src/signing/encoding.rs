//! How text is written into what is signed: percent-encoding, decimal numbers, dates.
//!
//! It is separate because URL and canonical request must be encoded alike to the byte, whoever builds them.

use chrono::{DateTime, Utc};

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `text` as a query name or value: every byte but `A-Z a-z 0-9 - . _ ~` as `%XX`
/// (`UriEncode` of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
pub(super) fn push_query(out: &mut String, text: &str) {
    push_encoded(out, text, false);
}

/// Appends `text` as part of a path: as [`push_query`], but `/` stays.
pub(super) fn push_path(out: &mut String, text: &str) {
    push_encoded(out, text, true);
}

fn push_encoded(out: &mut String, text: &str, keep_slash: bool) {
    out.reserve(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => {
                out.push('%');
                out.push(char::from(UPPER_HEX[usize::from(byte >> 4)]));
                out.push(char::from(UPPER_HEX[usize::from(byte & 0xF)]));
            }
        }
    }
}

/// `&name=value`, or `?name=value` for the first pair of `url`; `None` writes the bare name.
pub(super) fn push_pair(url: &mut String, name: &str, value: Option<&str>) {
    url.push(if url.contains('?') { '&' } else { '?' });
    push_query(url, name);
    if let Some(value) = value {
        url.push('=');
        push_query(url, value);
    }
}

/// `20260505T100000Z`, as in `X-Amz-Date`.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// `20260505`, the day of a credential scope.
pub(super) fn day(time: DateTime<Utc>) -> String {
    time.format("%Y%m%d").to_string()
}

/// A number in decimal digits, written without the heap.
pub(super) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(super) fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10).to_le_bytes()[0];
            number /= 10;
            if number == 0 {
                return Self { digits, start };
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }

    pub(super) fn as_str(&self) -> &str {
        ascii(self.as_bytes())
    }
}

/// Bytes that were written as ASCII, as text.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    // Both callers write digits alone; the fallback keeps a future mistake from being a panic.
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn only_unreserved_characters_survive_and_a_path_keeps_its_slashes() {
        let mut path = String::new();
        push_path(&mut path, "a//b c+d/é/日本/%41?#~");
        assert_eq!(path, "a//b%20c%2Bd/%C3%A9/%E6%97%A5%E6%9C%AC/%2541%3F%23~");

        let mut query = String::new();
        push_query(&mut query, "a/b+c==&*'");
        assert_eq!(query, "a%2Fb%2Bc%3D%3D%26%2A%27");
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 10_000, 5_368_709_120, u64::MAX] {
            assert_eq!(Decimal::new(number).as_str(), number.to_string());
        }
    }

    #[test]
    fn times_are_written_to_the_second() {
        let time = Utc.with_ymd_and_hms(2026, 5, 5, 10, 0, 3).unwrap() + chrono::TimeDelta::milliseconds(999);
        assert_eq!(timestamp(time), "20260505T100003Z");
        assert_eq!(day(time), "20260505");
    }
}
