//! The node's own faults, found before anything starts and without changing anything.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use syncd_compat::{Finding, Findings, Severity};

use super::{Config, ConfigError, Reach, ReplicaAuth, ReplicaSet, SourceAuth, SourceSet, Target, Transport};

/// The codes of what is wanted only once something has happened.
const LATER: [&str; 2] = ["fail-log", "xfer-exec"];

/// What means something to a shell: a word with any of it names no program by itself.
const SHELL: [char; 22] =
    ['$', '`', '"', '\'', '\\', '(', ')', '{', '}', '[', ']', ';', '&', '|', '<', '>', '*', '?', '~', '#', '!', '='];

/// Words that a shell runs without a program.
const BUILTIN: [&str; 17] = [
    ".", ":", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "set", "trap", "ulimit", "umask",
    "until", "while",
];

/// Read or write for others: rsync's rule for files that hold a password.
const OTHERS: u32 = 0o006;

/// Whether what `config` names is there and usable: watched directories, module paths, password and
/// secrets files; and whether its sets have names of their own and somewhere to go. What can be made
/// good while syncd runs, as the directory of the failure log, is a warning.
///
/// # Errors
/// Everything that is wrong, each with what to do.
pub fn check_local(config: &Config) -> Result<Vec<Finding>, ConfigError> {
    let mut findings = Findings::default();
    findings.extend(faults(config).into_iter().map(|(_, finding)| finding));
    ConfigError::unless_usable(findings, &config.file)
}

/// What is wrong, each with the path that it is about.
pub(super) fn faults(config: &Config) -> Vec<(PathBuf, Finding)> {
    let is_root = rustix::process::geteuid().is_root();
    let mut faults = Vec::new();
    let mut say = |path: &Path, fault: Option<Fault>| {
        if let Some((code, message, help)) = fault {
            let known = faults.iter().any(|(_, finding): &(PathBuf, Finding)| finding.message == message);
            if !known {
                let severity = if LATER.contains(&code) { Severity::Warning } else { Severity::Error };
                let finding = Finding { severity, ..Finding::of_file(&config.file, code, message) };
                faults.push((path.to_owned(), finding.help(help)));
            }
        }
    };
    for set in &config.sources {
        say(&set.path, directory(&set.path, "watched"));
        say(&set.path, targets(set));
        for target in &set.targets {
            say(&config.file, carrier(target, is_installed));
        }
        let by_password = set.targets.iter().filter(|target| target.reach == Reach::Daemon);
        for file in by_password.filter_map(|target| password_file(&target.auth)) {
            say(file, secret(file, "password file", true, is_root));
        }
    }
    for set in &config.replicas {
        say(&set.path, directory(&set.path, "received"));
        if let ReplicaAuth::Password { file, strict, .. } = &set.auth {
            say(file, secret(file, "secrets file", *strict, is_root));
        }
        let exec = &set.xfer_exec;
        for (name, command) in [("pre-xfer exec", &exec.before), ("post-xfer exec", &exec.after)] {
            let program = command.as_deref().and_then(program_of);
            say(Path::new(program.unwrap_or_default()), program.and_then(|program| runs(name, program)));
        }
    }
    if let Some(log) = &config.fail_log {
        say(&log.path, fail_log(&log.path));
    }
    for file in config.vrrp.iter().flat_map(|vrrp| vrrp.passwords.values()) {
        say(file, secret(file, "password file", true, is_root));
    }
    say(&config.file, repeated(config.sources.iter().map(|set| set.name.as_str())));
    say(&config.file, repeated(config.replicas.iter().map(|set| set.name.as_str())));
    faults
}

/// What `set` cannot be served without.
pub(super) fn needed(set: &ReplicaSet) -> impl Iterator<Item = &Path> {
    let secrets = match &set.auth {
        ReplicaAuth::Password { file, .. } => Some(file.as_path()),
        ReplicaAuth::Key => None,
    };
    std::iter::once(set.path.as_path()).chain(secrets)
}

/// Code, message and help.
type Fault = (&'static str, String, String);

fn password_file(auth: &SourceAuth) -> Option<&Path> {
    match auth {
        SourceAuth::Key => None,
        SourceAuth::Password { file, .. } => Some(file),
    }
}

/// The programs that reach `target`. Where `auto` may do without, that there is none is said when
/// it is wanted.
fn carrier(target: &Target, installed: impl Fn(&str) -> bool) -> Option<Fault> {
    let needed: &[(&str, &str)] = match (target.transport, &target.reach) {
        (Transport::Quic | Transport::Auto, _) => &[],
        (Transport::Rsync, Reach::Daemon) => &[("rsync", "rsync")],
        (Transport::Rsync, Reach::Ssh { .. }) => &[("rsync", "rsync"), ("ssh", "openssh-client")],
    };
    let (program, package) = needed.iter().find(|(program, _)| !installed(program))?;
    let message =
        format!("the program `{program}`, which is to carry changes to `{}`, is not installed here", target.host);
    Some(("program-missing", message, format!("install the package `{package}`")))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn directory(path: &Path, what: &str) -> Option<Fault> {
    let shown = path.display();
    let (problem, help) = match std::fs::read_dir(path) {
        Ok(_) => return None,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            ("is not there".to_owned(), format!("create it: mkdir -p {shown}"))
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotADirectory => {
            ("is no directory".to_owned(), "name a directory".to_owned())
        }
        Err(cause) => (format!("cannot be read: {cause}"), "let the user that runs syncd read it".to_owned()),
    };
    Some(("directory", format!("the {what} directory `{shown}` {problem}"), help))
}

/// The program that a line for a shell begins with, where that can be told without one.
pub(super) fn program_of(line: &str) -> Option<&str> {
    let word = line.split_whitespace().next()?;
    (!word.contains(SHELL) && !BUILTIN.contains(&word)).then_some(word)
}

/// Whether `program`, which `name` is to run, can be.
fn runs(name: &str, program: &str) -> Option<Fault> {
    let (problem, help) = if program.contains('/') {
        match std::fs::metadata(program) {
            Ok(meta) if !meta.is_file() => ("is no file".to_owned(), "name a program".to_owned()),
            Ok(meta) if meta.mode() & 0o111 == 0 => {
                ("is not executable".to_owned(), format!("run: chmod +x {program}"))
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                ("is not there".to_owned(), "install it, or remove the line".to_owned())
            }
            // What cannot be looked at may still run as another user.
            _ => return None,
        }
    } else if is_installed(program) {
        return None;
    } else {
        ("is not installed here".to_owned(), "install it, or write its whole path".to_owned())
    };
    let effect = if name.starts_with("pre") { "no change goes live" } else { "nothing follows a change" };
    Some(("xfer-exec", format!("`{program}`, which `{name}` runs, {problem}: {effect}"), help))
}

/// Whether a line could be written there.
fn fail_log(path: &Path) -> Option<Fault> {
    let (problem, help) = match path.parent() {
        _ if path.is_dir() => (format!("`{}` is a directory", path.display()), "name a file".to_owned()),
        Some(dir) if !dir.as_os_str().is_empty() && !dir.is_dir() => {
            let dir = dir.display();
            (format!("there is no directory `{dir}`"), format!("create it: mkdir -p {dir}"))
        }
        _ => return None,
    };
    Some(("fail-log", format!("no failure can be written into the log: {problem}"), help))
}

fn targets(set: &SourceSet) -> Option<Fault> {
    let message = || format!("there are no remote servers for the set `{}`", set.name);
    (set.targets.is_empty() && set.plugins.is_empty())
        .then(|| ("no-remotes", message(), "name at least one".to_owned()))
}

/// Checks a file that holds passwords by rsync's rules.
fn secret(path: &Path, what: &str, strict: bool, is_root: bool) -> Option<Fault> {
    let shown = path.display();
    let fault = |problem: String, help: String| Some(("secret", format!("the {what} `{shown}` {problem}"), help));
    let mut start = [0; 1];
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        // Opening a pipe would wait for its other end.
        return fault("is no file".to_owned(), "name a file".to_owned());
    }
    let opened = File::open(path).and_then(|mut file| Ok((file.metadata()?, file.read(&mut start)?)));
    let (meta, len) = match opened {
        Ok(opened) => opened,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return fault("is not there".to_owned(), format!("create it, and run: chmod 600 {shown}"));
        }
        Err(cause) => {
            return fault(format!("cannot be read: {cause}"), "let the user that runs syncd read it".to_owned());
        }
    };
    if strict && meta.mode() & OTHERS != 0 {
        return fault("can be read or written by others".to_owned(), format!("run: chmod 600 {shown}"));
    }
    if strict && is_root && meta.uid() != 0 {
        return fault("must belong to root when root runs syncd".to_owned(), format!("run: chown root {shown}"));
    }
    if len == 0 {
        return fault("is empty".to_owned(), "write the password into it".to_owned());
    }
    None
}

fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<Fault> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Some(("set-name", format!("there are two sets called `{name}`"), "rename one of them".to_owned()));
        }
        seen.push(name);
    }
    None
}
