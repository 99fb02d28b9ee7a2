//! Which kind of configuration a file is.

use syncd_compat::SourceText;
use syncd_compat::keepalived::INCLUDES;

/// The kinds that can be told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `syncd.toml`.
    Native,
    /// `confxml.xml` of sersync2.
    ConfXml,
    /// `rsyncd.conf`.
    Rsyncd,
    /// `keepalived.conf`.
    Keepalived,
}

/// The kind of `source`: by its name where that ends in `.toml`, else by its content.
pub(super) fn of(source: &SourceText) -> Option<Kind> {
    if source.file().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        return Some(Kind::Native);
    }
    let text = source.text();
    if text.trim_start().starts_with('<') || text.to_ascii_lowercase().contains("<head") {
        return Some(Kind::ConfXml);
    }
    let said = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';', '!']));
    let has = |tables: &[&str]| said().any(|line| tables.iter().any(|table| line.starts_with(table)));
    // Of the tables that stand once none has a `path`, which each module needs, whatever it is called.
    let single = || has(&["[vrrp-global]", "[node]", "[tuning]"]) && !said().any(is_path);
    if has(&["[[set]]", "[[peer]]", "[[plugin]]", "[[vrrp"]) || single() {
        return Some(Kind::Native);
    }
    if said().any(|line| line.starts_with("vrrp_") || line.starts_with("global_defs")) {
        return Some(Kind::Keepalived);
    }
    if said().any(|line| line.starts_with(['[', '&'])) {
        return Some(Kind::Rsyncd);
    }
    let includes =
        |line: &str| !line.contains('=') && line.split_whitespace().next().is_some_and(|word| INCLUDES.contains(&word));
    if said().any(includes) {
        return Some(Kind::Keepalived);
    }
    said().any(|line| line.contains('=')).then_some(Kind::Rsyncd)
}

fn is_path(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case("path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_unless_the_name_says_toml() {
        let cases = [
            ("a.toml", "<head/>", Some(Kind::Native)),
            ("a", "\u{feff}\n<?xml?><HEAD/>", Some(Kind::ConfXml)),
            ("a.conf", "# c\n[nginx]\npath=/x", Some(Kind::Rsyncd)),
            ("a.conf", "port = 873", Some(Kind::Rsyncd)),
            ("a", "# c\n[node]\nname = 'x'", Some(Kind::Native)),
            ("a", "[[vrrp]]\nname = \"V\"", Some(Kind::Native)),
            ("a", "! c\nvrrp_instance VI_1 {\n}", Some(Kind::Keepalived)),
            ("a.conf", "# c\n&include /etc/rsyncd.d\n", Some(Kind::Rsyncd)),
            ("a.conf", "&merge /etc/rsyncd.d", Some(Kind::Rsyncd)),
            ("a.conf", "include = *.c", Some(Kind::Rsyncd)),
            ("a.conf", "uid = root\n[node]\nPath = /srv/node\n[tuning]\npath = /t", Some(Kind::Rsyncd)),
            ("a", "[node]\nname = 'x'\n[[set]]\npath = '/x'", Some(Kind::Native)),
            ("a.conf", "# c\ninclude /etc/keepalived/conf.d/*.conf\n", Some(Kind::Keepalived)),
            ("a.conf", "$X=1\nincludem a.conf", Some(Kind::Keepalived)),
            ("a", "\n# nothing\n", None),
            ("a", "hello", None),
        ];
        for (name, text, kind) in cases {
            assert_eq!(of(&SourceText::decode(name, text.as_bytes())), kind, "{text}");
        }
    }
}
