//! The core against its purpose: what the pieces make of the base is the new file, byte for byte.

use proptest::prelude::*;

use super::*;

/// `len` bytes that look random, the same for the same seed.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The signature of `bytes` in blocks of `block` bytes.
pub(super) fn signature(bytes: &[u8], block: u32) -> Signature {
    let mut builder = Builder::new(BlockSize::try_from(block).expect("valid"));
    builder.update(bytes);
    builder.finish().expect("small")
}

/// A run of the new file: its bytes, or a hole.
enum Run<'a> {
    Bytes(&'a [u8]),
    Hole(u64),
}

/// All pieces of `runs`, and the signature that the differ computed on the way.
fn pieces(mut differ: Differ<'_>, runs: &[Run<'_>], cut: usize) -> (Vec<Piece>, Signature) {
    let mut all = Vec::new();
    for run in runs {
        match run {
            Run::Hole(len) => differ.hole(*len),
            Run::Bytes(bytes) => {
                for chunk in bytes.chunks(cut) {
                    differ.feed(chunk);
                    all.extend(std::iter::from_fn(|| differ.poll()));
                }
            }
        }
    }
    let (rest, signature) = differ.finish();
    all.extend(rest);
    (all, signature.expect("small"))
}

/// What a receiver that checks every piece makes of them.
fn rebuild(base: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut check = CopyCheck::new(base.len() as u64, 1 << 32);
    let mut new = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Copy { offset, len } => {
                check.copy(*offset, *len).expect("inside the base");
                new.extend_from_slice(&base[*offset as usize..(*offset + *len) as usize]);
            }
            Piece::Data(bytes) => {
                check.grow(bytes.len() as u64).expect("within the limit");
                assert!(bytes.len() <= crate::wire::MAX_DATA);
                new.extend_from_slice(bytes);
            }
            Piece::Hole { len } => {
                check.grow(*len).expect("within the limit");
                new.resize(new.len() + *len as usize, 0);
            }
        }
    }
    assert_eq!(check.written(), new.len() as u64);
    new
}

fn literal(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| if let Piece::Data(bytes) = piece { bytes.len() } else { 0 }).sum()
}

/// Asserts that `new` is rebuilt from `base`, and returns how many bytes travel for it.
fn travels(base: &[u8], new: &[u8], block: u32) -> usize {
    let base_signature = signature(base, block);
    let (pieces, new_signature) = pieces(Differ::new(&base_signature), &[Run::Bytes(new)], 1 << 20);
    assert!(rebuild(base, &pieces) == new);
    assert!(new_signature == signature(new, block));
    literal(&pieces)
}

#[test]
fn one_byte_inserted_in_front_of_64_mib_moves_all_blocks_and_travels_alone() {
    let base = noise(1, 64 << 20);
    let new = [b"!", &base[..]].concat();
    let sent = travels(&base, &new, BlockSize::for_base(base.len() as u64).get());
    assert_eq!(sent, 1);
}

#[test]
fn scattered_edits_travel_alone() {
    let base = noise(1, 16 << 20);
    let mut new = base.clone();
    for at in (0..new.len()).step_by(1 << 20) {
        new[at + 5000..at + 5100].fill(7);
    }
    assert_eq!(travels(&base, &new, 4096), 16 * 4096);
}

#[test]
fn what_is_appended_travels_alone() {
    let base = noise(1, (5 << 20) + 123);
    let new = [&base[..], &noise(2, 1 << 20)].concat();
    assert!(travels(&base, &new, 1024) <= (1 << 20) + 1024);
}

#[test]
fn halves_that_changed_places_are_copied_in_the_longest_blocks_too() {
    let base = noise(1, 48 << 20);
    let new = [&base[(20 << 20) + 1..], &base[..(20 << 20) + 1]].concat();
    assert!(travels(&base, &new, 1 << 20) <= 3 << 20);
}

#[test]
fn unrelated_content_travels_whole() {
    let (base, new) = (noise(1, 9 << 20), noise(2, 9 << 20));
    assert_eq!(travels(&base, &new, 1024), new.len());
}

#[test]
fn sums_that_collide_everywhere_cost_no_more_than_other_content() {
    // Every block of the base has the weak sum that the new file has at every byte, and another
    // MD4. A search that went on trying would hash 16 GiB here.
    let new = vec![5; 16 << 20];
    let mut base = new.clone();
    base.chunks_mut(1024).for_each(|block| block[..4].copy_from_slice(&[6, 4, 4, 6]));
    let weak = |bytes: &[u8]| signature(&bytes[..1024], 1024).frames().next().expect("a block")[..4].to_vec();
    assert_eq!(weak(&base), weak(&new));
    assert_eq!(travels(&base, &new, 1024), new.len());
}

#[test]
fn zeros_and_short_periods_that_moved_are_copied() {
    let pattern = |period: &[u8]| [&noise(1, 1000)[..], &period.repeat((1 << 20) / period.len())].concat();
    for period in [&b"\0"[..], b"ab"] {
        let base = pattern(period);
        let new = [&b"moved by five"[..5], &base].concat();
        assert!(travels(&base, &new, 1024) <= 4096);
    }
}

#[test]
fn a_hole_takes_the_place_of_its_whole_blocks() {
    let base = noise(1, 64 * 1024);
    let of_base = signature(&base, 1024);
    let runs = [Run::Bytes(&base[..5000]), Run::Hole(10_000), Run::Hole(1 << 27), Run::Bytes(&base[..100])];
    let (pieces, of_new) = pieces(Differ::new(&of_base), &runs, 1000);
    assert_eq!(of_new.size(), 5000 + 10_000 + (1 << 27) + 100);
    let holes: Vec<u64> =
        pieces.iter().filter_map(|piece| if let Piece::Hole { len } = piece { Some(*len) } else { None }).collect();
    assert!(matches!(holes[..], [one, two] if one + two > 10_000 + (1 << 27) - 4 * 1024), "{holes:?}");
}

/// Content of the kinds that files are made of.
fn content(max: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = prop_oneof![
        4 => (any::<u64>(), 0..max).prop_map(|(seed, len)| noise(seed, len)),
        1 => (0..max).prop_map(|len| vec![0; len]),
        1 => (any::<[u8; 2]>(), 0..max / 2).prop_map(|(pair, times)| pair.repeat(times)),
        1 => (any::<u64>(), 1..8usize).prop_map(|(seed, times)| noise(seed, 1024).repeat(times)),
    ];
    prop::collection::vec(run, 0..5).prop_map(|runs| runs.concat())
}

/// One change, at relative places of the file.
#[derive(Clone, Debug)]
enum Edit {
    Overwrite(u16, Vec<u8>),
    Insert(u16, Vec<u8>),
    Delete(u16, u16),
    Move(u16, u16, u16),
    Truncate(u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    let few = || prop_oneof![prop::collection::vec(any::<u8>(), 0..20), content(3000)];
    prop_oneof![
        (any::<u16>(), few()).prop_map(|(at, with)| Edit::Overwrite(at, with)),
        (any::<u16>(), few()).prop_map(|(at, with)| Edit::Insert(at, with)),
        (any::<u16>(), 0..9000u16).prop_map(|(at, len)| Edit::Delete(at, len)),
        any::<(u16, u16, u16)>().prop_map(|(from, len, to)| Edit::Move(from, len % 20_000, to)),
        any::<u16>().prop_map(Edit::Truncate),
    ]
}

fn edited(base: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut new = base.to_vec();
    for edit in edits {
        let place = |at: u16, len: usize| len * usize::from(at) / usize::from(u16::MAX);
        let len = new.len();
        match edit {
            Edit::Overwrite(at, with) => {
                let at = place(*at, len);
                new.splice(at..len.min(at + with.len()), with.iter().copied());
            }
            Edit::Insert(at, with) => {
                let at = place(*at, len);
                new.splice(at..at, with.iter().copied());
            }
            Edit::Delete(at, count) => {
                let at = place(*at, len);
                new.drain(at..len.min(at + usize::from(*count)));
            }
            Edit::Move(from, count, to) => {
                let from = place(*from, len);
                let moved: Vec<u8> = new.drain(from..len.min(from + usize::from(*count))).collect();
                let to = place(*to, new.len());
                new.splice(to..to, moved);
            }
            Edit::Truncate(at) => new.truncate(place(*at, len)),
        }
    }
    new
}

proptest! {
    #[test]
    fn the_pieces_make_the_new_file(
        base in content(30_000),
        edits in prop::collection::vec(edit(), 0..5),
        cut in 1usize..40_000,
        region in 1usize..60_000,
    ) {
        let new = edited(&base, &edits);
        let of_base = signature(&base, 1024);
        let (pieces, of_new) = pieces(Differ::with_region(&of_base, region), &[Run::Bytes(&new)], cut);
        prop_assert!(rebuild(&base, &pieces) == new);
        prop_assert_eq!(of_new, signature(&new, 1024));
        if new == base {
            prop_assert_eq!(literal(&pieces), 0);
        }
    }

    #[test]
    fn holes_are_zeros(
        base in content(20_000),
        runs in prop::collection::vec((content(4000), 0u64..9000), 0..5),
        cut in 1usize..9000,
    ) {
        let of_base = signature(&base, 1024);
        let whole = runs.iter().fold(Vec::new(), |mut whole, (bytes, hole)| {
            whole.extend_from_slice(bytes);
            whole.resize(whole.len() + *hole as usize, 0);
            whole
        });
        let runs: Vec<Run<'_>> = runs.iter().flat_map(|(bytes, hole)| [Run::Bytes(bytes), Run::Hole(*hole)]).collect();
        let (pieces, of_new) = pieces(Differ::new(&of_base), &runs, cut);
        prop_assert!(rebuild(&base, &pieces) == whole);
        prop_assert_eq!(of_new, signature(&whole, 1024));
    }

    #[test]
    fn a_hostile_signature_spoils_at_most_what_is_copied(
        new in content(30_000),
        size in 0u64..60_000,
        mix in any::<u64>(),
        honest in 0u8..=10,
    ) {
        // Some records are those of the new file, in other places; the rest is noise.
        let block = BlockSize::try_from(1024).expect("valid");
        let truth = signature(&new, 1024).frames().collect::<Vec<_>>().concat();
        let mut records = noise(mix, block.blocks(size) as usize * 20);
        for (i, record) in records.chunks_mut(20).enumerate() {
            let from = truth.chunks(20).nth((i * 7 + 3) % truth.len().div_ceil(20).max(1));
            if let Some(from) = from.filter(|_| record[0] % 10 < honest) {
                record.copy_from_slice(from);
            }
        }
        let mut parser = Parser::new(size, block).expect("few blocks");
        records.chunks(200).try_for_each(|frame| parser.push(frame)).expect("whole records");
        let hostile = parser.finish().expect("right count");
        let (pieces, of_new) = pieces(Differ::with_region(&hostile, 9000), &[Run::Bytes(&new)], 5000);
        prop_assert_eq!(of_new, signature(&new, 1024));
        // Every copy stays inside the base that was announced, all literal content is true and in its place.
        let mut at = 0;
        let mut check = CopyCheck::new(size, new.len() as u64);
        for piece in &pieces {
            match piece {
                Piece::Copy { offset, len } => check.copy(*offset, *len).expect("inside the base"),
                Piece::Data(bytes) => {
                    prop_assert_eq!(&bytes[..], &new[at..at + bytes.len()]);
                    check.grow(bytes.len() as u64).expect("no longer than the new file");
                }
                Piece::Hole { .. } => prop_assert!(false, "no hole was fed"),
            }
            at = check.written() as usize;
        }
        prop_assert_eq!(at, new.len());
    }
}
