//! What an rsyncd will not have asked of it (`refuse options`), and how the work is done without.

use std::borrow::Cow;

use super::args::{By, Run};
use crate::config::{Compression, SetOptions};

/// Options that an rsyncd refuses and without which its module is served all the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lacks {
    /// `--checksum`: files are compared by size and time alone.
    pub(super) checksum: bool,
    /// `--compress`: what travels is not compressed.
    compression: bool,
    /// `--delete` and its kin: what is gone here stays there.
    pub(super) deletion: bool,
}

impl Lacks {
    /// What lacks too where a run was refused with `stderr`; none where that was about something else, or about
    /// what was not asked for.
    pub(super) fn learnt(self, stderr: &[Vec<u8>]) -> Option<Self> {
        let option = stderr.iter().find_map(|line| refused(&String::from_utf8_lossy(line)).map(str::to_owned))?;
        let more = match option.as_str() {
            "checksum" => Self { checksum: true, ..self },
            "compress" => Self { compression: true, ..self },
            option if option.starts_with("del") => Self { deletion: true, ..self },
            _ => return None,
        };
        (more != self).then_some(more)
    }

    /// What comes of it, for people, one line for each that did not lack `before`.
    pub(super) fn told(self, before: Self) -> impl Iterator<Item = &'static str> {
        let lines = [
            (
                self.checksum && !before.checksum,
                "the rsyncd there refuses --checksum (refuse options): files are compared by size and time alone, and \
                 a change of content that shows in neither does not travel",
            ),
            (
                self.compression && !before.compression,
                "the rsyncd there refuses --compress (refuse options): what travels is not compressed",
            ),
            (
                self.deletion && !before.deletion,
                "the rsyncd there refuses --delete (refuse options): what is removed here stays there",
            ),
        ];
        lines.into_iter().filter(|(news, _)| *news).map(|(_, line)| line)
    }

    /// `run` without what lacks.
    pub(super) fn without(self, run: Run) -> Run {
        let by = |by: By| By { content: by.content && !self.checksum, ..by };
        match run {
            Run::Probe { deletes, content, compresses } => Run::Probe {
                deletes: deletes && !self.deletion,
                content: content && !self.checksum,
                compresses: compresses && !self.compression,
            },
            Run::Compare { deletes, by: how } => Run::Compare { deletes: deletes && !self.deletion, by: by(how) },
            Run::Put { by: how, force } => Run::Put { by: by(how), force },
            Run::Remove { recursive } => Run::Remove { recursive },
        }
    }

    /// `options` without what lacks.
    pub(super) fn reduced(self, options: &SetOptions) -> Cow<'_, SetOptions> {
        if self.compression {
            Cow::Owned(SetOptions { compression: Compression::Off, ..options.clone() })
        } else {
            Cow::Borrowed(options)
        }
    }
}

/// The option that a line of rsync's says is refused, without its dashes.
fn refused(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("configured to refuse --")?;
    rest.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Vec<Vec<u8>> {
        vec![b"rsync: read error".to_vec(), line.as_bytes().to_vec()]
    }

    #[test]
    fn what_is_refused_is_left_off_one_by_one() {
        let none = Lacks::default();
        let one = none.learnt(&said("rsync: The server is configured to refuse --checksum (-c)")).expect("known");
        assert_eq!(one, Lacks { checksum: true, ..none });
        let two = one.learnt(&said("ERROR: The server is configured to refuse --delete")).expect("known");
        let all = two.learnt(&said("rsync: The server is configured to refuse --compress (-z)")).expect("known");
        assert_eq!(all, Lacks { checksum: true, compression: true, deletion: true });
        let probe = Run::Probe { deletes: true, content: true, compresses: true };
        assert_eq!(one.without(probe), Run::Probe { deletes: true, content: false, compresses: true });
        assert_eq!(all.without(probe), Run::Probe { deletes: false, content: false, compresses: false });
        let compare = Run::Compare { deletes: true, by: By::CONTENT };
        assert_eq!(all.without(compare), Run::Compare { deletes: false, by: By::TIME });
        assert_eq!(all.reduced(&SetOptions::default()).compression, Compression::Off);
        assert_eq!((two.told(one).count(), all.told(all).count(), all.told(none).count()), (1, 0, 3));
    }

    #[test]
    fn what_cannot_be_done_without_is_not_left_off() {
        let none = Lacks::default();
        assert_eq!(none.learnt(&said("rsync: The server is configured to refuse --perms (-p)")), None);
        assert_eq!(none.learnt(&said("@ERROR: auth failed on module data")), None);
        let known = Lacks { deletion: true, ..none };
        assert_eq!(known.learnt(&said("rsync: The server is configured to refuse --delete")), None, "asked again");
    }
}
