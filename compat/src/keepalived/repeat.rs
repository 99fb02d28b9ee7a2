//! `~SEQ(v,first,step,last) line` and `~LST(v,a,b) line`: a line again and again.

use std::collections::VecDeque;

use super::line::Line;

/// How many values a range may have: what two bytes of an address hold.
const MOST_VALUES: u64 = 1 << 16;

/// A line that is to be read once for each value.
#[derive(Debug)]
pub(super) struct Repeat {
    /// The name that has the value.
    pub(super) name: String,
    values: Values,
    /// The line.
    pub(super) line: Line,
}

#[derive(Debug)]
enum Values {
    Range { next: i64, step: i64, last: i64, hex: bool },
    List(VecDeque<String>),
}

impl Repeat {
    /// The next value, if there is one.
    pub(super) fn advance(&mut self) -> Option<String> {
        match &mut self.values {
            Values::List(values) => values.pop_front(),
            Values::Range { next, step, last, hex } => {
                let over = if *step > 0 { *next > *last } else { *next < *last };
                if over {
                    return None;
                }
                let value = if *hex { format!("{next:x}") } else { next.to_string() };
                // A sum that does not fit is past any end.
                match next.checked_add(*step) {
                    Some(sum) => *next = sum,
                    None => (*next, *step, *last) = (1, 1, 0),
                }
                Some(value)
            }
        }
    }
}

/// Reads `~…`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &Line) -> Result<Repeat, &'static str> {
    let text = line.text();
    let open = text.find('(').ok_or("there is no `(` in it")?;
    let close = text.find(')').filter(|close| *close > open).ok_or("there is no `)` in it")?;
    let words: Vec<&str> = text.get(open + 1..close).unwrap_or("").split(',').map(str::trim).collect();
    let (name, values) = words.split_first().ok_or("it names no variable")?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("it names no variable");
    }
    let values = match text.get(..open).map(str::trim_end) {
        Some("~LST") => Values::List(values.iter().map(|value| (*value).to_owned()).collect()),
        Some("~SEQ") => range(values, false)?,
        Some("~SEQx") => range(values, true)?,
        _ => return Err("there are `~SEQ(v,first,step,last)`, `~SEQx(…)` and `~LST(v,a,b)`"),
    };
    let line = line.slice(close + 1, text.len()).trimmed();
    Ok(Repeat { name: (*name).to_owned(), values, line })
}

/// `last`, `first,last` or `first,step,last`.
fn range(words: &[&str], hex: bool) -> Result<Values, &'static str> {
    let (first, step, last) = match words {
        // Towards it from the number beside 0.
        [last] => match number(last)? {
            last if last < 0 => (-1, None, last),
            last => (1, None, last),
        },
        [first, last] => (number(first)?, None, number(last)?),
        [first, step, last] => (number(first)?, Some(number(step)?), number(last)?),
        _ => return Err("it takes one to three numbers"),
    };
    if hex && (first < 0 || last < 0) {
        return Err("a hexadecimal number has no sign");
    }
    let step = step.unwrap_or(if first <= last { 1 } else { -1 });
    if step == 0 || (first < last && step < 0) || (first > last && step > 0) {
        return Err("its step never reaches the last number");
    }
    if last.abs_diff(first) / step.unsigned_abs() >= MOST_VALUES {
        return Err("it has more than 65536 values, and is not read");
    }
    Ok(Values::Range { next: first, step, last, hex })
}

/// A number as C writes it: `0x1f` is hexadecimal and `017` octal, of `~SEQx` too; nothing is 0.
fn number(word: &str) -> Result<i64, &'static str> {
    let (sign, digits) = match (word.strip_prefix('-'), word.strip_prefix('+')) {
        (Some(digits), _) => ("-", digits),
        (_, digits) => ("", digits.unwrap_or(word)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hexadecimal {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if word.is_empty() {
        return Ok(0);
    }
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return Err("one of its numbers is none");
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|_| "one of its numbers is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, &'static str> {
        let mut repeat = read(&Line::verbatim(text, 0, 0))?;
        Ok(std::iter::from_fn(|| repeat.advance()).take(10).collect())
    }

    #[test]
    fn ranges_go_up_and_down_and_lists_as_they_stand() {
        assert_eq!(values("~SEQ(i,1,2,5) x"), Ok(vec!["1".into(), "3".into(), "5".into()]));
        assert_eq!(values("~SEQ(i, 3, 1) x"), Ok(vec!["3".into(), "2".into(), "1".into()]));
        assert_eq!(values("~LST(v,a,b) x"), Ok(vec!["a".into(), "b".into()]));
        for wrong in ["~SEQ", "~SEQ(i)", "~SEQ(i,1,0,5)", "~SEQ(i,a)", "~FOO(i,1)", "~SEQ(i,1,-1,5)", "~SEQ(i,--1)"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
        assert_eq!(values(&format!("~SEQ(i,{},{}) x", i64::MAX - 1, i64::MAX)).map(|v| v.len()), Ok(2));
    }

    #[test]
    fn a_range_has_as_many_values_as_a_configuration_can_mean() {
        let many = |text: &str| {
            read(&Line::verbatim(text, 0, 0)).map(|mut repeat| std::iter::from_fn(|| repeat.advance()).count())
        };
        assert_eq!(many("~SEQ(i,1,65536) x"), Ok(65_536));
        assert_eq!(many("~SEQx(i,0x20000,-2,2) x"), Ok(65_536));
        let whole = format!("~SEQ(i,{},{}) x", i64::MIN, i64::MAX);
        for wrong in ["~SEQ(i,1,65537) x", "~SEQ(i,1,99999999) x", "~SEQ(i,0x10000,0) x", &whole] {
            assert!(many(wrong).is_err_and(|why| why.contains("65536")), "{wrong}");
        }
    }

    /// Each was given to keepalived 2.2.7.
    #[test]
    fn the_bounds_of_a_range_are_decimal_unless_they_say_otherwise() {
        let all = |text: &str| values(text).map(|all| all.join(" "));
        for (text, is) in [
            ("~SEQx(i,9,11) x", "9 a b"),
            ("~SEQx(i,0x9,0xb) x", "9 a b"),
            ("~SEQx(i,144,16,192) x", "90 a0 b0 c0"),
            ("~SEQx(i,16,-8,0) x", "10 8 0"),
            ("~SEQ(i,0x9,0xb) x", "9 10 11"),
            ("~SEQ(i,010,012) x", "8 9 10"),
            ("~SEQ(i,-3) x", "-1 -2 -3"),
            ("~SEQ(i,-1,1) x", "-1 0 1"),
            ("~SEQ(i,0) x", "1 0"),
            ("~SEQ(i,+1,2) x", "1 2"),
            ("~SEQ(i,) x", "1 0"),
            ("~SEQ (i,5,2,8) x", "5 7"),
        ] {
            assert_eq!(all(text).as_deref(), Ok(is), "{text}");
        }
        for wrong in ["~SEQx(i,a,c) x", "~SEQx(i,-1,1) x", "~SEQ(i,08,09) x", "~SEQ(i,1,2x) x", "~SEQ(i,0x) x"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
    }
}
