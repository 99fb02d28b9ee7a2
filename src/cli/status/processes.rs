//! The processes of a node, where there is more than one.

use std::fmt::{self, Write};

use crate::cli::render;
use crate::control::{ProcessStatus, Status};

/// All of them, a line each.
pub(super) fn all(status: &Status, text: &mut String) -> fmt::Result {
    if status.upgrades > 0 {
        let times = render::counted(status.upgrades, "time", "times");
        writeln!(text, "the program was replaced {times} while it ran")?;
    }
    if let Some(fault) = &status.upgrade_fault {
        writeln!(text, "{}", render::plain(fault))?;
    }
    status.processes.iter().try_for_each(|process| writeln!(text, "{}", line(process)))?;
    if let Some(fault) = &status.engine_fault {
        writeln!(text, "REPLICATION: {}", render::plain(fault))?;
    }
    Ok(())
}

fn line(process: &ProcessStatus) -> String {
    let name = render::plain(&process.name);
    let mut line = match process.pid {
        Some(pid) => format!("process {name}: pid {pid}, up {}", render::age(process.up_seconds)),
        None => format!("PROCESS {name} DOES NOT RUN"),
    };
    if process.restarts > 0 {
        line += &format!(", started again {}", render::counted(process.restarts, "time", "times"));
    }
    if let (Some(how), Some(ago)) = (&process.last_end, process.last_end_seconds) {
        line += &format!(", the last one was {}, {} ago", render::plain(how), render::age(ago));
    }
    line
}
