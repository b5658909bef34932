//! The way to the broker: QoS 1, and a message counts as sent when the broker has acknowledged it.
//!
//! Two parts on one thread: [`Publisher::send`] puts messages into a queue, [`Publisher::work`] polls the client and writes what the window lets
//! through. What was not acknowledged when a connection broke goes to the front of the queue, whatever the broker remembers: a reading
//! that comes twice does no harm, one that is missing does.

use super::community::Message;
use crate::broker::Broker;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, Outgoing, Packet, Publish, QoS, Request, StateError};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Messages on the way to the broker and not acknowledged.
const WINDOW: u16 = 1_000;
/// Messages that wait for the window. Full: whoever sends waits.
const QUEUE: usize = 4_000;
/// Requests to the client that wait for its loop: each only wakes it. Full: it is about to wake.
const REQUESTS: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What became of the messages so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Given to the publisher.
    pub given: u64,
    pub acknowledged: u64,
    /// Sent a second time because the connection broke before they were acknowledged.
    pub sent_again: u64,
}

/// What a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Connected,
    /// With what the network said.
    Away(String),
    /// The broker does not want us: trying again will not help.
    Refused(String),
}

pub struct Publisher {
    client: AsyncClient,
    queue: RefCell<VecDeque<Publish>>,
    counts: Cell<Counts>,
    connected: Cell<bool>,
    /// Rung when there is room, and when something was acknowledged. One waits for it at a time.
    moved: Notify,
}

/// The half that [`Publisher::work`] drives.
pub struct Line {
    eventloop: EventLoop,
}

impl Publisher {
    pub fn new(broker: &Broker) -> (Publisher, Line) {
        let mut options = broker.options();
        options.set_inflight(WINDOW);
        let (client, mut eventloop) = AsyncClient::new(options, REQUESTS);
        // Otherwise the end of every window waits 40 ms for an acknowledgement of TCP's own.
        eventloop.network_options.set_tcp_nodelay(true);
        let publisher =
            Publisher { client, queue: RefCell::default(), counts: Cell::default(), connected: Cell::new(false), moved: Notify::new() };
        (publisher, Line { eventloop })
    }

    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// All that was given is acknowledged.
    pub fn is_idle(&self) -> bool {
        let c = self.counts.get();
        c.given == c.acknowledged
    }

    /// Puts a message in line; waits while the line is full.
    pub async fn send(&self, message: Message) {
        while self.queue.borrow().len() >= QUEUE {
            self.moved.notified().await;
        }
        // With nothing on the way no acknowledgement wakes the loop: then the message goes through the client's channel, which does. Is that
        // full, the loop is about to wake, and finds the message in the queue.
        let asleep = self.connected.get() && self.is_idle();
        self.count(|c| c.given += 1);
        let publish = Publish::new(&*message.topic, QoS::AtLeastOnce, message.payload);
        if asleep && self.client.try_publish(&publish.topic, publish.qos, false, publish.payload.clone()).is_ok() {
            return;
        }
        self.queue.borrow_mut().push_back(publish);
    }

    /// Says goodbye to the broker: [`Publisher::work`] ends with it.
    pub async fn goodbye(&self) {
        if self.connected.get() && self.client.try_disconnect().is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Waits until all that was given is acknowledged.
    pub async fn settled(&self) {
        while !self.is_idle() {
            self.moved.notified().await;
        }
    }

    /// Moves messages until goodbye is said, or the broker refuses us. `tell` hears of the connection's ups and downs.
    pub async fn work(&self, mut line: Line, tell: &dyn Fn(News)) {
        let mut pause = FIRST_PAUSE;
        let mut since = Instant::now();
        loop {
            let went = match line.eventloop.poll().await {
                Ok(event) => {
                    if let Event::Incoming(Packet::ConnAck(_)) = &event {
                        self.connected.set(true);
                        since = Instant::now();
                        tell(News::Connected);
                    }
                    if self.take(&mut line, event) {
                        return;
                    }
                    self.write(&mut line).await
                }
                Err(ConnectionError::ConnectionRefused(code)) => {
                    tell(News::Refused(format!("{code:?}")));
                    return;
                }
                Err(e) => Err(e.to_string()),
            };
            if let Err(text) = went {
                self.lost(&mut line, text, tell);
                if since.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Counts the acknowledgements among an event and those that came with it; true if goodbye was said.
    fn take(&self, line: &mut Line, first: Event) -> bool {
        let mut next = Some(first);
        let (mut acknowledged, mut goodbye) = (0, false);
        while let Some(event) = next {
            acknowledged += u64::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
            goodbye |= matches!(event, Event::Outgoing(Outgoing::Disconnect));
            next = line.eventloop.state.events.pop_front();
        }
        if acknowledged > 0 {
            self.count(|c| c.acknowledged += acknowledged);
            self.moved.notify_one();
        }
        goodbye
    }

    /// Writes as many messages as the window lets through, at once: each by itself would cost a system call.
    async fn write(&self, line: &mut Line) -> Result<(), String> {
        let Some(network) = line.eventloop.network.as_mut() else { return Ok(()) };
        let mut wrote = false;
        while line.eventloop.state.inflight() < WINDOW {
            let Some(publish) = self.queue.borrow_mut().pop_front() else { break };
            let kept = publish.clone();
            let written = match line.eventloop.state.handle_outgoing_packet(Request::Publish(publish)) {
                Ok(Some(packet)) => network.write(packet).await,
                // The packet id is still in use; the client keeps the message until it is free.
                Ok(None) => break,
                Err(e) => {
                    self.queue.borrow_mut().push_front(kept);
                    Err(e)
                }
            };
            written.map_err(|e: StateError| e.to_string())?;
            wrote = true;
        }
        if wrote {
            network.flush().await.map_err(|e| e.to_string())?;
            self.moved.notify_one();
        }
        Ok(())
    }

    /// Takes back what was on the way.
    fn lost(&self, line: &mut Line, text: String, tell: &dyn Fn(News)) {
        line.eventloop.clean();
        // What was read before the connection broke holds: the client waits for these acknowledgements no more.
        let acknowledged = line.eventloop.state.events.drain(..).filter(|e| matches!(e, Event::Incoming(Packet::PubAck(_)))).count();
        if acknowledged > 0 {
            self.count(|c| c.acknowledged += u64::try_from(acknowledged).unwrap_or_default());
            self.moved.notify_one();
        }
        let collided = line.eventloop.state.collision.take();
        let unanswered = line.eventloop.pending.drain(..).filter_map(|r| if let Request::Publish(p) = r { Some(p) } else { None });
        let mut again: Vec<Publish> = unanswered.chain(collided).collect();
        let written = again.iter().filter(|p| p.pkid != 0).count();
        self.count(|c| c.sent_again += u64::try_from(written).unwrap_or_default());
        let mut queue = self.queue.borrow_mut();
        while let Some(mut publish) = again.pop() {
            publish.pkid = 0;
            queue.push_front(publish);
        }
        if self.connected.replace(false) || self.counts().acknowledged == 0 {
            tell(News::Away(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Ts;
    use crate::sim::community::Sort;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_acknowledgement_counts_though_the_connection_breaks_behind_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Broker {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            client_id: "c".into(),
            credentials: None,
            ca: None,
        };
        let (publisher, line) = Publisher::new(&broker);
        publisher.send(Message { due: Ts(0), topic: "t".into(), payload: "1".into(), sort: Sort::Reading }).await;
        let falls = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 64];
            assert!(peer.read(&mut bytes).await.unwrap() > 0, "CONNECT");
            peer.write_all(&[0x20, 2, 0, 0]).await.unwrap();
            assert!(peer.read(&mut bytes).await.unwrap() > 0, "PUBLISH");
            // PUBACK of the first message, and what is no packet.
            peer.write_all(&[0x40, 2, 0, 1, 0xf0, 0]).await.unwrap();
            publisher.settled().await;
        };
        let either = async {
            tokio::select! {
                () = falls => {}
                () = publisher.work(line, &|_| {}) => panic!("nobody said goodbye"),
            }
        };
        tokio::time::timeout(Duration::from_secs(10), either).await.expect("it is acknowledged, whatever came behind it");
        assert_eq!(publisher.counts(), Counts { given: 1, acknowledged: 1, sent_again: 0 });
    }
}
