//! Times, sizes and states in words, for every page alike.

use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A time as the pages show it: exactly, and how long ago.
pub(super) struct Moment {
    /// RFC 3339, for machines and for whoever points at it.
    pub(super) exact: String,
    /// `2026-03-01 12:00:00`, UTC.
    pub(super) plain: String,
    /// `3 min ago` or `in 2 h`.
    pub(super) relative: String,
}

impl Moment {
    pub(super) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let distance = now - at;
        let relative = if distance.abs() < TimeDelta::seconds(5) {
            "just now".to_owned()
        } else if distance > TimeDelta::zero() {
            format!("{} ago", span(distance))
        } else {
            format!("in {}", span(-distance))
        };
        Self {
            exact: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            plain: at.format("%Y-%m-%d %H:%M:%S").to_string(),
            relative,
        }
    }
}

/// A length of time in its largest whole unit.
pub(super) fn span(length: TimeDelta) -> String {
    match length.num_seconds() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Bytes in a unit that people read.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut power = 0;
    let mut unit = 1024_u64;
    while power + 1 < UNITS.len() && bytes / unit >= 1024 {
        unit *= 1024;
        power += 1;
    }
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if tenth == 0 || whole >= 100 {
        format!("{whole} {}", UNITS[power])
    } else {
        format!("{whole}.{tenth} {}", UNITS[power])
    }
}

/// The sizes that somebody may mean by what they typed: so many bytes, or with a unit whatever is rounded to that, up or
/// down. What calls itself MB counts by 1000 in one program and by 1024 in another, so it means two ranges. None for text
/// that is no size.
pub(super) fn read_sizes(text: &str) -> Vec<RangeInclusive<u64>> {
    const LETTERS: [&str; 5] = ["k", "m", "g", "t", "p"];
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let Some((digits, decimals)) = read_number(number) else {
        return Vec::new();
    };
    let unit = unit.trim().to_ascii_lowercase();
    if matches!(unit.as_str(), "" | "b" | "byte" | "bytes") {
        let exact = Some(digits).filter(|_| decimals == 0);
        return exact.map(|size| size..=size).into_iter().collect();
    }
    let (letter, bases): (&str, &[u128]) = match unit.strip_suffix("ib") {
        Some(letter) => (letter, &[1024]),
        None => (unit.strip_suffix('b').unwrap_or(&unit), &[1000, 1024]),
    };
    let Some(power) = (1..).zip(LETTERS).find(|(_, known)| *known == letter) else {
        return Vec::new();
    };
    let ranges = bases.iter().filter_map(|base| {
        let (unit, scale) = (base.pow(power.0), 10_u128.pow(decimals));
        let digits = u128::from(digits);
        let from = ((2 * digits).saturating_sub(1) * unit).div_ceil(2 * scale);
        let below = ((digits + 1) * unit).div_ceil(scale);
        Some(u64::try_from(from).ok()?..=u64::try_from(below - 1).ok()?)
    });
    ranges.collect()
}

/// A number as people write it, as its digits and how many of them are decimals. A comma before three digits separates
/// thousands.
fn read_number(text: &str) -> Option<(u64, u32)> {
    const MOST_DECIMALS: usize = 3;
    let text: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '_' | '\''))
        .collect();
    let is_decimal = |at: usize| text[at..].starts_with('.') || text.len() - at != 4;
    let point = text.rfind(['.', ',']).filter(|at| is_decimal(*at));
    let (whole, decimals) = match point {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text.as_str(), ""),
    };
    if whole.is_empty() || decimals.len() > MOST_DECIMALS {
        return None;
    }
    let digits = format!("{}{decimals}", whole.replace(',', ""));
    let decimals = u32::try_from(decimals.len()).ok()?;
    digits.parse().ok().map(|digits| (digits, decimals))
}

/// How much of `whole` there is, in percent, rounded down so that 100 means all.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(whole)).map_or(100, |percent| percent.min(100))
}

/// A number with its noun.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {many}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_short() {
        for (count, told) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 20, "1 MiB"),
            ((1 << 30) * 3 / 2, "1.5 GiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(bytes(count), told);
        }
        assert_eq!((percent(99, 100), percent(199, 200), percent(0, 0)), (99, 99, 0));
    }

    #[test]
    fn a_size_means_whatever_is_shown_like_that() {
        for (text, ranges) in [
            ("1048576", vec![1 << 20..=1 << 20]),
            ("1,048,576", vec![1 << 20..=1 << 20]),
            ("48 bytes", vec![48..=48]),
            ("2 KiB", vec![1536..=3071]),
            ("2KB", vec![1500..=2999, 1536..=3071]),
            ("1.5 kib", vec![1485..=1638]),
            ("1,5 kib", vec![1485..=1638]),
            ("0 k", vec![0..=999, 0..=1023]),
            ("99999999999 TiB", vec![]),
            ("1.5", vec![]),
            ("1.2345 MB", vec![]),
            ("MB", vec![]),
            ("IMG_1", vec![]),
            ("5 Mbit", vec![]),
            ("-5 MB", vec![]),
            ("\u{fc}.5 MB", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read_sizes(text), ranges, "{text}");
        }
    }

    #[test]
    fn a_size_as_it_is_told_is_found_by_it() {
        for size in [1024, 1700, 6_920_601, 100 << 20, (1 << 40) - 1, 1 << 50] {
            let told = bytes(size);
            assert!(
                read_sizes(&told).iter().any(|range| range.contains(&size)),
                "{told}: {:?}",
                read_sizes(&told)
            );
        }
    }
}
