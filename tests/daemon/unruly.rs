//! Brokers as they are on bad days: connections cut in the middle, sessions forgotten, packet ids used again, subscriptions lost on
//! their way. A broker of the test's own plays them, packet by packet; what the daemon may acknowledge and must store is the same.

use crate::harness::{Daemon, PATIENCE, config, until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// MQTT 3.1.1 control packet types (OASIS, section 2.2.1).
const CONNECT: u8 = 1;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;

struct Server(TcpListener);

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Server(listener)
    }
    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
    /// The daemon's next connection, after its CONNECT; and whether that asked for a clean session.
    fn accept(&self) -> (Peer, bool) {
        let mut accepted = None;
        until("the daemon connects", || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Peer(stream);
        let connect = peer.read(CONNECT);
        // Protocol name (6 bytes) and level, then the flags.
        (peer, connect[7] & 2 != 0)
    }
    /// A connection on which everything goes well so far.
    fn welcome(&self, session_present: bool) -> Peer {
        let (mut peer, clean) = self.accept();
        assert!(!clean, "the session was given up");
        peer.connack(session_present);
        peer
    }
}

struct Peer(TcpStream);

impl Peer {
    fn connack(&mut self, session_present: bool) {
        self.0.write_all(&[0x20, 2, u8::from(session_present), 0]).unwrap();
    }
    /// Reads packets until one of this type; its body. Pings are answered.
    fn read(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut head = [0; 1];
            self.0.read_exact(&mut head).unwrap_or_else(|e| panic!("no packet of type {kind}: {e}"));
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let mut byte = [0; 1];
                self.0.read_exact(&mut byte).unwrap();
                length |= usize::from(byte[0] & 127) << shift;
                shift += 7;
                if byte[0] < 128 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).unwrap();
            match head[0] >> 4 {
                found if found == kind => return body,
                12 => self.0.write_all(&[0xd0, 0]).unwrap(),
                _ => {}
            }
        }
    }
    fn grant(&mut self) {
        let subscribe = self.read(SUBSCRIBE);
        self.0.write_all(&[0x90, 4, subscribe[0], subscribe[1], 1, 1]).unwrap();
    }
    fn publish(&mut self, packet: u16, topic: &str, payload: &str) {
        let mut out = vec![0x32];
        let mut length = 2 + topic.len() + 2 + payload.len();
        loop {
            let more = u8::from(length > 127) << 7;
            out.push(u8::try_from(length & 127).unwrap() | more);
            length >>= 7;
            if length == 0 {
                break;
            }
        }
        out.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend(topic.bytes());
        out.extend(packet.to_be_bytes());
        out.extend(payload.bytes());
        self.0.write_all(&out).unwrap();
    }
    fn puback(&mut self) -> u16 {
        let body = self.read(PUBACK);
        u16::from_be_bytes([body[0], body[1]])
    }
    /// Closes the way out; what was written before is still delivered.
    fn close(self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }
    /// Cuts the connection with a reset, as a lost Wi-Fi or a restarted router does.
    fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn stored(d: &Daemon) -> i64 {
    d.database().query_row("SELECT count(*) FROM readings", [], |r| r.get(0)).unwrap()
}

fn reading(k: i64) -> String {
    format!(r#"{{"ts":{},"total_l":{k}}}"#, 1_793_491_200 + 60 * k)
}

#[test]
fn resets_of_the_wire_cost_no_session() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let mut d = Daemon::start_alone(folder.path(), &config(server.port(), &folder.path().join("heyun.db"), ""));
    let mut peer = server.welcome(false);
    peer.grant();
    // More often than a packet that cannot be read would be borne with, and nothing in between that would be a sign of progress.
    for _ in 0..4 {
        peer.reset();
        peer = server.welcome(true);
    }
    peer.publish(1, "meters/a/state", &reading(1));
    assert_eq!(peer.puback(), 1);
    assert_eq!(stored(&d), 1);
    d.wait_for_line("no broker; trying again");
    assert!(!d.log().contains("LOST"), "{}", d.log());
}

#[test]
fn what_was_read_before_the_cut_is_stored_and_acknowledged_on_no_other_connection() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let mut d = Daemon::start_alone(folder.path(), &config(server.port(), &folder.path().join("heyun.db"), ""));
    let mut peer = server.welcome(false);
    peer.grant();
    // Three messages and the end of the connection arrive together.
    for k in 0..3 {
        peer.publish(k + 1, "meters/a/state", &reading(i64::from(k)));
    }
    peer.close();
    // The broker has forgotten everything: the numbers begin anew, with other messages.
    let mut peer = server.welcome(false);
    peer.grant();
    peer.publish(9, "meters/a/state", &reading(9));
    assert_eq!(peer.puback(), 9, "no id of the lost connection came before");
    d.until("all four are stored", |d| stored(d) == 4);
}

#[test]
fn payloads_without_a_time_are_stored_once_over_a_cut() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let mut d = Daemon::start_alone(folder.path(), &config(server.port(), &folder.path().join("heyun.db"), ""));
    let mut peer = server.welcome(false);
    peer.grant();
    for (id, value) in [(1, "12.1"), (2, "12.2"), (3, "12.3")] {
        peer.publish(id, "plain/a", value);
    }
    peer.close();
    // The session stands: the broker sends what was not acknowledged once more, and then a new one.
    let mut peer = server.welcome(true);
    for (id, value) in [(1, "12.1"), (2, "12.2"), (3, "12.3"), (4, "12.4")] {
        peer.publish(id, "plain/a", value);
    }
    let mut acknowledged = [(); 4].map(|()| peer.puback());
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, [1, 2, 3, 4]);
    d.until("four are stored", |d| stored(d) == 4);
}

#[test]
fn a_subscription_that_was_lost_on_its_way_is_asked_for_again() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let _d = Daemon::start_alone(folder.path(), &config(server.port(), &folder.path().join("heyun.db"), ""));
    let mut peer = server.welcome(false);
    peer.read(SUBSCRIBE);
    peer.reset();
    let mut peer = server.welcome(true);
    peer.grant();
    peer.publish(1, "meters/a/state", &reading(1));
    assert_eq!(peer.puback(), 1);
}

/// A message over every limit cannot be read, is never acknowledged, and comes again first on every connection.
#[test]
fn a_packet_that_cannot_be_read_is_given_up_once_and_the_next_session_lasts() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let mut d = Daemon::start_alone(folder.path(), &config(server.port(), &folder.path().join("heyun.db"), ""));
    let poison = |peer: &mut Peer| peer.0.write_all(&[0x32, 0xff, 0xff, 0xff, 0x7f]).unwrap();
    let mut peer = server.welcome(false);
    peer.grant();
    poison(&mut peer);
    for _ in 0..2 {
        poison(&mut server.welcome(true));
    }
    // Given up: a clean session drops it, and is left at once for a lasting one.
    let (mut peer, clean) = server.accept();
    assert!(clean);
    peer.connack(false);
    let mut peer = server.welcome(false);
    peer.grant();
    peer.publish(1, "meters/a/state", &reading(1));
    assert_eq!(peer.puback(), 1);
    assert!(d.wait_for_line("LOST").contains("ERROR"));
}
