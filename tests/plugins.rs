//! sersync2's plugins, as its files switch them on: a real program, a real socket, a real HTTP listener.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Pid;
use support::node::{Node, binary, has_ended, wait_until};
use support::pair::{Builder, EQUAL_WITHIN, TestPair};
use support::program;

/// Names that would do something in a shell, or to a line.
const HOSTILE: [&str; 6] =
    ["a b", "it's \"so\"", "`touch INJECTED`", "$(touch INJECTED)", "line\nbreak", "a;touch INJECTED"];

/// A pair whose `<plugin>` inside `<sersync>` is switched on, with this block below it.
fn with_plugin(name: &'static str, block: String) -> Builder {
    TestPair::builder().edit_xml(move |xml| switched_on(&xml, name, &block))
}

fn switched_on(xml: &str, name: &str, block: &str) -> String {
    let off = "<plugin start=\"false\" name=\"command\"/>";
    assert!(xml.contains(off));
    xml.replace(off, &format!("<plugin start=\"true\" name=\"{name}\"/>"))
        .replace("</head>", &format!("{block}\n</head>"))
}

/// What comes in on each connection to a listener, up to its end or to the end of an HTTP head.
fn listener(answer: &'static str) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    let (say, said) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            while answer.is_empty() || !bytes.ends_with(b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => bytes.extend_from_slice(&part[..len]),
                }
            }
            // It may have heard enough.
            let _ = stream.write_all(answer.as_bytes());
            if say.send(bytes).is_err() {
                break;
            }
        }
    });
    (address, said)
}

fn next(said: &Receiver<Vec<u8>>, node: &Node) -> Vec<u8> {
    said.recv_timeout(EQUAL_WITHIN).unwrap_or_else(|e| panic!("{e}\n{}", node.log()))
}

/// A script that appends each of its arguments, NUL behind it, to a file; and that file.
fn recorder(dir: &Path, more: &str) -> (PathBuf, PathBuf) {
    let (script, record) = (dir.join("record it.sh"), dir.join("record"));
    let lines = format!("printf '%s\\0' \"$@\" '' >> '{}'\n{more}", record.display());
    program::script(&script, &lines);
    (script, record)
}

/// The calls that were recorded: of each its arguments.
fn calls(record: &Path) -> Vec<Vec<Vec<u8>>> {
    let text = fs::read(record).unwrap_or_default();
    let mut calls = vec![Vec::new()];
    for word in text.split(|b| *b == 0) {
        match word {
            [] => calls.push(Vec::new()),
            word => calls.last_mut().expect("one").push(word.to_vec()),
        }
    }
    calls.retain(|call| !call.is_empty());
    calls
}

fn wait_call(record: &Path, expected: &[&OsStr], node: &Node) {
    let expected: Vec<Vec<u8>> = expected.iter().map(|word| word.as_bytes().to_vec()).collect();
    let there = wait_until(EQUAL_WITHIN, || calls(record).contains(&expected));
    let as_text =
        |words: Vec<Vec<u8>>| words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>();
    let all: Vec<_> = calls(record).into_iter().map(as_text).collect();
    assert!(there, "{:?} is not in {all:?}\n{}", as_text(expected), node.log());
}

#[test]
fn a_command_gets_each_path_as_one_argument_once_it_was_mirrored() {
    let temp = tempfile::tempdir().expect("tempdir");
    let (script, record) = recorder(temp.path(), "");
    let block = format!(
        "<plugin name=\"command\"><param prefix=\"/bin/sh '{}' -v\" suffix='\"the end\"' ignoreError=\"true\"/>\
         <filter start=\"false\"/></plugin>",
        script.display()
    );
    let pair = with_plugin("command", block).start();
    for name in HOSTILE {
        let path = pair.src().join(name);
        fs::write(&path, "x").expect("write");
        wait_call(&record, &["-v".as_ref(), path.as_os_str(), "the end".as_ref()], &pair.source);
        assert!(pair.dst().join(name).exists(), "{name} was told before it was there");
    }
    assert!(!pair.src().join("INJECTED").exists() && !Path::new("INJECTED").exists());
    // A removal is told too.
    let before = calls(&record).len();
    fs::remove_file(pair.src().join("a b")).expect("remove");
    assert!(wait_until(EQUAL_WITHIN, || calls(&record).len() == before + 1), "{}", pair.source.log());
    assert!(!pair.dst().join("a b").exists());
}

#[test]
fn a_command_is_run_for_what_its_include_names_alone() {
    let temp = tempfile::tempdir().expect("tempdir");
    let (script, record) = recorder(temp.path(), "exit 3");
    let block = format!(
        "<plugin name=\"command\"><param prefix=\"'{}'\" suffix=\"\" ignoreError=\"true\"/><filter start=\"true\">\
         <include expression=\"(.*)\\.php\"/><include expression=\"(.*)/deep/(.*)\"/></filter></plugin>",
        script.display()
    );
    let pair = with_plugin("command", block).start();
    fs::create_dir(pair.src().join("deep")).expect("mkdir");
    for name in ["a.html", "a.php.bak", "a.php", "deep/b"] {
        fs::write(pair.src().join(name), "x").expect("write");
    }
    for name in ["a.php", "deep/b"] {
        wait_call(&record, &[pair.src().join(name).as_os_str()], &pair.source);
    }
    assert_eq!(calls(&record).len(), 2);
    // What fails is counted and told, and the mirror goes on.
    pair.wait_equal(EQUAL_WITHIN);
    pair.source.wait_status(EQUAL_WITHIN, "two failures", |s| s["counters"]["plugin_failures"] == 2);
    assert!(pair.source.log().contains("plugin command: "));
}

#[test]
fn a_plugin_is_run_although_a_target_is_out_of_reach() {
    let (address, said) = listener("");
    let block = format!(
        "<plugin name=\"socket\"><localpath><deshost ip=\"{}\" port=\"{}\"/></localpath></plugin>",
        address.ip(),
        address.port()
    );
    let mut pair = with_plugin("socket", block).peers(2).build();
    pair.peers[0].node.start();
    pair.source.start();
    pair.source.wait_status(EQUAL_WITHIN, "one connected", |s| {
        let targets = &s["sets"][0]["targets"];
        targets[0]["connected"] == true && targets[1]["last_error"].is_object()
    });
    fs::write(pair.src().join("f"), "x").expect("write");
    assert_eq!(next(&said, &pair.source), pair.src().join("f").into_os_string().into_vec());
    assert!(pair.dst().join("f").exists());
}

#[test]
fn a_socket_gets_the_bytes_of_the_path_and_its_own_directory_is_watched_beside_the_mirror() {
    let (address, said) = listener("");
    let own = tempfile::tempdir().expect("tempdir");
    let block = format!(
        "<plugin name=\"socket\"><localpath watch=\"{}/\"><deshost ip=\"{}\" port=\"{}\"/></localpath></plugin>",
        own.path().display(),
        address.ip(),
        address.port()
    );
    let pair = with_plugin("socket", block).start();
    fs::write(pair.src().join("mirrored"), "x").expect("write");
    pair.wait_equal(EQUAL_WITHIN);
    for name in HOSTILE {
        let path = own.path().join(name);
        fs::write(&path, "x").expect("write");
        assert_eq!(next(&said, &pair.source), path.into_os_string().into_vec());
    }
    fs::write(own.path().join(OsStr::from_bytes(b"\xff\xfe")), "x").expect("write");
    assert!(next(&said, &pair.source).ends_with(b"/\xff\xfe"));
    pair.wait_equal(EQUAL_WITHIN);
    assert!(pair.source.log().contains("sersync2 mirrored the plugin's directory"));
}

#[test]
fn a_cache_is_asked_by_the_request_of_sersync2() {
    let (address, said) = listener("HTTP/1.0 200 OK\r\nwhatsup: content=\"succeed\"\r\n\r\n");
    let cdn = |rewrite: bool| {
        format!(
            "<plugin name=\"refreshCDN\"><localpath><cdninfo domainname=\"localhost\" port=\"{}\" username=\"u\" \
             passwd=\"secret\"/><sendurl base=\"http://pic.example/cms\"/>\
             <regexurl regex=\"{rewrite}\" match=\"data/([a-z]*)/images\"/></localpath></plugin>",
            address.port()
        )
    };
    let head =
        |rest: &str| format!("HEAD /index.jsp?user=u&pswd=secret&ok=ok&{rest} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let pair = with_plugin("refreshCDN", cdn(false)).start();
    let heard = || String::from_utf8(next(&said, &pair.source)).expect("text");
    fs::create_dir(pair.src().join("d")).expect("mkdir");
    assert_eq!(heard(), head("dirs=http://pic.example/cms/d/"));
    fs::write(pair.src().join("d/日 志&x.jpg"), "x").expect("write");
    assert_eq!(heard(), head("urls=http://pic.example/cms/d/日%20志%26x.jpg"));
    assert!(!pair.source.log().contains("secret"));
    drop(pair);

    let pair = with_plugin("refreshCDN", cdn(true)).start();
    fs::create_dir_all(pair.src().join("shop/images")).expect("mkdir");
    pair.wait_equal(EQUAL_WITHIN);
    fs::write(pair.src().join("left-out.png"), "x").expect("write");
    fs::write(pair.src().join("shop/images/1.png"), "x").expect("write");
    let expected = head("urls=http://pic.example/cmsshop/1.png");
    let mut all = Vec::new();
    let there = wait_until(EQUAL_WITHIN, || {
        all.extend(said.try_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        all.contains(&expected)
    });
    assert!(there && !all.iter().any(|request| request.contains("left-out")), "{all:?}");
}

#[test]
fn a_command_that_hangs_is_killed_with_what_it_started() {
    let temp = tempfile::tempdir().expect("tempdir");
    let pid_file = temp.path().join("pid");
    let (script, record) = recorder(temp.path(), &format!("sleep 1000 & echo $! > '{}'; wait", pid_file.display()));
    let watched = temp.path().join("watched");
    fs::create_dir(&watched).expect("mkdir");
    let toml = format!(
        "[[plugin]]\nname = \"hook\"\nkind = \"command\"\npath = \"{}\"\ncommand = [\"{}\"]\ntimeout = \"3s\"\nat-once = 1\n",
        watched.display(),
        script.display()
    );
    fs::write(temp.path().join("syncd.toml"), toml).expect("write");
    let config = temp.path().join("syncd.toml").into_os_string();
    let mut node = Node::new("hook", temp.path(), ["--config".into(), config, "-m".into(), "hook".into()]);
    node.start();
    for name in ["one", "two"] {
        fs::write(watched.join(name), "x").expect("write");
        wait_call(&record, &[watched.join(name).as_os_str()], &node);
        let pid = || fs::read_to_string(&pid_file).ok()?.trim().parse().ok().and_then(Pid::from_raw);
        let gone = wait_until(EQUAL_WITHIN, || pid().is_some_and(has_ended));
        assert!(gone, "{}", node.log());
        // The next one is waited for by its own number.
        fs::remove_file(&pid_file).expect("remove");
    }
    node.wait_log(0, "and was killed", Duration::from_secs(10));
    node.stop();
}

#[test]
fn a_plugin_runs_alone_and_without_rsync() {
    let (address, said) = listener("");
    let pair = TestPair::builder()
        .edit_xml(move |xml| {
            let block = format!(
                "<plugin name=\"socket\"><localpath><deshost ip=\"{}\" port=\"{}\"/></localpath></plugin></head>",
                address.ip(),
                address.port()
            );
            xml.replace("</head>", &block)
        })
        .source_arg("-m")
        .source_arg("socket")
        .build();
    let mut pair = pair;
    pair.source.start();
    fs::write(pair.src().join("f"), "x").expect("write");
    assert_eq!(next(&said, &pair.source), pair.src().join("f").into_os_string().into_vec());
    assert_eq!(pair.source.status()["sets"][0]["targets"], serde_json::json!([]));
}

#[test]
fn a_plugin_that_cannot_be_used_is_refused_with_its_line() {
    let said = |name: &'static str, block: &str| {
        let pair = with_plugin(name, block.to_owned()).build();
        let config = pair.dir.path().join("confxml.xml");
        let output = std::process::Command::new(binary()).arg("check").arg(config).output().expect("check");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .replace(&*pair.dir.path().to_string_lossy(), "DIR")
    };
    let missing = said(
        "refreshCDN",
        "<plugin name=\"refreshCDN\">\n <localpath watch=\"/w\">\n  <cdninfo domainname=\"\" port=\"80\"/></localpath></plugin>",
    );
    for what in ["domainname", "username", "passwd", "base"] {
        assert!(missing.contains(what), "{missing}");
    }
    assert!(missing.contains(":34:2: error"), "{missing}");
    assert!(said("http", "").contains("has not had it since 2.2"));
    assert!(said("sockte", "").contains("did you mean `socket`?"));
    assert!(said("command", "").contains("there is no `<plugin name=\"command\">`"));
    let shell = said("command", "<plugin name=\"command\"><param prefix=\"/x >/tmp/log\"/></plugin>");
    assert!(shell.contains("`>` needs a shell"), "{shell}");
}
