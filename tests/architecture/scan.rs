//! Reads Rust source well enough to say which paths it mentions, without a compiler.
//!
//! Separate from the rules (`architecture.rs`), so that the reading can be tested on its own with snippets: a check
//! that overlooks half of the source would pass for ever.

/// The source with comments, strings and characters blanked out (line breaks stay), so that words in them do not
/// count as code.
pub fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [b'/', b'/', ..] => line_length(&bytes[at..]),
            [b'/', b'*', ..] => block_comment_length(&bytes[at..]),
            [b'"', ..] => string_length(&bytes[at..]),
            [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw_string_length(&bytes[at..]),
            [b'b', b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => {
                1 + raw_string_length(&bytes[at + 1..])
            }
            [b'\'', ..] => character_length(&bytes[at..]),
            _ => 0,
        };
        for byte in &mut code[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Block comments nest in Rust.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"` or `r##"…"##`; 0 where it is a raw identifier (`r#type`).
fn raw_string_length(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.extend(std::iter::repeat_n(b'#', hashes));
    let body = 2 + hashes;
    rest[body..]
        .windows(end.len())
        .position(|window| window == end)
        .map_or(rest.len(), |found| body + found + end.len())
}

/// `'x'` or `'\n'`; 0 for a lifetime, which has no closing quote after one character.
fn character_length(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return rest[2..]
            .iter()
            .skip(1)
            .position(|byte| *byte == b'\'')
            .map_or(0, |found| found + 4);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]).or_else(|error| {
        std::str::from_utf8(&rest[1..=error.valid_up_to()]) // cut inside the character after the quote
    });
    let Some(first) = text.ok().and_then(|text| text.chars().next()) else {
        return 0;
    };
    let closing = 1 + first.len_utf8();
    if first != '\'' && rest.get(closing) == Some(&b'\'') {
        closing + 1
    } else {
        0
    }
}

/// `code` without the modules under `#[cfg(test)]`: tests may use what the code beside them may not.
pub fn without_test_modules(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(found) = rest.find(MARK) {
        kept.push_str(&rest[..found]);
        rest = &rest[found + MARK.len()..];
        let (brace, semicolon) = (rest.find('{'), rest.find(';'));
        rest = match (brace, semicolon) {
            // `mod tests;`, `use …;`
            (None, Some(semicolon)) => &rest[semicolon + 1..],
            (Some(brace), Some(semicolon)) if semicolon < brace => &rest[semicolon + 1..],
            (Some(brace), _) => &rest[brace + block_length(&rest[brace..])..],
            (None, None) => "",
        };
    }
    kept.push_str(rest);
    kept
}

fn block_length(rest: &str) -> usize {
    let mut depth = 0_u32;
    for (at, character) in rest.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    rest.len()
}

/// One path that the code mentions, `["crate", "domain", "PartNumber"]`.
pub type Mention = Vec<String>;

/// All paths of two and more segments, and what `use` and `extern crate` name alone. Groups
/// (`use a::{b, c::d}`) are spread out into one path each.
pub fn mentions(code: &str) -> Vec<Mention> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let imported = matches!(
            &tokens[..at],
            [.., "use"] | [.., "use", "::"] | [.., "extern", "crate"]
        );
        if is_keyword(tokens[at]) || !(is_word(tokens[at]) || imported && tokens[at] == "{") {
            at += 1;
            continue;
        }
        let mut paths = Vec::new();
        at = read_path(&tokens, at, &mut Vec::new(), &mut paths).max(at + 1);
        // Outside of imports a single word is a variable, a type or a keyword.
        found.extend(paths.into_iter().filter(|path| imported || path.len() > 1));
    }
    found
}

/// Reads one path, or a group of them, at `at`; returns where it ends.
fn read_path(tokens: &[&str], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<Mention>) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = read_path(tokens, at, prefix, found).max(at + 1);
                    if tokens.get(at) == Some(&",") {
                        at += 1;
                    }
                }
                prefix.truncate(depth);
                return at + 1;
            }
            Some(word) if is_word(word) || *word == "*" => {
                prefix.push((*word).to_owned());
                at += 1;
            }
            _ => break,
        }
        // A path goes on after `::`, unless that opens generic arguments (`Vec::<u8>`).
        let goes_on = tokens.get(at) == Some(&"::")
            && tokens
                .get(at + 1)
                .is_some_and(|next| is_word(next) || matches!(*next, "{" | "*"));
        if !goes_on {
            break;
        }
        at += 1;
    }
    if tokens.get(at) == Some(&"as") {
        at += 2;
    }
    found.push(prefix.clone());
    prefix.truncate(depth);
    at
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word_character(first) {
            rest.find(|character| !is_word_character(character))
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_word(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
}

/// Words that stand before a path without being part of one. `crate`, `self` and `super` do begin paths.
fn is_keyword(token: &str) -> bool {
    matches!(
        token,
        "use" | "pub" | "extern" | "as" | "in" | "mod" | "fn" | "let" | "return" | "impl" | "dyn"
    )
}

#[cfg(test)]
mod tests {
    use super::{code_only, mentions, without_test_modules};

    fn joined(source: &str) -> Vec<String> {
        mentions(&code_only(source))
            .iter()
            .map(|path| path.join("::"))
            .collect()
    }

    #[test]
    fn words_in_comments_and_strings_are_no_code() {
        let source = "// diesel::a\n/* diesel /* b */ ::c */ let x = \"diesel::\\\"d\"; r#\"diesel \"e\"\"#; br\"diesel\";\n";

        let code = code_only(source);

        assert!(!code.contains("diesel"), "{code}");
        assert_eq!(code.len(), source.len());
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn characters_and_lifetimes_do_not_open_strings() {
        for source in [
            "fn f<'a>(x: &'a str) { diesel::a() }",
            "match c { '\"' => diesel::a(), '\\'' => 1, 'é' => 2 }",
        ] {
            assert!(
                joined(source).contains(&"diesel::a".to_owned()),
                "{source}: {:?}",
                joined(source)
            );
        }
    }

    #[test]
    fn groups_are_spread_out() {
        let found = joined(
            "use crate::{db, domain::{self, Part as P}, web::*};\npub use actix_web;\nextern crate diesel;",
        );

        let expected = [
            "crate::db",
            "crate::domain::self",
            "crate::domain::Part",
            "crate::web::*",
            "actix_web",
            "diesel",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_inside_expressions_types_and_attributes_count() {
        let found = joined(
            "#[tokio::test]\nasync fn f(x: Vec<crate::web::Body>) -> i32 { let y = 1; std::fs::read::<P>(x) }",
        );

        for path in ["tokio::test", "crate::web::Body", "std::fs::read"] {
            assert!(found.contains(&path.to_owned()), "{path} in {found:?}");
        }
        assert!(!found.contains(&"y".to_owned()), "{found:?}");
    }

    #[test]
    fn test_modules_are_cut_out_and_nothing_else() {
        let code = "use a::b;\n#[cfg(test)]\nmod tests { fn f() { diesel::x() } }\n#[cfg(test)]\nuse diesel::y;\nfn g() { c::d() }";

        let kept = without_test_modules(code);

        assert!(!kept.contains("diesel"), "{kept}");
        assert!(kept.contains("a::b") && kept.contains("c::d"), "{kept}");
    }
}
