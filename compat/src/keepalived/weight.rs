//! What tracked things do to a priority, and whether that can ever matter.

use std::collections::BTreeMap;

use super::tree::{Instance, KeepalivedConf, Track, Tracking, Weight};

/// What an instance tracks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `track_interface`.
    Interface,
    /// `track_script`.
    Script,
    /// `track_process`.
    Process,
    /// `track_file`, whose number can be anything.
    File,
}

/// A tracked thing with the weight that is in force.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its entry in the instance.
    pub track: &'a Track,
    /// Its weight, of the entry or of the thing itself.
    pub weight: Weight,
}

/// What can be tracked by name, with the weight that each thing has of itself.
#[derive(Clone, Debug, Default)]
pub struct Names<'a> {
    scripts: BTreeMap<&'a str, Weight>,
    processes: BTreeMap<&'a str, Weight>,
    files: BTreeMap<&'a str, Weight>,
}

impl<'a> Names<'a> {
    /// The names that `conf` gives.
    #[must_use]
    pub fn of(conf: &'a KeepalivedConf) -> Self {
        Self {
            scripts: conf.scripts.iter().map(|script| (script.name.value.as_str(), script.weight)).collect(),
            processes: conf.processes.iter().map(|process| (process.name.value.as_str(), process.weight)).collect(),
            files: conf.files.iter().map(|file| (file.name.value.as_str(), file.weight)).collect(),
        }
    }

    /// The weight that the thing called `name` has of itself; none where there is no such thing.
    #[must_use]
    pub fn weight(&self, kind: Kind, name: &str) -> Option<Weight> {
        match kind {
            Kind::Interface => Some(Weight { value: 0, reverse: false, at: None }),
            Kind::Script => self.scripts.get(name).copied(),
            Kind::Process => self.processes.get(name).copied(),
            Kind::File => self.files.get(name).copied(),
        }
    }

    /// All names of that kind.
    pub(super) fn all(&self, kind: Kind) -> impl Iterator<Item = &'a str> {
        let names = match kind {
            Kind::Interface => None,
            Kind::Script => Some(&self.scripts),
            Kind::Process => Some(&self.processes),
            Kind::File => Some(&self.files),
        };
        names.into_iter().flat_map(BTreeMap::keys).copied()
    }

    /// All that `instance` tracks and that is known.
    #[must_use]
    pub fn weighed<'b>(&self, instance: &'b Instance) -> Vec<Weighed<'b>> {
        let weighed = |(kind, track): (Kind, &'b Track)| {
            let own = self.weight(kind, &track.name.value)?;
            Some(Weighed { kind, track, weight: track.weight.unwrap_or(own) })
        };
        instance.track.iter().filter_map(weighed).collect()
    }
}

impl Tracking {
    /// Everything that is tracked.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Track)> {
        let lists = [
            (Kind::Interface, &self.interfaces),
            (Kind::Script, &self.scripts),
            (Kind::Process, &self.processes),
            (Kind::File, &self.files),
        ];
        lists.into_iter().flat_map(|(kind, list)| list.iter().map(move |track| (kind, track)))
    }
}

/// The priority with everything well, where `own` is that of the instance.
#[must_use]
pub fn priority(own: u8, weighed: &[Weighed<'_>]) -> i32 {
    let well: i32 = weighed.iter().map(|w| w.part(true)).fold(0, i32::saturating_add);
    clamped(own, well)
}

/// The priority when `failed` has failed, where it is `well` with everything well.
#[must_use]
pub fn priority_without(own: u8, weighed: &[Weighed<'_>], failed: &Weighed<'_>) -> i32 {
    let well: i32 = weighed.iter().map(|w| w.part(true)).fold(0, i32::saturating_add);
    clamped(own, well.saturating_add(failed.part(false)).saturating_sub(failed.part(true)))
}

/// Within 1 to 254, but an owner's own.
fn clamped(own: u8, change: i32) -> i32 {
    let own = i32::from(own);
    if own == 255 { own } else { own.saturating_add(change).clamp(1, 254) }
}

impl Weighed<'_> {
    /// What it adds while it is well, or is not; a file, which may say any number, adds nothing here.
    fn part(&self, well: bool) -> i32 {
        match (self.kind, self.weight.value > 0, well != self.weight.reverse) {
            (Kind::File, ..) => 0,
            (_, true, true) | (_, false, false) => self.weight.value,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{At, Located};
    use super::*;

    #[test]
    fn positive_weights_add_while_well_and_negative_ones_take_while_not() {
        let track = Track { name: Located::new("x".to_owned(), At::default()), weight: None };
        let of =
            |value, reverse| Weighed { kind: Kind::Script, track: &track, weight: Weight { value, reverse, at: None } };
        let both = |own: u8, all: &[Weighed<'_>], failed: usize| {
            (priority(own, all), priority_without(own, all, &all[failed]))
        };
        assert_eq!(both(100, &[of(20, false)], 0), (120, 100));
        assert_eq!(both(100, &[of(-20, false)], 0), (100, 80));
        assert_eq!(both(100, &[of(-20, true)], 0), (80, 100));
        assert_eq!(both(100, &[of(253, false), of(-9, false)], 1), (254, 254));
        assert_eq!(both(255, &[of(-20, false)], 0), (255, 255));
    }
}
