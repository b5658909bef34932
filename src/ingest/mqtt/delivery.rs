//! What may be acknowledged, on which connection, and when the session must be asked for anew. Pure bookkeeping: the connection
//! itself is [`session`](super::session)'s.
//!
//! The rule that everything rests on: a packet id is worth something on the connection by which it came, and on no other. Brokers
//! use the numbers again, so an id of a lost connection could acknowledge a message that nobody has stored.

use tokio::sync::mpsc;

/// Batches of acknowledgements. Full: the sender waits. It never fills in practice, because a batch has at least one message and
/// messages come through the same thread.
const BATCHES: usize = 64;

/// A packet that cannot be read and comes again with each connection is given up, with all that waits beside it, after so many.
const POISON_LIMIT: u32 = 3;

/// The right to acknowledge one message, on the connection by which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    connection: u64,
    packet: u16,
}

/// Hands committed messages' tokens to the MQTT thread.
#[derive(Clone, Debug)]
pub struct AckSender(mpsc::Sender<Vec<AckToken>>);

impl AckSender {
    /// What these messages carried is durable: the broker may forget them. Blocks; not for async code. False if the MQTT thread
    /// is gone, in which case the messages will come again.
    #[must_use]
    pub fn committed(&self, tokens: Vec<AckToken>) -> bool {
        tokens.is_empty() || self.0.blocking_send(tokens).is_ok()
    }
}

pub(super) fn channel() -> (AckSender, mpsc::Receiver<Vec<AckToken>>) {
    let (tx, rx) = mpsc::channel(BATCHES);
    (AckSender(tx), rx)
}

/// What must be done with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// The session stands, with our subscriptions in it.
    GoOn,
    Subscribe,
}

/// What must be done after a packet that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poison {
    /// It may have been an accident.
    TryAgain,
    /// It comes again and again: give the session up, once.
    GiveUp,
    /// That was done once already and did not help; giving up again would only lose more.
    Stuck,
}

/// The state of delivery over all connections of the process.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Number of the newest connection.
    connection: u64,
    alive: bool,
    /// Packet ids of the living connection that may be acknowledged.
    ready: Vec<u16>,
    /// The broker has confirmed our subscriptions for the session as it is.
    subscribed: bool,
    poisoned: u32,
    gave_up: bool,
}

impl Delivery {
    /// The connection stands. Once a process it is subscribed anew, since the config may name other topics than the session.
    pub fn connected(&mut self, session_present: bool) -> Welcome {
        self.connection += 1;
        self.alive = true;
        self.ready.clear();
        self.subscribed &= session_present;
        if self.subscribed { Welcome::GoOn } else { Welcome::Subscribe }
    }

    pub fn subscribed(&mut self) {
        self.subscribed = true;
    }

    /// The connection is gone; true if there was one. Messages that were read from it keep its number.
    pub fn lost(&mut self) -> bool {
        self.ready.clear();
        std::mem::take(&mut self.alive)
    }

    pub fn is_alive(&self) -> bool {
        self.alive
    }

    pub fn connections(&self) -> u64 {
        self.connection
    }

    /// The token of a message that came by the newest connection.
    pub fn token(&self, packet: u16) -> AckToken {
        AckToken { connection: self.connection, packet }
    }

    /// Takes committed messages. Gives one of their ids, to be sent in the client's ordinary way, which wakes it; the others wait for
    /// [`Delivery::take_ready`]. None: they came by a connection that is gone, and will come again.
    pub fn committed(&mut self, tokens: &[AckToken]) -> Option<u16> {
        let mut ids = tokens.iter().filter(|t| self.alive && t.connection == self.connection).map(|t| t.packet);
        let first = ids.next()?;
        self.ready.extend(ids);
        Some(first)
    }

    /// An id that could not be sent in the ordinary way waits with the others.
    pub fn put_back(&mut self, packet: u16) {
        self.ready.push(packet);
    }

    pub fn take_ready(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.ready)
    }

    /// Acknowledgements were written: what stands at the head of the queue moves on.
    pub fn progressed(&mut self) {
        self.poisoned = 0;
    }

    /// A packet could not be read.
    pub fn poisoned(&mut self) -> Poison {
        self.poisoned += 1;
        if self.poisoned < POISON_LIMIT {
            return Poison::TryAgain;
        }
        self.poisoned = 0;
        if std::mem::replace(&mut self.gave_up, true) { Poison::Stuck } else { Poison::GiveUp }
    }

    /// The session was made for one connection only, to drop what was in it.
    pub fn forgotten(&mut self) {
        self.subscribed = false;
        self.alive = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_worth_nothing_on_the_next_connection() {
        let mut d = Delivery::default();
        d.connected(false);
        let old = [d.token(1), d.token(2)];
        assert_eq!(d.committed(&old), Some(1));
        assert!(d.lost());
        assert_eq!(d.committed(&old), None, "no connection");
        assert_eq!(d.take_ready(), [0u16; 0], "what waited is void");
        d.connected(true);
        assert_eq!(d.committed(&old), None, "the numbers are the broker's to use again");
        let both = [old[0], d.token(1), d.token(7), d.token(8)];
        assert_eq!(d.committed(&both), Some(1));
        assert_eq!(d.take_ready(), [7, 8]);
    }

    #[test]
    fn a_subscription_counts_when_it_is_confirmed_and_as_long_as_the_session_lives() {
        let mut d = Delivery::default();
        assert_eq!(d.connected(true), Welcome::Subscribe, "the first of a process, always");
        d.lost();
        assert_eq!(d.connected(true), Welcome::Subscribe, "it was lost on its way");
        d.subscribed();
        d.lost();
        assert_eq!(d.connected(true), Welcome::GoOn);
        d.lost();
        assert_eq!(d.connected(false), Welcome::Subscribe, "the broker forgot it");
    }

    #[test]
    fn a_session_is_given_up_once_and_only_without_progress() {
        let mut d = Delivery::default();
        assert_eq!([d.poisoned(), d.poisoned()], [Poison::TryAgain; 2]);
        d.progressed();
        assert_eq!([d.poisoned(), d.poisoned(), d.poisoned()], [Poison::TryAgain, Poison::TryAgain, Poison::GiveUp]);
        assert_eq!([d.poisoned(), d.poisoned(), d.poisoned()], [Poison::TryAgain, Poison::TryAgain, Poison::Stuck]);
    }
}
