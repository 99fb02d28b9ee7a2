//! A real nginx whose conf.d is the replica: what is saved on the primary is what it answers.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::node::wait_until;
use support::pair::{EQUAL_WITHIN, TestPair, free_port};
use support::skip;

/// An nginx in the foreground.
struct Nginx {
    program: PathBuf,
    conf: PathBuf,
    child: Child,
}

impl Nginx {
    fn start(dir: &Path, conf_d: &Path) -> Self {
        let program = skip::find_program("nginx").unwrap();
        let conf = dir.join("nginx.conf");
        let (dir, conf_d) = (dir.display(), conf_d.display());
        let text = format!(
            "daemon off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log;\nevents {{}}\n\
             http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  \
             fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
             include {conf_d}/*.conf;\n}}\n"
        );
        fs::write(&conf, text).unwrap();
        let child = Command::new(&program).arg("-c").arg(&conf).stdin(Stdio::null()).spawn().unwrap();
        Self { program, conf, child }
    }

    fn reload(&self) {
        let output = Command::new(&self.program).args(["-s", "reload", "-c"]).arg(&self.conf).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM to the master ends its workers too, which SIGKILL would not.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// What is answered on the port; none when nobody listens.
fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn wait_answer(port: u16, wanted: Option<&str>) {
    let answered = wait_until(EQUAL_WITHIN, || get(port).as_deref() == wanted);
    assert!(answered, "the answer is {:?}, not {wanted:?}", get(port));
}

#[test]
fn a_server_block_saved_on_the_primary_answers_on_the_replica() {
    if !skip::have("a_server_block_saved_on_the_primary_answers_on_the_replica", "nginx") {
        return;
    }
    let pair = TestPair::start();
    let (conf_d, replica) = (pair.src().join("conf.d"), pair.dst().join("conf.d"));
    fs::create_dir(&conf_d).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    let port = free_port(1);
    let nginx = Nginx::start(pair.dir.path(), &replica);
    let pid_file = pair.dir.path().join("nginx.pid");
    let number = || fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok();
    assert!(wait_until(EQUAL_WITHIN, || number().is_some()), "nginx did not start");
    assert_eq!(get(port), None);

    let block = |word: &str| format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 {word}; }} }}\n");
    fs::write(conf_d.join("site.conf"), block("one")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    nginx.reload();
    wait_answer(port, Some("one"));

    // As editors save: a new file renamed over the old one.
    fs::write(conf_d.join(".site.conf.swp"), block("two")).unwrap();
    fs::rename(conf_d.join(".site.conf.swp"), conf_d.join("site.conf")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    nginx.reload();
    wait_answer(port, Some("two"));

    fs::remove_file(conf_d.join("site.conf")).unwrap();
    pair.wait_equal(EQUAL_WITHIN);
    nginx.reload();
    wait_answer(port, None);
}
