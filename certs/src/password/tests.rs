//! What a password proof withstands: wrong words, changed contexts, and a man in the middle who
//! keeps the transcript and has a dictionary.

use sha2::{Digest, Sha256};
use spake2::Group;

use super::*;

const PASSWORD: &[u8] = b"123";
const DICTIONARY: [&[u8]; 8] = [b"", b"1234", b"password", b"rsync", b"123", b"admin", b"sersync", b"root"];

fn context() -> Context<'static> {
    Context { exporter: [1; 32], source_key: [2; 32], receiver_key: [3; 32], set: "www", user: "rsync" }
}

/// Runs a proof; what the source and what the receiver make of it.
fn run(
    source: (&[u8], &Context<'_>),
    receiver: (&[u8], &Context<'_>),
) -> (Result<(), WrongPassword>, Result<(), WrongPassword>) {
    let (prover, pake) = Prover::start(source.0, source.1);
    let (verifier, answer, confirm) = Verifier::respond(receiver.0, receiver.1, &pake).expect("a PAKE message");
    match prover.finish(&answer, &confirm) {
        Ok(confirm) => (Ok(()), verifier.check(&confirm)),
        // An honest source stops here; a dishonest one sends something.
        Err(wrong) => (Err(wrong), verifier.check(&confirm)),
    }
}

#[test]
fn the_right_password_proves() {
    assert_eq!(run((PASSWORD, &context()), (PASSWORD, &context())), (Ok(()), Ok(())));
}

#[test]
fn a_wrong_password_does_not() {
    for wrong in [&b""[..], b"124", b"123 ", b"0123", &[0; 4096]] {
        assert_eq!(run((wrong, &context()), (PASSWORD, &context())), (Err(WrongPassword), Err(WrongPassword)));
    }
}

#[test]
fn every_part_of_the_context_counts() {
    let here = context();
    for there in [
        Context { exporter: [9; 32], ..here },
        Context { source_key: [9; 32], ..here },
        Context { receiver_key: [9; 32], ..here },
        Context { source_key: here.receiver_key, receiver_key: here.source_key, ..here },
        Context { set: "www2", ..here },
        Context { user: "rsync2", ..here },
        Context { set: "wwwr", user: "sync", ..here },
    ] {
        assert_eq!(run((PASSWORD, &here), (PASSWORD, &there)), (Err(WrongPassword), Err(WrongPassword)), "{there:?}");
    }
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let (prover, pake) = Prover::start(PASSWORD, &context());
    let (verifier, answer, confirm) = Verifier::respond_decoy(&context(), &pake).expect("a PAKE message");
    assert_eq!((answer.len(), confirm.len()), (PAKE_LEN, CONFIRM_LEN));
    assert_eq!(prover.finish(&answer, &confirm), Err(WrongPassword));
    assert_eq!(verifier.check(&confirm), Err(WrongPassword));
}

#[test]
fn nonsense_and_reflections_are_wrong_passwords() {
    let (_, own) = Prover::start(PASSWORD, &context());
    let (_, answer, confirm) = Verifier::respond(PASSWORD, &context(), &own).expect("a PAKE message");
    let mut off_curve = own.clone();
    off_curve[1..].copy_from_slice(&[2; 32]);
    for bad in [&b""[..], b"A", &own[..32], &off_curve, &answer, &[own.clone(), vec![0]].concat()] {
        assert_eq!(Verifier::respond(PASSWORD, &context(), bad).err(), Some(WrongPassword), "{bad:?}");
    }
    for (pake, confirm) in [(&own, &confirm), (&answer, &Vec::new()), (&answer, &confirm[..31].to_vec())] {
        let (prover, _) = Prover::start(PASSWORD, &context());
        assert_eq!(prover.finish(pake, confirm), Err(WrongPassword));
    }
    let (prover, pake) = Prover::start(PASSWORD, &context());
    let (verifier, answer, confirm) = Verifier::respond(PASSWORD, &context(), &pake).expect("a PAKE message");
    prover.finish(&answer, &confirm).expect("proven");
    assert_eq!(verifier.check(&confirm), Err(WrongPassword), "the receiver's own confirmation, sent back");
}

/// Everything that went by a man who ended TLS on both sides, and what he could see himself.
struct Transcript {
    /// As the source saw it, and as the receiver did: two exporters, his own key in each.
    contexts: [Context<'static>; 2],
    /// PAKE message of the source.
    source: Vec<u8>,
    /// PAKE message of the receiver.
    receiver: Vec<u8>,
    /// Confirmations that anybody gave.
    confirms: Vec<Vec<u8>>,
}

/// The two connections that such a man has.
fn two_ends() -> [Context<'static>; 2] {
    let here = context();
    [
        Context { exporter: [0xa; 32], receiver_key: [0xff; 32], ..here },
        Context { exporter: [0xb; 32], source_key: [0xff; 32], ..here },
    ]
}

/// Relays every message and keeps all of them.
fn relay() -> Transcript {
    let contexts = two_ends();
    let (prover, source) = Prover::start(PASSWORD, &contexts[0]);
    let (verifier, receiver, confirm) = Verifier::respond(PASSWORD, &contexts[1], &source).expect("a PAKE message");
    assert_eq!(prover.finish(&receiver, &confirm), Err(WrongPassword), "the source is not fooled");
    assert_eq!(verifier.check(&confirm), Err(WrongPassword), "nor is the receiver");
    Transcript { contexts, source, receiver, confirms: vec![confirm] }
}

/// The words of the dictionary for which any of the confirmations that `derive` makes was seen.
fn crack(seen: &[Vec<u8>], derive: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<&'static [u8]> {
    DICTIONARY.into_iter().filter(|word| derive(word).iter().any(|made| seen.contains(made))).collect()
}

type Element = <Ed25519Group as Group>::Element;
type Scalar = <Ed25519Group as Group>::Scalar;

fn element(pake: &[u8]) -> Element {
    Ed25519Group::bytes_to_element(&pake[1..]).expect("a point")
}

/// `point` without the part that `word` put into it, were it the password.
fn unblind(point: Element, blind: Element, word: &[u8]) -> Element {
    let minus = Ed25519Group::scalar_neg(&Ed25519Group::hash_to_scalar(&secret(word)));
    Ed25519Group::add(&point, &Ed25519Group::scalarmult(&blind, &minus))
}

/// The key that spake2 derives from a shared point, written again from its definition.
fn spake_key(word: &[u8], binding: &[u8; 32], t: &Transcript, shared: &Element) -> Vec<u8> {
    let (source, receiver) = identities(binding);
    let parts: [&[u8]; 6] = [
        &Sha256::digest(&*secret(word)),
        &Sha256::digest(&*source),
        &Sha256::digest(&*receiver),
        &t.source[1..],
        &t.receiver[1..],
        &Ed25519Group::element_to_bytes(shared),
    ];
    Sha256::digest(parts.concat()).to_vec()
}

/// Both confirmations, for either end, that a word and a shared point would give.
fn confirmations(word: &[u8], t: &Transcript, shared: &Element) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for context in &t.contexts {
        let binding = context.binding();
        let key = spake_key(word, &binding, t, shared);
        for side in [SOURCE, RECEIVER] {
            all.push(confirmation(side, &key, &binding, &t.source, &t.receiver).to_vec());
        }
    }
    all
}

/// Every shared point that can be computed for a word from what is public, plus, where he made
/// one of the messages himself, from his own scalar.
fn shared_points(word: &[u8], t: &Transcript, own: Option<&Scalar>) -> Vec<Element> {
    let (x, y) = (element(&t.source), element(&t.receiver));
    let (m, n) = (Ed25519Group::const_m(), Ed25519Group::const_n());
    let (xb, yb) = (unblind(x, m, word), unblind(y, n, word));
    let w = Ed25519Group::hash_to_scalar(&secret(word));
    let times = |p: &Element| Ed25519Group::scalarmult(p, &w);
    let mut points = vec![
        Ed25519Group::basepoint_mult(&w),
        x,
        y,
        m,
        n,
        xb,
        yb,
        Ed25519Group::add(&x, &y),
        Ed25519Group::add(&xb, &yb),
        times(&x),
        times(&y),
        times(&xb),
        times(&yb),
    ];
    if let Some(own) = own {
        points.extend([x, y, xb, yb].map(|p| Ed25519Group::scalarmult(&p, own)));
    }
    points
}

fn offline(t: &Transcript, own: Option<&Scalar>) -> Vec<&'static [u8]> {
    crack(&t.confirms, |word| {
        let mut made: Vec<_> =
            shared_points(word, t, own).iter().flat_map(|shared| confirmations(word, t, shared)).collect();
        // And what the shipped code would answer to the messages that he kept.
        for context in &t.contexts {
            let (_, _, confirm) = Verifier::respond(word, context, &t.source).expect("a PAKE message");
            made.push(confirm);
            for confirm in &t.confirms {
                let accepted = Prover::start(word, context).0.finish(&t.receiver, confirm);
                made.extend(accepted.map(|_| confirm.clone()));
            }
        }
        made
    })
}

/// The control: a challenge and response under the same attack gives the password away at once.
#[test]
fn a_man_in_the_middle_learns_nothing_that_a_dictionary_would_confirm() {
    let transcript = relay();
    assert_eq!(offline(&transcript, None), [b""; 0], "nothing of the dictionary is confirmed");

    let nonces = b"nonce of the source, nonce of the receiver";
    let respond = |word: &[u8]| blake3::keyed_hash(blake3::hash(word).as_bytes(), nonces).as_bytes().to_vec();
    assert_eq!(crack(&[respond(PASSWORD)], |word| vec![respond(word)]), [PASSWORD]);
}

/// Scalars that are no secret, to play spake2 with.
fn scalar(seed: &[u8]) -> Scalar {
    Ed25519Group::hash_to_scalar(seed)
}

/// He is the source himself with a guess of his own, and knows his scalar.
fn guess(word: &[u8], own: &Scalar) -> Transcript {
    let contexts = two_ends();
    let w = Ed25519Group::hash_to_scalar(&secret(word));
    let blinded =
        Ed25519Group::add(&Ed25519Group::basepoint_mult(own), &Ed25519Group::scalarmult(&Ed25519Group::const_m(), &w));
    let source = [b"A".to_vec(), Ed25519Group::element_to_bytes(&blinded)].concat();
    let (_, receiver, confirm) = Verifier::respond(PASSWORD, &contexts[1], &source).expect("a PAKE message");
    Transcript { contexts, source, receiver, confirms: vec![confirm] }
}

/// Proves that the derivations above are the shipped ones: with the right guess they confirm.
#[test]
fn one_connection_is_one_guess_and_not_a_dictionary() {
    let own = scalar(b"his own");
    for word in DICTIONARY {
        let confirmed = offline(&guess(word, &own), Some(&own));
        let expected: &[&[u8]] = if word == PASSWORD { &[PASSWORD] } else { &[] };
        assert_eq!(confirmed, expected, "guessed {word:?}");
    }
}
