//! Who is measured, and how often it advertises.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::support::vrrp::{Kind, V2, config};
use crate::tools;

/// What runs on the nodes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    /// The release build of this workspace
    Syncd,
    /// keepalived, from the distribution
    Keepalived,
}

impl Subject {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Syncd => Kind::Syncd,
            Self::Keepalived => Kind::Keepalived,
        }
    }

    /// Whether it is installed.
    pub(super) fn is_here(self) -> bool {
        self == Self::Syncd || tools::have("keepalived")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syncd => "syncd",
            Self::Keepalived => "keepalived",
        })
    }
}

/// The time between two advertisements, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Interval(u32);

impl Interval {
    pub(super) const SECOND: Self = Self(1000);
    pub(super) const SHORTEST: Self = Self(10);

    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(self.0.into())
    }

    pub(super) fn seconds(self) -> f64 {
        self.duration().as_secs_f64()
    }

    /// How long a master may be silent before one of priority 100 takes over (RFC 3768, RFC 5798).
    pub(super) fn patience(self) -> Duration {
        let skew = if self.is_version_2() { Self::SECOND } else { self }.duration() * (256 - LOW) / 256;
        self.duration() * 3 + skew
    }

    fn is_version_2(self) -> bool {
        self >= Self::SECOND
    }

    /// The file of a node with the address; `globals` and `more` are written into it.
    pub(super) fn config(self, place: Place, globals: &str, more: &str) -> String {
        let protocol = if self.is_version_2() {
            V2.replace("advert_int 1\n", &format!("advert_int {self}\n"))
        } else {
            format!("    version 3\n    advert_int {self}")
        };
        let priority = if place == Place::First { 150 } else { 100 };
        config(priority, globals, &format!("{protocol}\n{more}"))
    }
}

/// The priority of the second node.
const LOW: u32 = 100;

/// One of the two nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The one that is to hold the address.
    First,
    /// The other.
    Second,
}

impl Place {
    pub(super) fn index(self) -> usize {
        usize::from(self == Self::Second)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds())
    }
}

impl FromStr for Interval {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let seconds: f64 = text.parse().with_context(|| format!("{text:?} is no number of seconds"))?;
        let hundredths = (seconds * 100.0).round();
        ensure!((1.0..=4000.0).contains(&hundredths), "an interval is 0.01 to 40 seconds, not {text}");
        ensure!(hundredths < 100.0 || hundredths % 100.0 == 0.0, "from 1 s on it is whole seconds, not {text}");
        Ok(Self(hundredths as u32 * 10))
    }
}

impl Serialize for Interval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_what_a_file_can_say() {
        let read = |text: &str| text.parse::<Interval>().map(|interval| interval.to_string());
        assert_eq!(read("0.01").expect("centiseconds"), "0.01");
        assert_eq!(read("2").expect("seconds"), "2");
        for wrong in ["0.001", "1.5", "x", "0"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn version_2_waits_for_the_skew_of_a_second() {
        assert_eq!("1".parse::<Interval>().expect("seconds").patience(), Duration::from_micros(3_609_375));
        assert_eq!("0.1".parse::<Interval>().expect("tenth").patience(), Duration::from_nanos(360_937_500));
    }
}
