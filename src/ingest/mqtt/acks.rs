//! Acknowledgements on their way back.

use tokio::sync::mpsc;

/// Batches of acknowledgements. Full: the sender waits. It never fills in practice, because a batch has at least one message and
/// messages come through the same thread.
const BATCHES: usize = 64;

/// The right to acknowledge one message, on the connection by which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub(super) connection: u64,
    pub(super) packet: u16,
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
