//! What the VRRP process reports, as one line of the log.

use crate::vrrp::message::Report;

/// Logs `report`.
pub(super) fn log(report: &Report) {
    match report {
        Report::Warning { .. } => tracing::warn!("{}", line(report)),
        Report::Transition { .. } | Report::Note { .. } => tracing::info!("{}", line(report)),
    }
}

/// The line.
fn line(report: &Report) -> String {
    match report {
        Report::Transition { instance, from, to, cause, priority, because } => {
            let because = because.as_ref().map_or(String::new(), |because| format!(": {because}"));
            format!("{instance}: {from} -> {to} ({cause}{because}), priority {priority}")
        }
        Report::Warning { instance, message } if instance.is_empty() => format!("VRRP: {message}"),
        Report::Warning { instance, message } | Report::Note { instance: Some(instance), message } => {
            format!("{instance}: {message}")
        }
        Report::Note { instance: None, message } => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::router::{Cause, State};

    #[test]
    fn a_transition_is_one_line_with_its_cause() {
        let transition = |from, to, cause, because: Option<&str>| {
            let (instance, because) = ("VI_1".to_owned(), because.map(str::to_owned));
            line(&Report::Transition { instance, from, to, cause, priority: 150, because })
        };
        let by = std::net::Ipv4Addr::new(10, 0, 0, 2).into();
        let warning = "VRID 51 is also used by 10.0.0.7".to_owned();
        let lines = [
            transition(State::Backup, State::Master, Cause::MasterSilent { master: Some(by) }, None),
            transition(State::Master, State::Backup, Cause::Outranked { by, priority: 200 }, None),
            transition(State::Backup, State::Fault, Cause::Failed, Some("interface eth0 is down")),
            line(&Report::Warning { instance: "VI_2".to_owned(), message: warning }),
            line(&Report::Note { instance: None, message: "no real-time priority".to_owned() }),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        VI_1: BACKUP -> MASTER (the master 10.0.0.2 is silent), priority 150
        VI_1: MASTER -> BACKUP (10.0.0.2 is master with priority 200), priority 150
        VI_1: BACKUP -> FAULT (it cannot be master: interface eth0 is down), priority 150
        VI_2: VRID 51 is also used by 10.0.0.7
        no real-time priority
        ");
    }
}
