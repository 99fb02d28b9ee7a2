//! What a setup of `syncd.toml` names on this machine: passwords read, programs looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syncd_certs::secrets::read_password_file;
use syncd_compat::{Finding, Severity};

use super::program;
use crate::config::Vrrp;
use crate::vrrp::packet::Auth;
use crate::vrrp::setup::{Command, Notify, Setup};

/// How many bytes of a password are sent.
const PASSWORD: usize = 8;

/// Puts the passwords into the instances that have one. Findings are errors, each with its file.
pub(in crate::config) fn passwords(vrrp: &mut Vrrp, config: &Path) -> Vec<(PathBuf, Finding)> {
    let mut faults = Vec::new();
    for instance in &mut vrrp.setup.instances {
        let Some(file) = vrrp.passwords.get(&instance.name) else { continue };
        match read_password_file(file) {
            Ok(password) => {
                let mut bytes = [0; PASSWORD];
                bytes.iter_mut().zip(password.iter()).for_each(|(to, from)| *to = *from);
                instance.auth = Auth::Pass(bytes);
            }
            Err(why) => {
                let message = format!("the password of the instance `{}`: {why}", instance.name);
                let help = format!("write it into {}, mode 0600", file.display());
                faults.push((file.clone(), Finding::of_file(config, "secret", message).help(help)));
            }
        }
    }
    faults
}

/// Takes out what cannot be run, and what root would run although others can change it.
pub(in crate::config) fn withhold(setup: &mut Setup, config: &Path) -> Vec<Finding> {
    // A native file needs no word for it.
    setup.script_security = true;
    let mut findings = Vec::new();
    let mut say = |code, message: String, help: &str| {
        let finding = Finding { severity: Severity::Warning, ..Finding::of_file(config, code, message) };
        findings.push(finding.help(help));
    };
    let mut runs = |command: &Command, tracked: bool| {
        let judgement = program::judge(&command.argv);
        let program = command.argv.first().map_or("", String::as_str);
        if let (Some(why), true) = (judgement.insecure, command.user.is_none_or(|user| user.uid == 0)) {
            let message = format!("{why}: `{program}`, which root would run, is not run");
            say("toml-program", message, "give it and every directory above it to root, or write `user`");
            return false;
        }
        let Some(why) = judgement.unusable else { return true };
        let without = if tracked { "nothing is tracked by it" } else { "nobody is told by it" };
        say("toml-program", format!("{why}: {without}"), "put it there, executable, and reload");
        false
    };
    setup.scripts.retain(|script| runs(&script.command, true));
    let known: BTreeSet<&str> = setup.scripts.iter().map(|script| script.name.as_str()).collect();
    let instances = setup.instances.iter_mut().map(|instance| (&mut instance.track, &mut instance.notify));
    let groups = setup.groups.iter_mut().map(|group| (&mut group.track, &mut group.notify));
    for (track, notify) in instances.chain(groups) {
        track.scripts.retain(|track| known.contains(track.name.as_str()));
        let Notify { master, backup, fault, stop, deleted, any, lower_priority } = notify;
        for slot in [master, backup, fault, stop, deleted, any, lower_priority] {
            if slot.as_ref().is_some_and(|command| !runs(command, false)) {
                *slot = None;
            }
        }
    }
    for fifo in &mut setup.fifos {
        if fifo.script.as_ref().is_some_and(|command| !runs(command, false)) {
            fifo.script = None;
        }
    }
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::machine::Machine;
    use crate::config::vrrp::{Host, read};
    use syncd_compat::SourceText;

    fn setup(lines: &str) -> Setup {
        let text = format!(
            "vrrp_script s {{\nscript /no/such/program\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 7\n\
             virtual_ipaddress {{ 10.0.0.1 }}\ntrack_script {{ s }}\n{lines}\n}}\n"
        );
        let source = SourceText::decode("k.conf", text.as_bytes());
        read(&source, &Host::of(Machine::default()), &mut |_, _| Ok(Vec::new())).expect("usable").0
    }

    #[test]
    fn a_password_is_read_from_its_file_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().expect("directory");
        let file = dir.path().join("password");
        std::fs::write(&file, "geheimnis\n").expect("file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let mut vrrp = Vrrp { setup: setup(""), passwords: [("V".to_owned(), file.clone())].into() };
        assert_eq!(passwords(&mut vrrp, Path::new("syncd.toml")), Vec::new());
        assert_eq!(vrrp.setup.instances[0].auth, Auth::Pass(*b"geheimni"));
        std::fs::remove_file(&file).expect("removed");
        let faults = passwords(&mut vrrp, Path::new("syncd.toml"));
        assert!(faults[0].1.summary().contains("the password of the instance `V`"), "{faults:?}");
    }

    #[test]
    fn what_cannot_be_run_is_taken_out_and_said() {
        let mut setup = setup("notify_master /no/such/program\nnotify \"/bin/sh -c true\"");
        let said = withhold(&mut setup, Path::new("syncd.toml"));
        assert_eq!(said.len(), 2, "{said:?}");
        let instance = &setup.instances[0];
        assert!(setup.scripts.is_empty() && instance.track.scripts.is_empty() && instance.notify.master.is_none());
        assert!(instance.notify.any.is_some());
    }
}
