//! Who goes first when memory runs out.

use std::fs;

/// How the kernel sees this process when it looks for one to kill (proc(5)).
const FILE: &str = "/proc/self/oom_score_adj";

/// As if it had half of all memory besides what it has.
const FIRST: i32 = 500;

/// Makes this process one of the first to be killed when memory runs out, and not those that hold addresses.
pub fn be_first_to_go() {
    let now = fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if now.is_none_or(|now| now < FIRST)
        && let Err(e) = fs::write(FILE, FIRST.to_string())
    {
        tracing::debug!("{FILE} cannot be written: {e}");
    }
}
