//! The query as mule-uploader's first generation writes it: partly through JavaScript's old `escape()`, partly raw.
//!
//! Separate, because a stock form decoder would get it wrong: `+` is a plus here, `%E9` may be Latin-1, and
//! `%u65E5` is a UTF-16 unit: <https://tc39.es/ecma262/multipage/additional-ecmascript-features-for-web-browsers.html#sec-escape-string>.

/// The parameters in their order; of a repeated one the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuleQuery {
    parameters: Vec<Parameter>,
    torn: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    value: String,
    raw: String,
}

impl MuleQuery {
    /// Reads a raw query. Nothing in it is ever refused: a malformed escape stands for itself.
    pub fn parse(raw: &str) -> Self {
        let mut query = Self {
            parameters: Vec::new(),
            torn: None,
        };
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            let Some((name, value)) = piece.split_once('=') else {
                let before = query.parameters.last().map(|parameter| parameter.name.clone());
                query.torn = query.torn.or(before);
                continue;
            };
            query.parameters.push(Parameter {
                name: unescape(name),
                value: unescape(value),
                raw: value.to_owned(),
            });
        }
        query
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|parameter| parameter.value.as_str())
    }

    /// The same as it was sent.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.find(name).map(|parameter| parameter.raw.as_str())
    }

    /// The parameter whose value had a bare `&` in it: the script always writes an equals sign, so a piece without
    /// one is the rest of what it wrote raw before.
    pub fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Decodes `%uXXXX` and `%XX`: UTF-8 where the bytes are, else Latin-1.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // Bytes wait here until it is known what encoding a run of them has.
    let mut run: Vec<u8> = Vec::new();
    let mut units: Vec<u16> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(unit) = hex(bytes, at, "%u", 4) {
            flush_run(&mut run, &mut out);
            units.push(u16::try_from(unit).unwrap_or(0xFFFD));
            at += 6;
        } else if let Some(byte) = hex(bytes, at, "%", 2) {
            flush_units(&mut units, &mut out);
            run.push(u8::try_from(byte).unwrap_or(b'?'));
            at += 3;
        } else {
            flush_units(&mut units, &mut out);
            run.push(bytes[at]);
            at += 1;
        }
    }
    flush_run(&mut run, &mut out);
    flush_units(&mut units, &mut out);
    out
}

fn hex(bytes: &[u8], at: usize, prefix: &str, digits: usize) -> Option<u32> {
    let start = at + prefix.len();
    if !bytes[at..].starts_with(prefix.as_bytes()) {
        return None;
    }
    let text = std::str::from_utf8(bytes.get(start..start + digits)?).ok()?;
    // `from_str_radix` would take a sign.
    text.bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(text, 16).ok())?
}

fn flush_run(run: &mut Vec<u8>, out: &mut String) {
    match std::str::from_utf8(run) {
        Ok(text) => out.push_str(text),
        Err(_) => out.extend(run.iter().map(|byte| char::from(*byte))),
    }
    run.clear();
}

fn flush_units(units: &mut Vec<u16>, out: &mut String) {
    out.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_plus_and_a_space_comes_escaped() {
        let query = MuleQuery::parse("mime_type=image/svg+xml&filename=a%20b+c.bin");

        assert_eq!(query.get("mime_type"), Some("image/svg+xml"));
        assert_eq!(query.get("filename"), Some("a b+c.bin"));
    }

    #[test]
    fn names_come_in_latin_1_in_utf_16_and_in_utf_8() {
        for (raw, name) in [
            ("na%EFve.bin", "naïve.bin"),
            ("%u65E5%u672C.bin", "日本.bin"),
            ("%uD83D%uDC34.bin", "🐴.bin"),
            ("na%C3%AFve.bin", "naïve.bin"),
            ("%E9%u65E5x", "é日x"),
        ] {
            assert_eq!(
                MuleQuery::parse(&format!("filename={raw}")).get("filename"),
                Some(name),
                "{raw}"
            );
        }
    }

    #[test]
    fn malformed_escapes_stand_for_themselves() {
        for raw in ["100%", "%u12", "%zz", "%+1", "%u+123"] {
            assert_eq!(MuleQuery::parse(&format!("x={raw}")).get("x"), Some(raw));
        }
    }

    #[test]
    fn only_the_first_equals_sign_divides() {
        let query = MuleQuery::parse("key=a=b&&flag=&force=true");

        assert_eq!(query.get("key"), Some("a=b"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("force"), Some("true"));
        assert_eq!(query.get("absent"), None);
        assert_eq!(query.torn(), None);
    }

    #[test]
    fn a_value_with_a_bare_ampersand_is_noticed() {
        let query = MuleQuery::parse("chunk=1&key=a%41&b&force=true");

        assert_eq!(query.torn(), Some("key"));
        assert_eq!((query.get("key"), query.raw("key")), (Some("aA"), Some("a%41")));
    }
}
