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
        Report::Transition { instance, from, to, cause, priority } => {
            format!("{instance}: {from} -> {to}: {cause}; priority {priority}")
        }
        Report::Warning { instance, message } | Report::Note { instance, message } => format!("{instance}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::router::{Cause, State};

    #[test]
    fn a_transition_is_one_line_with_its_cause() {
        let by = std::net::Ipv4Addr::new(10, 0, 0, 2).into();
        let transition = Report::Transition {
            instance: "VI_1".to_owned(),
            from: State::Master,
            to: State::Backup,
            cause: Cause::Outranked { by, priority: 200 },
            priority: 150,
        };
        let warning = "VRID 51 is also used by 10.0.0.7".to_owned();
        let warning = Report::Warning { instance: "VI_2".to_owned(), message: warning };
        insta::assert_snapshot!(format!("{}\n{}", line(&transition), line(&warning)), @r"
        VI_1: MASTER -> BACKUP: 10.0.0.2 is master with priority 200; priority 150
        VI_2: VRID 51 is also used by 10.0.0.7
        ");
    }
}
