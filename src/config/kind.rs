//! Which kind of configuration a file is.

use syncd_compat::SourceText;

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
    let native = ["[[set]]", "[[peer]]", "[[plugin]]", "[[vrrp", "[vrrp-global]", "[node]", "[tuning]"];
    if said().any(|line| native.iter().any(|table| line.starts_with(table))) {
        return Some(Kind::Native);
    }
    if said().any(|line| line.starts_with("vrrp_") || line.starts_with("global_defs")) {
        return Some(Kind::Keepalived);
    }
    said().any(|line| line.starts_with('[') || line.contains('=')).then_some(Kind::Rsyncd)
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
            ("a", "\n# nothing\n", None),
            ("a", "hello", None),
        ];
        for (name, text, kind) in cases {
            assert_eq!(of(&SourceText::decode(name, text.as_bytes())), kind, "{text}");
        }
    }
}
