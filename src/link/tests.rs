//! Two endpoints on loopback: what passes between them, and what does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use syncd_certs::{Identity, tls};
use tokio::net::UdpSocket;

use super::*;
use crate::model::NodeKey;
use crate::wire::{Hello, MAX_DATA, Message, UNAUTHORISED_BYTES, UNAUTHORISED_FRAMES, VERSION};

const IDLE: Duration = Duration::from_secs(8);

/// So short that what should end by it does at once, and nothing else depends on it.
const SOON: Duration = Duration::from_millis(150);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("address")
}

fn identity() -> Identity {
    Identity::ephemeral().expect("identity")
}

fn server(limits: Limits) -> (Server, SocketAddr) {
    let endpoint = Endpoint::serving(&identity(), IDLE, loopback()).expect("endpoint");
    let address = endpoint.local_address().expect("address");
    (Server::new(endpoint, limits), address)
}

fn client() -> Endpoint {
    Endpoint::dialling(&identity(), IDLE, None).expect("endpoint")
}

/// Both ends of a connection, neither authorised.
async fn connect(server: &mut Server, address: SocketAddr, client: &Endpoint) -> (Link, Link) {
    let (dialled, accepted) = tokio::join!(client.dial(address), server.accept());
    (dialled.expect("dial"), accepted.expect("accept"))
}

/// Both ends of a connection and what keeps them.
async fn pair() -> (Link, Link, (Server, Endpoint)) {
    let (mut server, address) = server(Limits::default());
    let client = client();
    let (a, b) = connect(&mut server, address, &client).await;
    (a, b, (server, client))
}

fn hello() -> Message {
    Message::Hello(Hello { version: VERSION, features: Vec::new(), name: "a".into(), agent: "test".into() })
}

/// Killed and started again: it cannot close what it knows nothing of.
#[tokio::test]
async fn a_node_that_came_back_ends_the_connections_of_its_earlier_life() {
    let receiver = identity();
    // Below the ephemeral ports, so that no other socket gets the port while nobody has it.
    let first = std::process::id() % 2_000;
    let below = (0..2_000).map(|n| SocketAddr::from(([127, 0, 0, 1], 30_000 + ((first + n) % 2_000) as u16)));
    let before = below.filter_map(|at| Endpoint::serving(&receiver, IDLE, at).ok()).next().expect("endpoint");
    let address = before.local_address().expect("address");
    let mut server = Server::new(before.clone(), Limits::default());
    let client = client();
    let (link, _accepted) = connect(&mut server, address, &client).await;
    // From here on nobody on that port knows the connection, as after kill -9.
    // Twice, since the last socket before is kept for a while.
    before.rebind().expect("rebind");
    before.rebind().expect("rebind");
    let _again = loop {
        // Its connection lets go of the port a little later.
        match Endpoint::serving(&receiver, IDLE, address) {
            Ok(endpoint) => break endpoint,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let (mut write, _read) = link.open_stream().await.expect("open");
    write.write(&hello()).await.expect("write");
    let ended = link.closed().await;
    assert!(matches!(ended, LinkError::Restarted { .. }), "{ended}");
}

#[tokio::test]
async fn messages_go_both_ways_and_each_side_knows_the_other() {
    let (source, receiver) = (identity(), identity());
    let endpoint = Endpoint::serving(&receiver, IDLE, loopback()).expect("endpoint");
    let address = endpoint.local_address().expect("address");
    let mut server = Server::new(endpoint, Limits::default());
    let client = Endpoint::dialling(&source, IDLE, None).expect("endpoint");
    let (a, b) = connect(&mut server, address, &client).await;
    assert_eq!((a.node_key(), b.node_key()), (NodeKey(receiver.node_key()), NodeKey(source.node_key())));
    assert_eq!(a.remote_address(), address);
    assert!(b.remote_address().is_ipv4(), "{}", b.remote_address());

    let (mut write, mut read) = a.open_stream().await.expect("open");
    write.write(&hello()).await.expect("write");
    let (mut answer, mut asked) = b.accept_stream().await.expect("accept");
    assert_eq!(asked.read().await.expect("read"), Some(hello()));
    answer.write(&Message::End).await.expect("write");
    answer.finish().expect("finish");
    assert_eq!(read.read().await.expect("read"), Some(Message::End));
    assert_eq!(read.read().await.expect("end"), None);
    answer.received().await.expect("received");
}

#[tokio::test]
async fn the_exporter_belongs_to_one_connection() {
    let (mut server, address) = server(Limits::default());
    let client = client();
    let (a, b) = connect(&mut server, address, &client).await;
    let (c, d) = connect(&mut server, address, &client).await;
    assert_eq!(a.exporter(), b.exporter());
    assert_eq!(c.exporter(), d.exporter());
    assert_ne!(a.exporter(), c.exporter());
}

/// What `chunk` is at `number`: no two alike, cheap to make.
fn chunk(number: u32) -> Bytes {
    let mut content = vec![0; MAX_DATA];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut content);
    content.into()
}

async fn send_chunks(link: &Link, range: std::ops::Range<u32>) -> FrameWriter {
    let (mut write, _) = link.open_stream().await.expect("open");
    for number in range {
        write.write(&Message::Data(chunk(number))).await.expect("write");
    }
    write.finish().expect("finish");
    write
}

async fn expect_chunks(link: &Link, range: std::ops::Range<u32>) {
    let (_, mut read) = link.accept_stream().await.expect("accept");
    for number in range {
        assert!(read.read().await.expect("read") == Some(Message::Data(chunk(number))), "chunk {number}");
    }
    assert_eq!(read.read().await.expect("end"), None);
}

#[tokio::test]
async fn bulk_arrives_whole_and_in_order() {
    let (a, b, _keep) = pair().await;
    a.authorised();
    b.authorised();
    tokio::join!(send_chunks(&a, 0..256), expect_chunks(&b, 0..256));
    assert!(b.stats().received_bytes >= 64 << 20);
}

#[tokio::test]
async fn streams_do_not_wait_for_each_other() {
    let (a, b, _keep) = pair().await;
    a.authorised();
    b.authorised();
    let (mut control, _r) = a.open_stream().await.expect("open");
    control.write(&hello()).await.expect("write");
    let (_w, mut controlled) = b.accept_stream().await.expect("accept");
    // Nobody reads this stream: it fills its window and stands still.
    let (mut bulk, _) = a.open_stream().await.expect("open");
    let stuck = async {
        for number in 0.. {
            bulk.write(&Message::Data(chunk(number))).await.expect("write");
        }
    };
    tokio::time::timeout(SOON * 4, stuck).await.expect_err("nobody reads");
    control.write(&Message::End).await.expect("write");
    assert_eq!(controlled.read().await.expect("read"), Some(hello()));
    assert_eq!(controlled.read().await.expect("read"), Some(Message::End));
}

#[tokio::test]
async fn a_transfer_survives_a_new_address() {
    let (a, b, (_server, client)) = pair().await;
    a.authorised();
    b.authorised();
    let before = b.remote_address();
    let send = async {
        let (mut write, _r) = a.open_stream().await.expect("open");
        for number in 0..64 {
            if number == 32 {
                client.rebind().expect("rebind");
            }
            write.write(&Message::Data(chunk(number))).await.expect("write");
        }
        write.finish().expect("finish");
        write.received().await.expect("received");
    };
    tokio::join!(send, expect_chunks(&b, 0..64));
    assert_ne!(b.remote_address(), before);
}

#[tokio::test]
async fn a_stranger_has_a_budget_of_frames() {
    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    for _ in 0..=UNAUTHORISED_FRAMES {
        write.write(&Message::End).await.expect("write");
    }
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    for _ in 0..UNAUTHORISED_FRAMES {
        assert_eq!(read.read().await.expect("within the budget"), Some(Message::End));
    }
    assert!(matches!(read.read().await, Err(LinkError::Budget { .. })));
    let told = a.closed().await.to_string();
    assert!(told.ends_with("closed the connection: too much before being authorised"), "{told}");
}

#[tokio::test]
async fn a_stranger_has_a_budget_of_bytes_whatever_the_stream() {
    let (a, b, _keep) = pair().await;
    for (stream, expected) in [(0, true), (1, false)] {
        let (mut write, _r) = a.open_stream().await.expect("open");
        write.write(&Message::Data(vec![0; UNAUTHORISED_BYTES / 2].into())).await.expect("write");
        write.finish().expect("finish");
        let (mut answer, mut read) = b.accept_stream().await.expect("accept");
        assert_eq!(read.read().await.is_ok(), expected, "stream {stream}");
        let _ = answer.finish();
    }
}

#[tokio::test]
async fn a_refused_stranger_may_ask_again_and_an_authorised_peer_may_send_on() {
    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    for _ in 0..3 * UNAUTHORISED_FRAMES {
        write.write(&Message::End).await.expect("write");
    }
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    for number in 0..3 * UNAUTHORISED_FRAMES {
        if number == UNAUTHORISED_FRAMES {
            b.renew_budget();
        }
        if number == 2 * UNAUTHORISED_FRAMES {
            b.authorised();
        }
        assert_eq!(read.read().await.expect("renewed"), Some(Message::End));
    }
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_with_a_word() {
    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    write.write_raw(Bytes::from_static(&[0xff; 64])).await.expect("write");
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    assert!(matches!(read.read().await, Err(LinkError::Frame { .. })));
    let told = a.closed().await.to_string();
    assert!(told.contains("protocol error: a frame header has unknown flags"), "{told}");
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_or_is_given_up_is_told_apart() {
    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    write.write(&hello()).await.expect("write");
    write.reset(7);
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    let reset = async {
        while read.read().await?.is_some() {}
        Ok::<_, LinkError>(())
    };
    assert!(matches!(reset.await, Err(LinkError::StreamReset { code: 7, .. })));

    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    write.write_raw(Bytes::from_static(&[1, 0, 1])).await.expect("write");
    write.finish().expect("finish");
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    let error = read.read().await.expect_err("cut").to_string();
    assert!(error.ends_with("the stream ended inside a frame"), "{error}");
}

#[tokio::test]
async fn reading_goes_on_after_a_timeout() {
    let (a, b, _keep) = pair().await;
    let (mut write, _r) = a.open_stream().await.expect("open");
    let whole = crate::wire::encode(&hello()).expect("encode");
    write.write_raw(whole.slice(..9)).await.expect("write");
    let (_w, mut read) = b.accept_stream().await.expect("accept");
    assert!(matches!(read.read_timeout(SOON).await, Err(LinkError::ReadTimeout { .. })));
    write.write_raw(whole.slice(9..)).await.expect("write");
    assert_eq!(read.read_timeout(IDLE).await.expect("read"), Some(hello()));
}

#[tokio::test]
async fn a_peers_reason_is_told() {
    let (a, b, _keep) = pair().await;
    b.close("going down\n");
    assert_eq!(a.closed().await.to_string(), format!("{}: closed the connection: going down\\n", a.remote_address()));
    assert!(matches!(b.closed().await, LinkError::Closed { .. }));
    assert!(matches!(a.open_stream().await, Err(LinkError::ClosedByPeer { .. })));
}

#[tokio::test]
async fn our_own_key_is_left_alone() {
    let own = identity();
    let endpoint = Endpoint::serving(&own, IDLE, loopback()).expect("endpoint");
    let address = endpoint.local_address().expect("address");
    let mut server = Server::new(endpoint.clone(), Limits::default());
    let accepted = tokio::spawn(async move { server.accept().await.is_none() });
    let error = Endpoint::dialling(&own, IDLE, None).expect("endpoint").dial(address).await.expect_err("itself");
    assert!(matches!(error, LinkError::Myself { .. }), "{error}");
    endpoint.close("end");
    assert!(accepted.await.expect("no panic"), "the server has not taken itself for a peer");
}

#[tokio::test]
async fn nobody_there_is_told_at_once_and_by_name() {
    // Nobody else gets the port, and from others than itself the socket takes nothing: to them nobody is there.
    let deaf = UdpSocket::bind(loopback()).await.expect("bind");
    let free = deaf.local_addr().expect("address");
    deaf.connect(free).await.expect("connect");
    let error = client().dial(free).await.expect_err("nobody").to_string();
    assert!(error.starts_with(&format!("{free}: nobody listens on UDP port {} there", free.port())), "{error}");
}

#[tokio::test]
async fn silence_is_told_with_the_firewall() {
    let silent = UdpSocket::bind(loopback()).await.expect("bind");
    let address = silent.local_addr().expect("address");
    let error = client().dial_within(address, SOON).await.expect_err("silent");
    assert!(matches!(error, LinkError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains(&format!("is UDP port {} open there", address.port())), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_remedy() {
    let taken = UdpSocket::bind(loopback()).await.expect("bind");
    let address = taken.local_addr().expect("address");
    let error = Endpoint::serving(&identity(), IDLE, address).expect_err("taken").to_string();
    assert!(
        error.starts_with(&format!("{address}: UDP port cannot be bound")) && error.contains("ss -ulpn"),
        "{error}"
    );
}

/// A dialling endpoint of a stranger with TLS as `change` leaves it.
fn odd_client(change: impl FnOnce(&mut rustls::ClientConfig)) -> Endpoint {
    let mut config = tls::client_config(&identity()).expect("tls");
    change(&mut config);
    let crypto = QuicClientConfig::try_from(config).expect("crypto");
    Endpoint { client: quinn::ClientConfig::new(Arc::new(crypto)), ..client() }
}

/// Lets `server` work until `done`.
async fn serve_until(server: &mut Server, done: impl Fn(ServeStats) -> bool) {
    while !done(server.stats()) {
        if let Ok(link) = tokio::time::timeout(Duration::from_millis(5), server.accept()).await {
            panic!("took {link:?}");
        }
    }
}

#[tokio::test]
async fn another_protocol_is_refused_and_named_on_both_sides() {
    let (mut ours, address) = server(Limits::default());
    let stranger = odd_client(|tls| tls.alpn_protocols = vec![b"h3".to_vec()]);
    let (error, ()) = tokio::join!(stranger.dial(address), serve_until(&mut ours, |s| s.failed == 1));
    let error = error.expect_err("refused");
    assert!(matches!(error, LinkError::Protocol { .. }), "{error}");

    let mut config = tls::server_config(&identity()).expect("tls");
    config.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicServerConfig::try_from(config).expect("crypto");
    let theirs = quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), loopback()).expect("bind");
    let address = theirs.local_addr().expect("address");
    let answer = async { theirs.accept().await.expect("knock").await.expect_err("refused") };
    let us = client();
    let (error, _) = tokio::join!(us.dial(address), answer);
    let error = error.expect_err("refused");
    assert!(matches!(error, LinkError::Protocol { .. }), "{error}");
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_stranger_without_a_certificate_is_no_link() {
    let (mut server, address) = server(Limits::default());
    let anonymous = odd_client(|tls| tls.client_auth_cert_resolver = Arc::new(NoCertificate));
    let dialled = async {
        // TLS 1.3: the client is done first, and is refused then.
        match anonymous.dial(address).await {
            Ok(link) => link.closed().await,
            Err(error) => error,
        }
    };
    let (error, ()) = tokio::join!(dialled, serve_until(&mut server, |s| s.failed == 1));
    assert!(matches!(error, LinkError::Transport { .. }), "{error}");
    assert_eq!((server.stats().connected, server.stats().strangers), (0, 0));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_dropped() {
    let (mut server, address) = server(Limits { handshake: SOON, ..Limits::default() });
    // Between the two: lets the first datagram through, and nothing after it.
    let relay = UdpSocket::bind(loopback()).await.expect("bind");
    let target = relay.local_addr().expect("address");
    let forward = async {
        let mut datagram = [0; 2048];
        loop {
            let len = relay.recv(&mut datagram).await.expect("receive");
            // The probe of the dialler is shorter than any first packet of QUIC.
            if len >= 1200 {
                relay.send_to(&datagram[..len], address).await.expect("send");
                break;
            }
        }
    };
    let client = client();
    let dial = client.dial_within(target, SOON * 2);
    let (error, (), ()) = tokio::join!(dial, forward, serve_until(&mut server, |s| s.failed == 1));
    assert!(matches!(error, Err(LinkError::NoAnswer { .. })));
    assert_eq!((server.stats().strangers, server.stats().connected), (0, 0));
}

#[tokio::test]
async fn who_is_not_authorised_in_time_is_cut_off() {
    let (mut server, address) = server(Limits { grace: SOON * 20, ..Limits::default() });
    let client = client();
    let (peer, ours) = connect(&mut server, address, &client).await;
    ours.authorised();
    // It comes later: when its time is up, that of the first one has been.
    let (stranger, _theirs) = connect(&mut server, address, &client).await;
    let told = stranger.closed().await.to_string();
    assert!(told.ends_with("not authorised in time"), "{told}");
    tokio::time::timeout(SOON * 2, peer.closed()).await.expect_err("authorised, and stays");
}

#[tokio::test]
async fn one_host_fills_its_places_and_no_more() {
    let (mut server, address) = server(Limits { per_network: 2, ..Limits::default() });
    let client = client();
    let (_a, first) = connect(&mut server, address, &client).await;
    let (b, second) = connect(&mut server, address, &client).await;
    assert!(server.stats().retried >= 1, "the second one had to prove its address");
    let (refused, ()) = tokio::join!(client.dial(address), serve_until(&mut server, |s| s.refused == 1));
    let error = refused.expect_err("full");
    assert!(matches!(error, LinkError::Busy { .. }), "{error}");
    first.authorised();
    assert_eq!(server.stats().strangers, 1);
    let (_c, _third) = connect(&mut server, address, &client).await;
    drop((b, second));
    assert_eq!(server.stats().strangers, 1);
    assert_eq!(server.stats().connected, 3);
}

#[tokio::test]
async fn a_closed_endpoint_takes_nobody() {
    let (mut server, address) = server(Limits::default());
    let us = client();
    let (a, _b) = connect(&mut server, address, &us).await;
    let endpoint = server.endpoint().clone();
    endpoint.close("going down");
    assert!(server.accept().await.is_none());
    assert!(a.closed().await.to_string().ends_with("going down"));
    drop(a);
    endpoint.idle().await;
}
