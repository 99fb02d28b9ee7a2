//! `cargo xtask docs`: the tables of the documents about moving to syncd, from those that the program uses.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use syncd_compat::{Standing, confxml, keepalived, rsync, rsyncd};

/// The files, below the workspace.
const FILES: [&str; 2] = ["docs/migrating-from-sersync.md", "docs/migrating-from-keepalived.md"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail where something would have to be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    FILES.iter().try_for_each(|file| fill(file, args))
}

fn fill(file: &str, args: &Args) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let before = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
    let after = filled(&before)?;
    if args.check && after != before {
        bail!("{file} is not what the tables of the program say: run cargo xtask docs");
    }
    fs::write(&path, after).with_context(|| format!("cannot write {file}"))
}

/// The document with each table as it is now.
fn filled(document: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = document;
    while let Some((before, after)) = rest.split_once("<!-- table ") {
        let (name, after) = after.split_once(" -->\n").context("a table's mark has no end")?;
        let (_, after) = after.split_once("<!-- end -->").context("a table has no end")?;
        let _ = write!(out, "{before}<!-- table {name} -->\n{}<!-- end -->", table(name)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn table(name: &str) -> Result<String> {
    Ok(match name {
        "confxml" => rendered("setting", confxml::SETTINGS.iter().map(|s| (xml_name(s), s.standing))),
        "rsync" => rendered("option", rsync::OPTIONS.iter().map(|spec| (option_name(spec), spec.standing))),
        "rsyncd" => {
            let name = |known: &rsyncd::Known| match known.scope {
                rsyncd::Scope::Global => format!("`{}` (global)", known.name),
                rsyncd::Scope::Module => format!("`{}`", known.name),
            };
            rendered("parameter", rsyncd::PARAMETERS.iter().map(|known| (name(known), known.standing)))
        }
        "keepalived" => rendered("keyword", keepalived::keywords().map(|word| (keyword_name(word), word.standing))),
        other => bail!("there is no table `{other}`"),
    })
}

fn rendered(what: &str, rows: impl Iterator<Item = (String, Standing)>) -> String {
    let mut out = format!("| {what} | | what becomes of it |\n|---|---|---|\n");
    for (name, standing) in rows {
        let _ = writeln!(out, "| {name} | {} | {} |", standing.word(), standing.sentence().replace('|', "\\|"));
    }
    out
}

fn xml_name(setting: &confxml::Setting) -> String {
    let element = setting.element.rsplit('/').next().unwrap_or_default();
    match setting.element.rsplit_once('/') {
        _ if element.is_empty() => format!("`<head {}>`", setting.attribute),
        None => format!("`<{element} {}>`", setting.attribute),
        Some((above, _)) => format!("`<{element} {}>` in `{above}`", setting.attribute),
    }
}

fn option_name(spec: &rsync::Spec) -> String {
    let long = match spec.alias {
        Some(alias) => format!("`--{}`, `--{alias}`", spec.long),
        None => format!("`--{}`", spec.long),
    };
    match spec.letter {
        Some(letter) if spec.long == letter.to_string() => format!("`-{letter}`"),
        Some(letter) => format!("`-{letter}`, {long}"),
        None => long,
    }
}

fn keyword_name(word: &keepalived::Keyword) -> String {
    format!("`{}` ({})", word.name, word.block.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_what_the_program_does() {
        run(&Args { check: true }).expect("current");
    }

    #[test]
    fn every_row_has_its_sentence() {
        for table in ["confxml", "rsync", "rsyncd", "keepalived"].map(|name| super::table(name).expect("known")) {
            for row in table.lines().skip(2) {
                assert!(!row.ends_with("|  |"), "{row}");
            }
            assert!(table.lines().count() > 40);
        }
    }
}
