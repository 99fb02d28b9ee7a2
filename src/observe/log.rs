//! The log on standard error: one line for each event.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::fs::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Console;

/// What is logged where each event and what is done about it is asked for.
const DETAILED: &str = "debug,quinn=warn,quinn_proto=warn,rustls=warn,mio=warn";

/// Puts another filter in place.
type Reload = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// How the filter of this process is changed, once it logs.
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// What is logged unless the environment says otherwise; the transport's inner life is not ours.
const DEFAULT: &str = "info,quinn=warn,quinn_proto=warn,rustls=warn";

/// Logs to `console` from now on; `SYNCD_LOG`, else `RUST_LOG`, chooses what (such as `debug` or
/// `syncd::watch=trace`). Does nothing when the process logs already.
///
/// Coloured on a terminal only. Under journald, which keeps the time itself, a line has the level
/// as sd-daemon(3) writes it and no time.
pub fn init(console: &Console) {
    let writer = console.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(|name| std::env::var(name).ok()))
        .with_ansi(console.is_terminal())
        .with_writer(move || writer.clone());
    let format = Format::default().with_target(false);
    // Else somebody else logs already: an embedding test, say. Its log is as good.
    let started: Option<Reload> = if under_journald(std::env::var("JOURNAL_STREAM").ok().as_deref(), io::stderr()) {
        let format = Journal(format.without_time().with_level(false));
        let builder = builder.event_format(format).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().ok().map(|()| Box::new(move |filter| drop(handle.reload(filter))) as Reload)
    } else {
        let builder = builder.event_format(format).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().ok().map(|()| Box::new(move |filter| drop(handle.reload(filter))) as Reload)
    };
    if let Some(reload) = started {
        let _ = RELOAD.set(reload);
    }
}

/// Logs each event and what is done about it, or no longer. What the environment asks for stays.
pub fn in_detail(on: bool) {
    if asked(|name| std::env::var(name).ok()).is_some() {
        return;
    }
    if let Some(reload) = RELOAD.get() {
        reload(EnvFilter::new(if on { DETAILED } else { DEFAULT }));
    }
}

/// The filter that the environment asks for; one that does not parse counts as none.
fn filter(var: impl Fn(&str) -> Option<String>) -> EnvFilter {
    asked(var).unwrap_or_else(|| EnvFilter::new(DEFAULT))
}

fn asked(var: impl Fn(&str) -> Option<String>) -> Option<EnvFilter> {
    ["SYNCD_LOG", "RUST_LOG"].into_iter().filter_map(var).find_map(|text| EnvFilter::try_new(text).ok())
}

/// Whether `stderr` is the stream that `JOURNAL_STREAM` names as `device:inode` (systemd.exec(5)).
fn under_journald(stream: Option<&str>, stderr: impl AsFd) -> bool {
    let named = stream.and_then(|s| s.split_once(':')).and_then(|(d, i)| Some((d.parse().ok()?, i.parse().ok()?)));
    let Ok(stat) = fstat(stderr) else {
        return false;
    };
    named == Some((stat.st_dev, stat.st_ino))
}

/// Lines for journald: `<4>message`.
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(ctx, writer, event)
    }
}

/// The level as syslog(3) numbers it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::RelPath;

    #[test]
    fn syncd_log_comes_before_rust_log_and_nonsense_counts_as_none() {
        let env = |syncd: Option<&'static str>, rust: Option<&'static str>| {
            filter(move |name| (if name == "SYNCD_LOG" { syncd } else { rust }).map(str::to_owned)).to_string()
        };
        assert_eq!(env(Some("debug"), Some("trace")), "debug");
        assert_eq!(env(None, Some("trace")), "trace");
        assert_eq!(env(Some("syncd=loud"), Some("trace")), "trace");
        assert!(env(None, None).contains("info"));
    }

    #[test]
    fn only_the_very_stream_is_the_journal() {
        let file = tempfile::tempfile().expect("file");
        let stat = fstat(&file).expect("stat");
        let named = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(under_journald(Some(&named), &file));
        assert!(!under_journald(Some("1:2"), &file));
        assert!(!under_journald(Some("x"), &file));
        assert!(!under_journald(None, &file));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_hostile_name_stays_in_its_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let format = Journal(Format::default().with_target(false).without_time().with_level(false));
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).event_format(format);
        let path = RelPath::parse(b"a\n<0>forged\x1b[2J").expect("valid");
        tracing::subscriber::with_default(subscriber.finish(), || tracing::warn!("{path}: permission denied"));
        let text = String::from_utf8(lines.0.lock().expect("lock").clone()).expect("text");
        assert_eq!(text, "<4>a\\x0a<0>forged\\x1b[2J: permission denied\n");
    }
}
