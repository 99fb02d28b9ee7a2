//! Whom a notice is told, and in which words: keepalived's, to the letter. Pure.

use crate::vrrp::message::{Happening, Notice, Subject};
use crate::vrrp::router::State;
use crate::vrrp::setup::{Command, Notify};

/// The state of a notice as scripts and pipes know it. A removed instance is at fault, unless somebody asked to be
/// told that it was removed.
fn word(what: Happening, notify: &Notify) -> String {
    let word = match what {
        Happening::Master => "MASTER",
        Happening::Backup => "BACKUP",
        Happening::Fault => "FAULT",
        Happening::Stop => "STOP",
        Happening::Deleted if notify.deleted.is_some() => "DELETED",
        Happening::Deleted => "FAULT",
        Happening::LowerPriority => "MASTER_RX_LOWER_PRI",
        Happening::Priority(State::Master) => "MASTER_PRIORITY",
        Happening::Priority(_) => "BACKUP_PRIORITY",
        Happening::Still(state) => return state.to_string(),
    };
    word.to_owned()
}

/// The programs that are run, in this order.
pub(super) fn programs(notice: &Notice, notify: &Notify) -> Vec<Command> {
    let (own, with_any) = match notice.what {
        Happening::Master => (&notify.master, true),
        Happening::Backup => (&notify.backup, true),
        Happening::Fault => (&notify.fault, true),
        Happening::Stop => (&notify.stop, true),
        Happening::Deleted if notify.deleted.is_some() => (&notify.deleted, true),
        Happening::Deleted => (&notify.fault, true),
        Happening::LowerPriority => (&notify.lower_priority, false),
        Happening::Priority(_) | Happening::Still(_) => (&None, false),
    };
    let any = notify.any.as_ref().filter(|_| with_any).map(|any| with_arguments(any, notice, notify));
    own.iter().cloned().chain(any).collect()
}

/// `notify`: `INSTANCE VI_1 MASTER 150` behind its own arguments.
fn with_arguments(any: &Command, notice: &Notice, notify: &Notify) -> Command {
    Command { argv: any.argv.iter().cloned().chain(arguments(notice, notify)).collect(), user: any.user }
}

/// What it is, its name, its state, its priority; a group has none.
fn arguments(notice: &Notice, notify: &Notify) -> [String; 4] {
    let (what, name, priority) = match &notice.of {
        Subject::Instance(name) => ("INSTANCE", name, notice.priority),
        Subject::Group(name) => ("GROUP", name, 0),
    };
    [what.to_owned(), name.clone(), word(notice.what, notify), priority.to_string()]
}

/// The line for pipes.
pub(super) fn line(notice: &Notice, notify: &Notify) -> String {
    let [what, name, state, priority] = arguments(notice, notify);
    format!("{what} \"{name}\" {state} {priority}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str) -> Option<Command> {
        Some(Command { argv: vec![format!("/{name}"), "own".to_owned()], user: None })
    }

    fn told(what: Happening, notify: &Notify) -> String {
        let notice = Notice { of: Subject::Instance("VI_1".to_owned()), what, priority: 150 };
        let programs = programs(&notice, notify).into_iter().map(|command| command.argv.join(" "));
        format!("{} | {}", programs.collect::<Vec<_>>().join(", "), line(&notice, notify).trim_end())
    }

    #[test]
    fn each_happening_has_keepaliveds_programs_arguments_and_line() {
        let all = Notify {
            master: command("master"),
            backup: command("backup"),
            fault: command("fault"),
            stop: command("stop"),
            deleted: None,
            any: command("any"),
            lower_priority: command("lower"),
        };
        let mut lines: Vec<String> = [
            Happening::Master,
            Happening::Backup,
            Happening::Fault,
            Happening::Stop,
            Happening::Deleted,
            Happening::LowerPriority,
            Happening::Priority(State::Master),
            Happening::Priority(State::Backup),
            Happening::Still(State::Fault),
        ]
        .map(|what| told(what, &all))
        .to_vec();
        lines.push(told(Happening::Deleted, &Notify { deleted: command("deleted"), ..all }));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        /master own, /any own INSTANCE VI_1 MASTER 150 | INSTANCE "VI_1" MASTER 150
        /backup own, /any own INSTANCE VI_1 BACKUP 150 | INSTANCE "VI_1" BACKUP 150
        /fault own, /any own INSTANCE VI_1 FAULT 150 | INSTANCE "VI_1" FAULT 150
        /stop own, /any own INSTANCE VI_1 STOP 150 | INSTANCE "VI_1" STOP 150
        /fault own, /any own INSTANCE VI_1 FAULT 150 | INSTANCE "VI_1" FAULT 150
        /lower own | INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150
         | INSTANCE "VI_1" MASTER_PRIORITY 150
         | INSTANCE "VI_1" BACKUP_PRIORITY 150
         | INSTANCE "VI_1" FAULT 150
        /deleted own, /any own INSTANCE VI_1 DELETED 150 | INSTANCE "VI_1" DELETED 150
        "#);
    }

    #[test]
    fn a_group_has_no_priority() {
        let notice = Notice { of: Subject::Group("G".to_owned()), what: Happening::Master, priority: 7 };
        let notify = Notify { any: command("any"), ..Notify::default() };
        assert_eq!(line(&notice, &notify), "GROUP \"G\" MASTER 0\n");
        assert_eq!(programs(&notice, &notify)[0].argv[2..], ["GROUP", "G", "MASTER", "0"]);
    }
}
