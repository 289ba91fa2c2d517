//! Times, sizes and states in words, for every page alike.

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

/// The size that somebody typed: digits with or without separators, in bytes or with a unit.
pub(super) fn read_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let digits: String = number
        .chars()
        .filter(|c| !matches!(c, ' ' | ',' | '_' | '\''))
        .collect();
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
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
    fn sizes_are_told_short_and_read_back() {
        for (count, told) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 20, "1 MiB"),
            ((1 << 30) * 3 / 2, "1.5 GiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(bytes(count), told);
        }
        for (text, count) in [
            ("1048576", Some(1 << 20)),
            ("1,048,576", Some(1 << 20)),
            ("5 MiB", Some(5 << 20)),
            ("2GB", Some(2_000_000_000)),
            ("99999999999 TiB", None),
            ("IMG_1", None),
            ("", None),
        ] {
            assert_eq!(read_bytes(text), count, "{text}");
        }
        assert_eq!((percent(99, 100), percent(199, 200), percent(0, 0)), (99, 99, 0));
    }
}
