//! The two ways in which the script writes text into a query.
//!
//! Separate, because the product decodes these: its decoder must not prove itself with an encoder of its own.

/// JavaScript's `escape()`: UTF-16 units, Latin-1 as one byte, all above as `%uXXXX`; a plus stays a plus.
pub fn escape(text: &str) -> String {
    text.encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"@*_+-./".contains(&byte) => {
                char::from(byte).to_string()
            }
            Ok(byte) => format!("%{byte:02X}"),
            Err(_) => format!("%u{unit:04X}"),
        })
        .collect()
}

/// JavaScript's `encodeURIComponent()`.
pub fn encode_uri_component(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
