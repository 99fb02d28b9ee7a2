//! librsync's delta format, as `fast_rsync::diff` writes it.

const MAGIC: [u8; 4] = 0x7273_0236_u32.to_be_bytes();

/// One command of a delta.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Op {
    /// The next bytes of the new content, as they are.
    Literal {
        /// How many.
        len: u64,
    },
    /// Bytes of the base.
    Copy {
        /// Offset in the base.
        offset: u64,
        /// How many.
        len: u64,
    },
}

impl Op {
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Literal { len } | Self::Copy { len, .. } => len,
        }
    }

    pub(super) fn is_copy(self) -> bool {
        matches!(self, Self::Copy { .. })
    }
}

/// The commands of `delta`, whose literal bytes are passed over; none when it is no delta.
pub(super) fn parse(delta: &[u8]) -> Option<Vec<Op>> {
    let mut rest = delta.strip_prefix(&MAGIC)?;
    let mut ops = Vec::new();
    loop {
        let (&command, after) = rest.split_first()?;
        rest = after;
        let op = match command {
            0 => return rest.is_empty().then_some(ops),
            1..=0x40 => Op::Literal { len: u64::from(command) },
            0x41..=0x44 => Op::Literal { len: number(&mut rest, command - 0x41)? },
            0x45..=0x54 => {
                let offset = number(&mut rest, (command - 0x45) / 4)?;
                Op::Copy { offset, len: number(&mut rest, (command - 0x45) % 4)? }
            }
            _ => return None,
        };
        if let Op::Literal { len } = op {
            rest = rest.get(usize::try_from(len).ok()?..)?;
        }
        ops.push(op);
    }
}

/// A big-endian number of 1, 2, 4 or 8 bytes, by its `class` from 0 to 3.
fn number(rest: &mut &[u8], class: u8) -> Option<u64> {
    let (digits, after) = rest.split_at_checked(1 << class)?;
    *rest = after;
    Some(digits.iter().fold(0, |n, digit| n << 8 | u64::from(*digit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_magic(commands: &[u8]) -> Vec<u8> {
        [&MAGIC, commands].concat()
    }

    #[test]
    fn numbers_of_every_length_are_read() {
        let delta = with_magic(&[2, b'a', b'b', 0x41, 1, b'c', 0x42, 0, 1, b'd', 0x45, 7, 8, 0x4a, 1, 0, 0, 9, 0]);
        let literal = |len| Op::Literal { len };
        let copies = [Op::Copy { offset: 7, len: 8 }, Op::Copy { offset: 256, len: 9 }];
        assert_eq!(parse(&delta), Some([&[literal(2), literal(1), literal(1)][..], &copies].concat()));
        let long = with_magic(&[0x54, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0]);
        assert_eq!(parse(&long), Some(vec![Op::Copy { offset: 1 << 56, len: 5 }]));
    }

    #[test]
    fn what_is_cut_or_goes_on_is_no_delta() {
        for commands in
            [&[][..], &[2, b'a'], &[0x41], &[0x54, 1], &[0x55, 0], &[0, 0], &[0x44, 255, 255, 255, 255, 255]]
        {
            assert_eq!(parse(&with_magic(commands)), None, "{commands:?}");
        }
        assert_eq!(parse(b"rs"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(commands in prop::collection::vec(any::<u8>(), 0..200)) {
            let delta = with_magic(&commands);
            if let Some(ops) = parse(&delta) {
                let literal: u64 = ops.iter().filter(|op| !op.is_copy()).map(|op| op.len()).sum();
                prop_assert!(literal < delta.len() as u64);
            }
        }
    }
}
