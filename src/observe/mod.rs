//! What people see: log lines, progress, counters, the legacy failure log.
//!
//! The engine reports into a [`Monitor`]; nothing but the log and a display ever prints.

mod console;
mod fail_log;
mod later;
mod log;
mod log_file;
mod monitor;
mod problems;
mod progress;

pub use console::{Console, Display};
pub use fail_log::{FailLog, Failure};
pub use log::{in_detail as log_in_detail, init as init_log};
pub use monitor::{Counter, Monitor};
pub use problems::Problem;
pub use progress::{Progress, Task, Unit};
