//! sersync2's own way to read a command line: what is no option is passed over.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{ArgAction, Command};

/// The name by which syncd is a drop-in for sersync2.
const NAME: &str = "sersync2";

/// Whether the program was started by sersync2's name.
pub(super) fn called(argv: &[OsString]) -> bool {
    argv.first().is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == NAME))
}

/// Whether `argv` begins with a command of syncd's own, of which sersync2 has none.
pub(super) fn names_command(argv: &[OsString], command: &Command) -> bool {
    argv.get(1)
        .is_some_and(|word| command.get_subcommands().any(|known| known.get_name().as_bytes() == word.as_bytes()))
}

/// `argv` without the words that belong to no option of `command`.
pub(super) fn without_words(argv: &[OsString], command: &Command) -> Vec<OsString> {
    let mut kept: Vec<OsString> = argv.first().cloned().into_iter().collect();
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next() {
        if !word.as_bytes().starts_with(b"-") || word == "-" {
            continue;
        }
        kept.push(word.clone());
        if wants_value(word.as_bytes(), command) {
            kept.extend(words.next().cloned());
        }
    }
    kept
}

/// Whether the value of an option in `word` is the next word.
fn wants_value(word: &[u8], command: &Command) -> bool {
    let takes = |arg: &&clap::Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let mut valued = command.get_arguments().filter(takes);
    match word.strip_prefix(b"--") {
        Some(long) => valued.any(|arg| arg.get_long().is_some_and(|name| name.as_bytes() == long)),
        // `-dro FILE` wants one, `-oFILE` has it.
        None => {
            let shorts: Vec<char> = valued.filter_map(clap::Arg::get_short).collect();
            let first = word.iter().skip(1).position(|b| shorts.contains(&char::from(*b)));
            first.is_some_and(|at| at + 2 == word.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Args;
    use super::*;

    fn kept(line: &str) -> String {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let kept = without_words(&argv, &Args::command());
        kept.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_command_of_syncds_own_stays_one() {
        let names = |line: &str| {
            let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            names_command(&argv, &Args::command())
        };
        assert!(names("sersync2 status --json") && names("sersync2 check a.xml"));
        assert!(!names("sersync2 -r -d -o status") && !names("sersync2 start") && !names("sersync2"));
    }

    #[test]
    fn words_that_belong_to_no_option_are_passed_over() {
        assert_eq!(kept("sersync2 start -d -r now -o f.xml twice"), "sersync2 -d -r -o f.xml");
        assert_eq!(kept("sersync2 -dro f.xml x -n 4 -of.xml y"), "sersync2 -dro f.xml -n 4 -of.xml");
        assert_eq!(
            kept("sersync2 status --state-dir d peer --trust-first-use z"),
            "sersync2 --state-dir d --trust-first-use"
        );
        assert_eq!(kept("sersync2 -m command -"), "sersync2 -m command");
    }
}
