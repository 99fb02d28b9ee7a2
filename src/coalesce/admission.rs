//! Which events mark a name dirty: what sersync2's `<inotify>` switches mean where truth is on disk.
//!
//! | file | travels |
//! |---|---|
//! | its close counts | once it is closed, or left alone while it is open |
//! | only its creation | once it was made and closed; what is written into it later does not |
//! | only writing | once it is left alone, closed or not |
//! | none of them | with the next full compare |
//!
//! A name that something else marks (its mode changes, say) travels as it is then.

use std::collections::{HashMap, HashSet};

use super::dirty::{Dirty, What};
use crate::config::Events;
use crate::model::RelPath;

/// With more files being made than this, those that come later travel at each of their changes.
const MAX_MAKING: usize = 65_536;

/// What an event is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Worth {
    /// It marks its name.
    Marks,
    /// It marks its name while its file is being made.
    MarksWhileMade,
    /// It marks nothing.
    Nothing,
}

/// Lets those events through that mark a name dirty.
#[derive(Debug)]
pub struct Admission {
    events: Events,
    /// Files whose making was seen and whose first close was not.
    making: HashSet<RelPath>,
    /// Those of them that were renamed away, by the number of the rename.
    moving: HashMap<u32, RelPath>,
}

impl Admission {
    /// Lets through what `events` name.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { events, making: HashSet::new(), moving: HashMap::new() }
    }

    /// Whether [`Self::admits`] asks for the directory: one that is no part of the set yet keeps
    /// what is in it out.
    #[must_use]
    pub fn needs_directory(&self) -> bool {
        !(self.events.create_folder && self.events.move_to)
    }

    /// Whether `event` marks its name. `dir_known`: its directory is part of the set, or will be
    /// looked at as a whole; of meaning only where [`Self::needs_directory`].
    pub fn admits(&mut self, event: &Dirty, dir_known: bool) -> bool {
        if !self.events.leave_something_out() {
            return true;
        }
        let made = self.is_being_made(event);
        if self.needs_directory() && !dir_known {
            return false;
        }
        match worth(self.events, event.what, event.is_dir) {
            Worth::Marks => true,
            Worth::MarksWhileMade => made,
            Worth::Nothing => false,
        }
    }

    /// Keeps track of files that are being made, under whatever name; whether `event` is of one.
    fn is_being_made(&mut self, event: &Dirty) -> bool {
        let tracked = self.events.create_file && !self.events.close_write && !event.is_dir;
        if !tracked {
            return false;
        }
        match event.what {
            What::Created | What::Found if self.making.len() < MAX_MAKING => self.making.insert(event.path.clone()),
            What::Created | What::Found => true,
            What::Closed | What::Removed => self.making.remove(&event.path),
            What::MovedFrom => {
                let made = self.making.remove(&event.path);
                // The other half follows at once; a number without one left the set.
                self.moving.clear();
                if made {
                    self.moving.insert(event.cookie, event.path.clone());
                }
                made
            }
            What::MovedTo => {
                let made = self.moving.remove(&event.cookie).is_some();
                if made {
                    self.making.insert(event.path.clone());
                } else {
                    self.making.remove(&event.path);
                }
                made
            }
            What::Attrib | What::Linked | What::Modified => self.making.contains(&event.path),
        }
    }
}

/// What an event of this kind is worth where `events` count.
fn worth(events: Events, what: What, is_dir: bool) -> Worth {
    let content = events.close_write || events.create_file || events.modify;
    let marks = match what {
        What::Created | What::Found if is_dir => events.create_folder,
        What::Created => events.close_write || events.create_file,
        What::Found => content,
        What::Modified if events.close_write || events.modify => true,
        What::Closed if events.close_write => true,
        What::Modified | What::Closed if events.create_file => return Worth::MarksWhileMade,
        What::Modified | What::Closed => false,
        What::MovedFrom => events.move_from,
        What::MovedTo => events.move_to,
        What::Attrib | What::Linked | What::Removed => true,
    };
    if marks { Worth::Marks } else { Worth::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [What; 9] = [
        What::Created,
        What::Found,
        What::Linked,
        What::Modified,
        What::Closed,
        What::Attrib,
        What::MovedTo,
        What::MovedFrom,
        What::Removed,
    ];

    fn events(off: &str) -> Events {
        let mut events = Events::default();
        for word in off.split_whitespace() {
            match word {
                "createFile" => events.create_file = false,
                "createFolder" => events.create_folder = false,
                "closeWrite" => events.close_write = false,
                "modify" => events.modify = false,
                "moveFrom" => events.move_from = false,
                "moveTo" => events.move_to = false,
                word => panic!("{word}"),
            }
        }
        events
    }

    /// `+` marks, `~` marks while the file is made, `-` does not: in the order of [`ALL`].
    fn table(off: &str, is_dir: bool) -> String {
        let sign = |what| match worth(events(off), what, is_dir) {
            Worth::Marks => '+',
            Worth::MarksWhileMade => '~',
            Worth::Nothing => '-',
        };
        ALL.map(sign).iter().collect()
    }

    #[test]
    fn each_switch_takes_its_kind_of_event() {
        //                                          CFLMCATFR of files
        let files = [
            ("", "+++++++++"),
            ("createFile modify", "+++++++++"),
            ("createFolder", "+++++++++"),
            ("closeWrite modify", "+++~~++++"),
            ("closeWrite", "++++~++++"),
            ("closeWrite createFile", "-+++-++++"),
            ("closeWrite createFile modify", "--+--++++"),
            ("moveFrom", "+++++++-+"),
            ("moveTo", "++++++-++"),
        ];
        for (off, expected) in files {
            assert_eq!(table(off, false), expected, "without {off:?}");
        }
        assert_eq!(table("createFolder", true)[..2], *"--");
        assert_eq!(table("closeWrite createFile modify", true)[..2], *"++");
        assert_eq!(
            (table("moveFrom", true)[7..8].to_owned(), table("moveTo", true)[6..7].to_owned()),
            ("-".into(), "-".into())
        );
    }

    fn event(path: &str, what: What, cookie: u32) -> Dirty {
        let path = RelPath::parse(path.as_bytes()).expect("valid");
        Dirty { cookie, ..Dirty::new(path, what, false) }
    }

    #[test]
    fn with_creation_alone_a_file_is_marked_until_its_first_close() {
        let mut admission = Admission::new(events("closeWrite modify"));
        let mut marks = |path, what, cookie| admission.admits(&event(path, what, cookie), true);
        assert!(marks("a", What::Created, 0) && marks("a", What::Modified, 0) && marks("a", What::Closed, 0));
        assert!(!marks("a", What::Modified, 0) && !marks("a", What::Closed, 0));
        // Under another name it is the same file.
        assert!(marks("t", What::Created, 0) && marks("t", What::MovedFrom, 7) && marks("b", What::MovedTo, 7));
        assert!(marks("b", What::Closed, 0) && !marks("b", What::Closed, 0) && !marks("t", What::Closed, 0));
        // What replaces a file that is being made is not being made.
        assert!(marks("c", What::Created, 0) && marks("c", What::MovedTo, 9) && !marks("c", What::Closed, 0));
    }

    #[test]
    fn what_lies_in_a_directory_that_was_left_out_is_left_out() {
        let mut admission = Admission::new(events("createFolder"));
        assert!(admission.needs_directory());
        assert!(!admission.admits(&event("new/f", What::Closed, 0), false));
        assert!(admission.admits(&event("old/f", What::Closed, 0), true));
        assert!(Admission::new(Events::default()).admits(&event("new/f", What::Closed, 0), false));
    }
}
