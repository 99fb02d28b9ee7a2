//! Holds the layers of docs/architecture.md to their word: a module uses only what lies above it.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top; a module may use those of its own line and the lines above.
const LAYERS: [&[&str]; 7] = [
    &["model"],
    &["config::model", "filter", "rewrite", "coalesce", "plan", "delta", "wire", "session", "vrrp"],
    &["fs", "apply", "watch", "store", "link", "process", "observe", "plugin", "net"],
    &["engine"],
    &["config", "control"],
    &["supervisor"],
    &["cli"],
];

/// What a pure core must not name: IO, the clock, the scheduler.
const IMPURE: [&str; 9] = [
    "tokio::",
    "quinn::",
    "std::fs",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "rustix::",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("src") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("source");
    let body = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module(path: &Path) -> String {
    let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("below src");
    if relative == Path::new("config/model.rs") {
        return "config::model".to_owned();
    }
    relative
        .components()
        .next()
        .map(|c| c.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
        .unwrap_or_default()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs") || path.ends_with("simulation.rs")
}

#[test]
fn every_module_uses_only_what_lies_above_it() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let name = module(&path);
        let Some(own) = layer(&name).filter(|_| !is_test(&path)) else { continue };
        checked += 1;
        let code = code(&path);
        for (at, _) in code.match_indices("crate::") {
            let used: String = code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // The configuration's nouns stand with the pure cores: everybody sees them.
            let used = if used == "config" && own < 4 { "config::model" } else { used.as_str() };
            if layer(used).is_some_and(|theirs| theirs > own) {
                broken.push(format!("{}: {name} uses {used}", path.display()));
            }
        }
    }
    assert!(checked > 30, "only {checked} files were checked");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_pure_cores_do_no_io() {
    let mut broken = Vec::new();
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        if layer(&module(&path)).is_none_or(|layer| layer > 1) || is_test(&path) {
            continue;
        }
        let code = code(&path);
        broken.extend(IMPURE.iter().filter(|bad| code.contains(**bad)).map(|bad| format!("{}: {bad}", path.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn legacy_files_are_known_to_the_configuration_alone() {
    let known = |path: &Path| code(path).contains("syncd_compat") && !matches!(module(path).as_str(), "config" | "cli");
    let broken: Vec<_> =
        sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))).into_iter().filter(|p| known(p)).collect();
    assert!(broken.is_empty(), "{broken:?}");
}
