//! `~SEQ(v,first,step,last) line` and `~LST(v,a,b) line`: a line again and again.

use std::collections::VecDeque;

use super::line::Line;

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
    let values = match text.get(..open) {
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
    let number = |word: &str| {
        let parsed = if hex { i64::from_str_radix(word.trim_start_matches("0x"), 16) } else { word.parse() };
        parsed.map_err(|_| "one of its numbers is none")
    };
    let (first, step, last) = match words {
        [last] => (1, None, number(last)?),
        [first, last] => (number(first)?, None, number(last)?),
        [first, step, last] => (number(first)?, Some(number(step)?), number(last)?),
        _ => return Err("it takes one to three numbers"),
    };
    let step = step.unwrap_or(if first <= last { 1 } else { -1 });
    if step == 0 || (first < last && step < 0) || (first > last && step > 0) {
        return Err("its step never reaches the last number");
    }
    Ok(Values::Range { next: first, step, last, hex })
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
        assert_eq!(values("~SEQx(i,9,b) x"), Ok(vec!["9".into(), "a".into(), "b".into()]));
        assert_eq!(values("~LST(v,a,b) x"), Ok(vec!["a".into(), "b".into()]));
        for wrong in ["~SEQ", "~SEQ(i)", "~SEQ(i,1,0,5)", "~SEQ(i,a)", "~FOO(i,1)", "~SEQ(i,1,-1,5)"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
        assert_eq!(values(&format!("~SEQ(i,{},{}) x", i64::MAX - 1, i64::MAX)).map(|v| v.len()), Ok(2));
    }
}
