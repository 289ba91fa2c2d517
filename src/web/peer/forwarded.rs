//! How proxies write what they tell: the elements of `Forwarded`, quoted or not, and addresses with or without a port.
//!
//! Separate from who is believed, because here is nothing but text: <https://www.rfc-editor.org/rfc/rfc7239#section-4>.

use std::net::{IpAddr, SocketAddr};

/// The address in an element of `Forwarded`.
pub(super) fn hop(element: &str) -> Option<IpAddr> {
    let pairs = split_unquoted(element, ';').into_iter();
    let mut named = pairs.filter_map(|pair| pair.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address_in(&unquoted(value.trim()))
}

/// An address, with or without a port.
pub(super) fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    bare.parse().ok().or_else(with_port)
}

/// `proto` and `host` of the first element of a `Forwarded` field.
pub(super) fn first_forwarded(value: &str) -> (Option<String>, Option<String>) {
    let (mut scheme, mut host) = (None, None);
    for pair in split_unquoted(value, ',')
        .first()
        .map_or(Vec::new(), |first| split_unquoted(first, ';'))
    {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let value = Some(unquoted(value.trim()));
        match name.trim().to_ascii_lowercase().as_str() {
            "proto" => scheme = value,
            "host" => host = value,
            _ => {}
        }
    }
    (scheme, host)
}

/// Splits at `separator` outside of quoted strings.
pub(super) fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|c| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = is_quoted && c == '\\';
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
    .collect()
}

/// The text of a token or of a quoted string.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    plain
}
