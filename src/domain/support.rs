//! The support code: by which somebody on the telephone names their upload.
//!
//! Separate from the id, which nobody reads out. The code is the id's last ten digits (40 bits, most of them a hash of
//! the others) in Crockford's base 32, which has no letter that is taken for another: <https://www.crockford.com/base32.html>.
//! It is no secret and opens nothing.

use std::fmt;

use super::id::UploadId;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Digits of an id that are its code.
const DIGITS: usize = 10;

/// Characters of a code, without its hyphen.
const CHARACTERS: usize = 8;

/// A code such as `7K3M-0Q9X`. Two uploads of a million share theirs with a probability of one half; a search shows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SupportCode(u64);

impl SupportCode {
    /// The code of an upload.
    pub fn of(id: &UploadId) -> Self {
        let text = id.as_str();
        let tail = &text[text.len() - DIGITS..];
        Self(u64::from_str_radix(tail, 16).unwrap_or_default())
    }

    /// Reads a code as people write it: in either case, with or without spaces and a hyphen or whatever dash a program has
    /// made of it, `O` for 0, `I` and `L` for 1.
    /// `None` for text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut value = 0;
        let mut characters = 0;
        for character in text.chars().filter(|c| !is_between(*c)) {
            let character = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let byte = u8::try_from(character).ok()?;
            let digit = ALPHABET.iter().position(|known| *known == byte)?;
            value = (value << 5) | u64::try_from(digit).ok()?;
            characters += 1;
            if characters > CHARACTERS {
                return None;
            }
        }
        (characters == CHARACTERS).then_some(Self(value))
    }

    /// The digits with which the ids of its uploads end.
    pub fn id_tail(self) -> String {
        format!("{:0DIGITS$x}", self.0)
    }
}

/// What stands between the characters of a code and is none of them.
fn is_between(c: char) -> bool {
    let is_dash = matches!(
        c,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{ff0d}'
    );
    is_dash || c.is_whitespace()
}

impl fmt::Display for SupportCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..CHARACTERS).rev() {
            let digit = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or_default();
            write!(f, "{}", char::from(ALPHABET[digit]))?;
            if place == CHARACTERS / 2 {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it_and_leads_back_to_the_id() {
        let id = UploadId::parse("019000000000700080000000ffffff01").unwrap();

        let code = SupportCode::of(&id);

        assert_eq!(code.to_string(), "03ZZ-ZZR1");
        assert!(id.as_str().ends_with(&code.id_tail()));
        for text in [
            "03ZZ-ZZR1",
            "03zzzzr1",
            " O3ZZ zzRl ",
            "o3zz-zzri",
            "03ZZ\u{2013}ZZR1",
            "03ZZ \u{2212}\u{a0}ZZR1",
        ] {
            assert_eq!(SupportCode::parse(text), Some(code), "{text}");
        }
        for text in ["", "03ZZ", "03ZZ-ZZR1-0", "03ZZ-ZZRU", "03ZZ-ZZR\u{e9}"] {
            assert_eq!(SupportCode::parse(text), None, "{text}");
        }
    }
}
