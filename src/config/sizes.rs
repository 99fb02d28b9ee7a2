//! Sizes as rsync's options have them.

/// A number of bytes: `1000`, `10K`, `1.5M`, `2GiB` by 1,024, `10KB` by 1,000, with `+1` or `-1`
/// at its end for one byte more or less. A number alone counts by `unit` (`B` or `K`).
pub(super) fn size(text: &str, unit: char) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: write 500K, 1.5M or 2G, or 10MB for a million bytes each");
    let trimmed = text.trim();
    let (body, more) = match (trimmed.strip_suffix("+1"), trimmed.strip_suffix("-1")) {
        (Some(body), _) => (body, 1),
        (_, Some(body)) => (body, -1),
        _ => (trimmed, 0),
    };
    let end = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
    let (number, suffix) = body.split_at(end);
    let unit = if suffix.is_empty() { unit.to_string() } else { suffix.to_ascii_lowercase() };
    let mut chars = unit.chars();
    let power = match chars.next().map(|c| c.to_ascii_lowercase()) {
        Some('b') if unit.len() == 1 => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        _ => return Err(wrong()),
    };
    let base: u64 = match chars.as_str() {
        "" | "ib" => 1024,
        "b" => 1000,
        _ => return Err(wrong()),
    };
    let factor = base.pow(power);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    if number.is_empty() || number == "." || part.len() > 6 {
        return Err(wrong());
    }
    let (whole, fraction) = digits(whole).zip(digits(part)).ok_or_else(wrong)?;
    let scale = 10u128.pow(u32::try_from(part.len()).unwrap_or(6));
    // 64 bits, six digits behind the point and a petabyte are more than 128 bits.
    let parts = u128::from(whole) * scale + u128::from(fraction);
    let bytes = parts.checked_mul(u128::from(factor)).ok_or_else(wrong)? / scale;
    let bytes = u64::try_from(bytes).map_err(|_| wrong())?;
    bytes.checked_add_signed(more).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_the_suffixes_of_rsync() {
        let cases = [
            ("1000", 'B', 1000),
            ("1000", 'K', 1_024_000),
            ("1.5m", 'B', 1_572_864),
            ("1.5mb-1", 'B', 1_499_999),
            ("2KiB+1", 'B', 2049),
            ("3G", 'B', 3 << 30),
            ("10b", 'K', 10),
            ("0", 'B', 0),
        ];
        for (text, unit, bytes) in cases {
            assert_eq!(size(text, unit), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1x", "1kx", "1.1.1", "-1", "0-1", "99999999999P", "1bb", "18446744073709551615.999999P"]
        {
            assert!(size(text, 'B').is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9.kmgtpibKB+-]{0,10}") {
            let _ = size(&text, 'B');
        }
    }
}
