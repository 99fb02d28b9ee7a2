//! What the targets share: content made of few bytes of input, the receiver as an oracle, and what holds for findings.

use arbitrary::Arbitrary;
use syncd::delta::{CopyCheck, Differ, Piece, PieceError, Signature};
use syncd_compat::{Finding, SourceText, Span};

/// The most bytes that one generated file has.
pub const MAX_CONTENT: usize = 256 * 1024;

/// A stretch of generated content.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Run {
    /// The same noise for the same seed.
    Noise(u8, u16),
    /// One byte again and again.
    Fill(u8, u16),
    /// Two bytes in turn.
    Pair(u8, u8, u16),
    /// A part of the base: offset and length, both cut to what there is.
    Base(u16, u16),
}

/// The content that `runs` describe, where `base` is what [`Run::Base`] takes from.
#[must_use]
pub fn content(runs: &[Run], base: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for run in runs {
        match *run {
            Run::Noise(seed, len) => {
                let start = all.len();
                all.resize(start + usize::from(len), 0);
                blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut all[start..]);
            }
            Run::Fill(byte, len) => all.resize(all.len() + usize::from(len), byte),
            Run::Pair(a, b, len) => all.extend([a, b].iter().cycle().take(len.into())),
            Run::Base(offset, len) => {
                let (offset, len) = (usize::from(offset) * 4, usize::from(len) * 4);
                all.extend(base.iter().skip(offset).take(len));
            }
        }
        all.truncate(MAX_CONTENT);
    }
    all
}

/// All pieces of `new`, fed in chunks of `cut` bytes, and its signature.
#[must_use]
pub fn pieces(base: &Signature, new: &[u8], cut: usize) -> (Vec<Piece>, Signature) {
    let mut differ = Differ::new(base);
    let mut all = Vec::new();
    for chunk in new.chunks(cut.max(1)) {
        differ.feed(chunk);
        all.extend(std::iter::from_fn(|| differ.poll()));
    }
    let (rest, signature) = differ.finish();
    all.extend(rest);
    (all, signature.expect("no generated file has too many blocks"))
}

/// What a receiver makes of `pieces`.
///
/// # Errors
/// [`PieceError`], as the receiver would refuse them.
pub fn rebuild(base: &[u8], pieces: &[Piece], limit: u64) -> Result<Vec<u8>, PieceError> {
    let mut check = CopyCheck::new(base.len() as u64, limit);
    let mut new = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Copy { offset, len } => {
                check.copy(*offset, *len)?;
                new.extend_from_slice(&base[*offset as usize..][..*len as usize]);
            }
            Piece::Data(bytes) => {
                check.grow(bytes.len() as u64)?;
                new.extend_from_slice(bytes);
            }
            Piece::Hole { len } => {
                check.grow(*len)?;
                new.resize(new.len() + *len as usize, 0);
            }
        }
    }
    Ok(new)
}

/// Holds that `span` is a part of the text.
pub fn check_span(source: &SourceText, span: Span) {
    assert!(source.text().get(span.start..span.end).is_some(), "{span:?} is no part of the text");
}

/// Holds that `finding` can be shown: its place is in the text, and what a file says drives no terminal.
pub fn check_finding(source: &SourceText, finding: &Finding) {
    if let Some(place) = &finding.place {
        check_span(source, place.span);
        assert!(place.line >= 1 && place.column >= 1 && place.marked >= 1, "{place:?}");
        // It stands where it is said to stand; a password is shown as asterisks.
        let before = place.excerpt.char_indices().nth(place.column - 1 - place.skipped);
        let from = before.map_or(place.excerpt.len(), |(at, _)| at);
        let said = source.text()[place.span.start..].lines().next().unwrap_or("").trim_end_matches('\r');
        let mut both = place.excerpt[from..].chars().zip(said.chars());
        assert!(both.all(|(shown, said)| shown == said || shown == '*'), "{place:?}");
    }
    assert!(!finding.summary().chars().any(char::is_control), "{:?}", finding.summary());
    assert!(finding.to_string().lines().all(|line| !line.chars().any(char::is_control)), "{finding}");
}
