//! `--set KEY=VALUE`: what a legacy file cannot say.

use std::path::Path;
use std::time::Duration;

use syncd_compat::{Finding, nearest};

use super::value::{compression, delete_policy, duration, host, listen, port, switch, transport};
use super::{Coalesce, Config, ConfigError, Reach, SetOptions, Transport};
use crate::filter::Rule;
use crate::model::Attrs;

/// Which side of a set a process is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// The primary: `syncd`.
    Source,
    /// The replica: `syncd peer`.
    Peer,
}

/// One key of `--set`.
#[derive(Debug)]
pub struct Override {
    /// The key.
    pub key: &'static str,
    /// The values that it takes.
    pub values: &'static str,
    /// What it does, for `--help`.
    pub meaning: &'static str,
    side: Option<Side>,
    apply: fn(&mut Config, &str) -> Result<(), String>,
}

const fn key(
    key: &'static str,
    values: &'static str,
    side: Option<Side>,
    meaning: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
) -> Override {
    Override { key, values, meaning, side, apply }
}

const SOURCE: Option<Side> = Some(Side::Source);
const PEER: Option<Side> = Some(Side::Peer);

/// The longest backoff between attempts to reach a peer.
pub(super) const MAX_RETRY_CEILING: Duration = Duration::from_secs(10);

/// All keys.
pub const OVERRIDES: &[Override] = &[
    key("full-compare", "on|off", SOURCE, "compare the whole tree whenever a peer connects", |config, value| {
        options(config, switch(value)?, |options, on| options.full_compare = on)
    }),
    key("scan-interval", "DURATION", SOURCE, "look for changes that inotify(7) cannot see", |config, value| {
        options(config, duration(value)?, |options, interval| options.scan_interval = interval)
    }),
    key("hard-links", "on|off", SOURCE, "keep hard links, as rsync's -H", |config, value| {
        attrs(config, Attrs::HARD_LINKS, switch(value)?)
    }),
    key("xattrs", "on|off", SOURCE, "keep extended attributes and ACLs, as rsync's -X -A", |config, value| {
        attrs(config, Attrs::XATTRS, switch(value)?)
    }),
    key(
        "transport",
        "quic|rsync|auto",
        SOURCE,
        "what carries changes to every remote; rsync travels unencrypted, auto takes it until a syncd answers",
        |config, value| carried_by(config, transport(value)?),
    ),
    key("numeric-ids", "on|off", None, "owners are numbers, not names", |config, value| {
        let on = switch(value)?;
        config.replicas.iter_mut().for_each(|set| set.numeric_ids = on);
        options(config, on, |options, on| options.numeric_ids = on)
    }),
    key("compression", "off|zstd|zstd:LEVEL", SOURCE, "compress what travels, as rsync's -z", |config, value| {
        options(config, compression(value)?, |options, compression| options.compression = compression)
    }),
    key("exclude", "GLOB", SOURCE, "leave these paths alone; may be given several times", |config, value| {
        let rule = Rule::exclude(value);
        rule.check().map_err(|error| error.to_string())?;
        // Before what the file may include.
        config.sources.iter_mut().for_each(|set| set.filter.insert(0, rule.clone()));
        Ok(())
    }),
    key("delete", "guarded|always|never", None, "what happens to what is gone on the primary", |config, value| {
        let policy = delete_policy(value)?;
        config.replicas.iter_mut().for_each(|set| set.delete = policy);
        options(config, policy, |options, policy| options.delete = policy)
    }),
    key("compare.every", "DURATION", SOURCE, "compare the whole tree with every target so often", |config, value| {
        let every = positive(duration(value)?)?;
        config.sources.iter_mut().for_each(|set| set.compare.every = Some(every));
        Ok(())
    }),
    key(
        "compare.exclude",
        "GLOB",
        SOURCE,
        "leave these paths to events; may be given several times",
        |config, value| {
            let rule = Rule::exclude(value);
            rule.check().map_err(|error| error.to_string())?;
            config.sources.iter_mut().for_each(|set| set.compare.exclude.push(rule.clone()));
            Ok(())
        },
    ),
    key("coalesce.quiet", "DURATION", SOURCE, "wait for so long a silence before sending", |config, value| {
        coalesce(config, duration(value)?, |coalesce, time| coalesce.quiet = time)
    }),
    key("coalesce.settle", "DURATION", SOURCE, "a new name travels once it is so old", |config, value| {
        coalesce(config, duration(value)?, |coalesce, time| coalesce.settle = time)
    }),
    key("coalesce.gone", "DURATION", SOURCE, "a removal travels once it is so old", |config, value| {
        coalesce(config, duration(value)?, |coalesce, time| coalesce.gone = time)
    }),
    key(
        "coalesce.open-quiet",
        "DURATION",
        SOURCE,
        "a file that stays open travels after so long a silence",
        |config, value| coalesce(config, duration(value)?, |coalesce, time| coalesce.open_quiet = time),
    ),
    key("coalesce.linger", "DURATION", SOURCE, "how long after a batch the next may come", |config, value| {
        coalesce(config, duration(value)?, |coalesce, time| coalesce.linger = time)
    }),
    key("coalesce.bound", "DURATION", SOURCE, "the longest that anything is held back", |config, value| {
        coalesce(config, duration(value)?, |coalesce, time| coalesce.bound = time)
    }),
    key(
        "retry-ceiling",
        "DURATION",
        SOURCE,
        "the longest wait between attempts to reach a peer, at most 10s",
        |config, value| {
            config.tuning.retry_ceiling = within(duration(value)?, MAX_RETRY_CEILING)?;
            Ok(())
        },
    ),
    key("idle-timeout", "DURATION", None, "how long a peer may be silent before it counts as gone", |config, value| {
        config.tuning.idle_timeout = positive(duration(value)?)?;
        Ok(())
    }),
    key(
        "record-after",
        "DURATION",
        SOURCE,
        "what is unacknowledged for so long is recorded durably",
        |config, value| {
            config.tuning.record_after = duration(value)?;
            Ok(())
        },
    ),
    key("threads", "NUMBER", None, "threads for file work; 0 takes one for each core", |config, value| {
        config.tuning.threads = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        Ok(())
    }),
    key("listen", "ADDRESS[:PORT]", PEER, "listen there, on UDP", |config, value| {
        config.node.listen = Some(listen(value)?);
        Ok(())
    }),
    key(
        "port",
        "PORT",
        None,
        "the port of a peer for which the file names none; on the receiving side its own",
        |config, value| {
            let port = port(value)?;
            config.node.listen.iter_mut().for_each(|listen| listen.set_port(port));
            Ok(())
        },
    ),
    key("privileged", "on|off", PEER, "let set-user-id, set-group-id and devices through", |config, value| {
        let on = switch(value)?;
        config.replicas.iter_mut().for_each(|set| set.privileged = on);
        Ok(())
    }),
    key("node-name", "NAME", None, "the name of this node, for people", |config, value| {
        config.node.name = host(value)?;
        Ok(())
    }),
];

/// The overrides of one command line, each known by its key.
#[derive(Debug)]
pub(super) struct Overrides(Vec<(&'static Override, String)>);

impl Overrides {
    /// Reads `KEY=VALUE` words for one side.
    ///
    /// # Errors
    /// A word without `=`, an unknown key, or one of the other side.
    pub(super) fn parse(words: &[String], side: Side) -> Result<Self, ConfigError> {
        words.iter().map(|word| Ok(parse(word, side)?)).collect::<Result<_, _>>().map(Self)
    }

    /// What `port` says.
    pub(super) fn default_port(&self) -> Option<u16> {
        let port_of = |(known, value): &(&Override, String)| if known.key == "port" { port(value).ok() } else { None };
        self.0.iter().rev().find_map(port_of)
    }

    /// Changes `config` accordingly, in the order of the command line.
    ///
    /// # Errors
    /// A value that its key does not take.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        for (known, value) in &self.0 {
            (known.apply)(config, value).map_err(|why| {
                let message = format!("`{}={value}`: {why}", known.key);
                fault(message).help(format!("write --set {}={}", known.key, known.values))
            })?;
        }
        Ok(())
    }
}

fn parse(word: &str, side: Side) -> Result<(&'static Override, String), Finding> {
    let Some((name, value)) = word.split_once('=') else {
        return Err(fault(format!("`{word}` has no `=`")).help("write --set KEY=VALUE"));
    };
    let Some(known) = OVERRIDES.iter().find(|known| known.key == name.trim()) else {
        let help = match nearest(name, OVERRIDES.iter().map(|known| known.key)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", OVERRIDES.iter().map(|known| known.key).collect::<Vec<_>>().join(", ")),
        };
        return Err(fault(format!("`{name}` is no key")).help(help));
    };
    if known.side.is_some_and(|only| only != side) {
        let other = if side == Side::Source { "`syncd peer`" } else { "the primary's `syncd`" };
        return Err(fault(format!("`{name}` has no meaning on this side")).help(format!("give it to {other}")));
    }
    Ok((known, value.trim().to_owned()))
}

fn fault(message: String) -> Finding {
    Finding::of_file(Path::new("--set"), "override", message)
}

fn options<T: Copy>(config: &mut Config, value: T, set: fn(&mut SetOptions, T)) -> Result<(), String> {
    config.sources.iter_mut().for_each(|source| set(&mut source.options, value));
    Ok(())
}

fn carried_by(config: &mut Config, transport: Transport) -> Result<(), String> {
    for target in config.sources.iter_mut().flat_map(|set| &mut set.targets) {
        match (transport, &target.reach) {
            (Transport::Auto, Reach::Ssh { .. }) => {
                return Err(format!("`{}` is reached by ssh, where QUIC has no module to name", target.host));
            }
            (Transport::Quic, _) => target.reach = Reach::Daemon,
            _ => {}
        }
        target.transport = transport;
    }
    Ok(())
}

fn coalesce(config: &mut Config, time: Duration, set: fn(&mut Coalesce, Duration)) -> Result<(), String> {
    config.sources.iter_mut().for_each(|source| set(&mut source.coalesce, time));
    Ok(())
}

fn attrs(config: &mut Config, which: Attrs, on: bool) -> Result<(), String> {
    for source in &mut config.sources {
        let attrs = source.options.attrs;
        source.options.attrs = if on { attrs.with(which) } else { attrs.without(which) };
    }
    Ok(())
}

/// More than nothing.
pub(super) fn positive(time: Duration) -> Result<Duration, String> {
    if time.is_zero() { Err("it must be more than 0".to_owned()) } else { Ok(time) }
}

/// More than nothing and at most `most`.
pub(super) fn within(time: Duration, most: Duration) -> Result<Duration, String> {
    if time > most { Err(format!("it must be at most {}s", most.as_secs())) } else { positive(time) }
}
