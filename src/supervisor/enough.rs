//! Which processes count for a `vrrp_track_process`, and since when there are enough of them: pure.

use std::time::{Duration, Instant};

use crate::vrrp::setup::{ParameterMatch, Process};

/// How much of a name the kernel keeps, in bytes.
const COMM: usize = 15;

/// A process that runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    /// Its name, as `/proc/PID/comm` has it.
    pub(super) comm: Vec<u8>,
    /// Its command line; may be empty where nothing looks at it.
    pub(super) argv: Vec<Vec<u8>>,
}

/// Whether the command line of processes has to be read for `wanted`.
pub(super) fn wants_argv(wanted: &Process) -> bool {
    wanted.full_command || wanted.parameters.is_some() || wanted.program.contains('/')
}

/// Whether `seen` is one of those that `wanted` counts.
pub(super) fn counts(wanted: &Process, seen: &Seen) -> bool {
    if !wants_argv(wanted) {
        let name = wanted.program.as_bytes();
        return seen.comm == name.get(..COMM).unwrap_or(name);
    }
    let Some((program, given)) = seen.argv.split_first() else { return false };
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let whole = wanted.program.contains('/');
    let named = if whole { program == wanted.program.as_bytes() } else { name == wanted.program.as_bytes() };
    named && wanted.parameters.as_ref().is_none_or(|(how, parameters)| fit(*how, parameters, given))
}

fn fit(how: ParameterMatch, wanted: &[String], given: &[Vec<u8>]) -> bool {
    let same = |(wanted, given): (&String, &Vec<u8>)| wanted.as_bytes() == given;
    let first = |count: usize| given.len() >= count && wanted.iter().take(count).zip(given).all(same);
    match how {
        ParameterMatch::Exact => given.len() == wanted.len() && first(wanted.len()),
        // Without any parameter both say that there must be none.
        _ if wanted.is_empty() => given.is_empty(),
        ParameterMatch::Partial => first(wanted.len()),
        ParameterMatch::Initial => {
            let last = wanted.len() - 1;
            let begins = |given: &Vec<u8>| wanted.last().is_some_and(|wanted| given.starts_with(wanted.as_bytes()));
            first(last) && given.get(last).is_some_and(begins)
        }
    }
}

/// Whether there are enough processes, once that is so for long enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Enough {
    told: Option<bool>,
    /// It is otherwise since then.
    otherwise: Option<Instant>,
}

impl Enough {
    /// `count` processes run now; what is to be told, where that is something new. The first look is told at once.
    pub(super) fn look(&mut self, wanted: &Process, count: u32, now: Instant) -> Option<bool> {
        let enough = count >= wanted.least && wanted.most.is_none_or(|most| count <= most);
        if self.told == Some(enough) {
            self.otherwise = None;
            return None;
        }
        let since = *self.otherwise.get_or_insert(now);
        if self.told.is_some() && now < since + delay(wanted, enough) {
            return None;
        }
        (self.told, self.otherwise) = (Some(enough), None);
        Some(enough)
    }

    /// When to look again at the latest, where something may have to be told by then.
    pub(super) fn due(&self, wanted: &Process) -> Option<Instant> {
        let told = self.told?;
        self.otherwise.map(|since| since + delay(wanted, !told))
    }
}

fn delay(wanted: &Process, enough: bool) -> Duration {
    if enough { wanted.up_delay } else { wanted.down_delay }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(program: &str) -> Process {
        Process {
            name: "p".to_owned(),
            program: program.to_owned(),
            parameters: None,
            full_command: false,
            least: 1,
            most: None,
            up_delay: Duration::ZERO,
            down_delay: Duration::ZERO,
        }
    }

    fn seen(comm: &str, argv: &[&str]) -> Seen {
        Seen { comm: comm.into(), argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect() }
    }

    #[test]
    fn a_name_is_compared_whole_as_far_as_the_kernel_keeps_it() {
        assert!(counts(&process("ssh"), &seen("ssh", &[])));
        assert!(!counts(&process("ssh"), &seen("sshd", &[])));
        assert!(counts(&process("a-program-with-a-long-name"), &seen("a-program-with-", &[])));
        assert!(counts(&process("/usr/sbin/nginx"), &seen("x", &["/usr/sbin/nginx", "-g"])));
        assert!(!counts(&process("/usr/sbin/nginx"), &seen("nginx", &["nginx"])));
        assert!(!counts(&process("/usr/sbin/nginx"), &seen("nginx", &[])));
    }

    #[test]
    fn parameters_are_compared_as_param_match_says() {
        let wanted = |how, words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Process { parameters: Some((how, words)), ..process("x") }
        };
        let given = seen("", &["/bin/x", "-a", "bcd"]);
        use ParameterMatch::{Exact, Initial, Partial};
        assert!(counts(&wanted(Exact, &["-a", "bcd"]), &given));
        assert!(!counts(&wanted(Exact, &["-a"]), &given));
        assert!(counts(&wanted(Partial, &["-a"]), &given));
        assert!(!counts(&wanted(Partial, &["-a", "b"]), &given));
        assert!(counts(&wanted(Initial, &["-a", "b"]), &given));
        assert!(!counts(&wanted(Initial, &["-", "b"]), &given));
        assert!(!counts(&wanted(Partial, &[]), &given) && counts(&wanted(Partial, &[]), &seen("", &["x"])));
    }

    #[test]
    fn too_few_and_too_many_are_told_when_they_last() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let wanted = Process {
            least: 2,
            most: Some(3),
            up_delay: Duration::from_millis(100),
            down_delay: Duration::from_millis(300),
            ..process("x")
        };
        let mut enough = Enough::default();
        assert_eq!(enough.look(&wanted, 2, at(0)), Some(true), "the first look");
        assert_eq!(enough.look(&wanted, 1, at(10)), None);
        assert_eq!(enough.due(&wanted), Some(at(310)));
        assert_eq!(enough.look(&wanted, 3, at(200)), None, "it was forked again");
        assert_eq!(enough.due(&wanted), None);
        assert_eq!(enough.look(&wanted, 4, at(300)), None);
        assert_eq!(enough.look(&wanted, 4, at(600)), Some(false), "too many");
        assert_eq!(enough.look(&wanted, 2, at(700)), None);
        assert_eq!(enough.look(&wanted, 2, at(799)), None);
        assert_eq!(enough.look(&wanted, 2, at(800)), Some(true));
    }
}
