//! `listen` on an address that moves: on the node that does not hold it, `nginx -t` fails.

use std::net::IpAddr;

use syncd_compat::{Findings, SourceText, Span};

use super::facts::Facts;
use super::given::Given;
use super::router::Router;

pub(super) fn check(given: &Given, facts: &Facts, findings: &mut Findings) {
    let routers = given.nodes.iter().flat_map(|node| &node.routers);
    let vips: Vec<IpAddr> = routers.flat_map(Router::moving).map(|address| address.value).collect();
    for file in &facts.nginx {
        for (ip, span) in listens(file).into_iter().filter(|(ip, _)| vips.contains(ip)) {
            let (bind, family) = match ip {
                IpAddr::V4(_) => (facts.nonlocal_bind[0], "ipv4"),
                IpAddr::V6(_) => (facts.nonlocal_bind[1], "ipv6"),
            };
            if bind == Some(false) {
                let message = format!(
                    "nginx listens on the virtual address {ip}, and net.{family}.ip_nonlocal_bind is 0: \
                     `nginx -t` fails on the node that does not hold it"
                );
                let help = format!("run: sysctl -w net.{family}.ip_nonlocal_bind=1 (and keep it in /etc/sysctl.d)");
                findings.push(file.warning("nginx-nonlocal-bind", span, message).help(help));
            }
        }
    }
}

/// The addresses behind `listen` directives; anything that is not quite nginx is passed over.
fn listens(file: &SourceText) -> Vec<(IpAddr, Span)> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in file.text().split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or("");
        for (at, _) in code.match_indices("listen") {
            let (before, after) = code.split_at(at);
            let begins = before.trim_end().is_empty() || before.trim_end().ends_with(['{', ';', '}']);
            let Some(rest) = after.strip_prefix("listen").filter(|rest| begins && rest.starts_with([' ', '\t'])) else {
                continue;
            };
            let word = rest.trim_start().split([';', ' ', '\t', '\r', '\n']).next().unwrap_or("");
            if let Some(ip) = address(word) {
                let from = start + at + "listen".len() + (rest.len() - rest.trim_start().len());
                found.push((ip, Span::new(from, from + word.len())));
            }
        }
        start += line.len();
    }
    found
}

/// `10.0.0.1`, `10.0.0.1:80`, `[fe80::1]:80`.
fn address(word: &str) -> Option<IpAddr> {
    if let Some((inner, _)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inner.parse().ok();
    }
    word.split(':').next().and_then(|ip| ip.parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        listens(&SourceText::decode("n.conf", text.as_bytes())).iter().map(|(ip, _)| ip.to_string()).collect()
    }

    #[test]
    fn listen_is_found_wherever_a_directive_may_stand() {
        let text = "server { listen 10.0.0.9:80; listen [fe80::1]:443 ssl;\n # listen 1.1.1.1;\n\tlisten\t10.0.0.8;\n\
            listen 80; server_name listen.example; listening 10.0.0.7; }";
        assert_eq!(found(text), ["10.0.0.9", "fe80::1", "10.0.0.8"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ listen{};\\[\\]0-9.:é\n#]{0,60}") {
            let _ = found(&text);
        }
    }
}
