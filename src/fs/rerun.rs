//! Runs one test of this program again where other privileges or limits hold.

use std::process::Command;

const AGAIN: &str = "SYNCD_TEST_AGAIN";

/// Runs `test` again as a user for whom permissions count; whether this is such a run.
pub(crate) fn without_privileges(test: &str) -> bool {
    // Root without a capability is a user like others.
    !rustix::process::geteuid().is_root() || again(test, "setpriv", &["--bounding-set=-all", "--inh-caps=-all", "--"])
}

/// Runs `test` again after `script` in user and mount namespaces of its own; whether this is that
/// run.
pub(crate) fn in_namespace(test: &str, script: &str) -> bool {
    let script = format!("{script} && exec \"$0\" \"$@\"");
    again(test, "unshare", &["-Urm", "sh", "-c", &script])
}

fn again(test: &str, program: &str, args: &[&str]) -> bool {
    if std::env::var_os(AGAIN).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("own program");
    let mut command = Command::new(program);
    command.args(args).arg(own).args(["--exact", test]).env(AGAIN, "1");
    let output = command.output().expect(program);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "there is no test {test}");
    false
}
