//! The connection: polls the client, decodes, writes acknowledgements in batches.

use super::acks::AckToken;
use super::topics::Topics;
use super::{Arrival, BROKER_MESSAGE_LIMIT, CHUNK, FromBroker, LinkState, Settings, Status};
use crate::domain::engine::Input;
use crate::domain::reading::{Refused, Reject, excerpt};
use crate::ingest::decode::{self, Clock, Message};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, PubAck, Publish, QoS, StateError, SubscribeFilter,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long the broker may take to read what we write.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Requests to the client that wait for its loop: subscriptions and one acknowledgement that wakes it.
const REQUESTS: usize = 16;
/// A packet that cannot be read comes again with every connection. After so many times the session is given up.
const POISON_LIMIT: u32 = 3;
/// Room for topic and header beside the largest payload that the broker lets through.
const PACKET_LIMIT: usize = BROKER_MESSAGE_LIMIT + 128 * 1024;

/// What the two loops of the thread share. Neither holds a borrow across an `await`.
struct Shared {
    client: AsyncClient,
    /// Number of the present connection; 0 while there is none.
    connection: Cell<u64>,
    /// Packet ids of the present connection that may be acknowledged.
    ready: RefCell<Vec<u16>>,
    /// None when no more messages are taken.
    inbox: RefCell<Option<mpsc::Sender<FromBroker>>>,
}

pub(super) async fn run(
    settings: Arc<Settings>,
    inbox: mpsc::Sender<FromBroker>,
    committed: mpsc::Receiver<Vec<AckToken>>,
    stopped: watch::Receiver<bool>,
    status: watch::Sender<Status>,
) {
    let (client, eventloop) = AsyncClient::new(options(&settings), REQUESTS);
    let shared = Shared { client, connection: Cell::new(0), ready: RefCell::default(), inbox: RefCell::new(Some(inbox)) };
    let session = Session {
        topics: Topics::new(settings.subscriptions.clone()),
        settings,
        shared: &shared,
        eventloop,
        status,
        chunk: vec![],
        connections: 0,
        poison: 0,
    };
    tokio::select! {
        () = session.poll_for_ever() => {}
        () = take_committed(&shared, committed, stopped) => {}
    }
}

fn options(settings: &Settings) -> MqttOptions {
    let mut o = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    o.set_keep_alive(KEEP_ALIVE);
    o.set_clean_session(false);
    o.set_manual_acks(true);
    o.set_max_packet_size(PACKET_LIMIT, PACKET_LIMIT);
    if let Some((user, password)) = &settings.credentials {
        o.set_credentials(user, password);
    }
    if let Some(ca) = &settings.ca {
        o.set_transport(Transport::Tls(TlsConfiguration::Simple { ca: ca.clone(), alpn: None, client_auth: None }));
    }
    o
}

/// Takes what was committed until nobody can commit any more, then says goodbye.
async fn take_committed(shared: &Shared, mut committed: mpsc::Receiver<Vec<AckToken>>, mut stopped: watch::Receiver<bool>) {
    let mut listening = true;
    loop {
        tokio::select! {
            stop = stopped.wait_for(|s| *s), if listening => {
                // A dropped sender is a stop as well: nobody is left to give one.
                debug!(told = stop.is_ok(), "no more messages are taken");
                listening = false;
                shared.inbox.borrow_mut().take();
            }
            batch = committed.recv() => match batch {
                Some(tokens) => shared.acknowledge(tokens),
                None => break,
            },
        }
    }
    if shared.connection.get() == 0 {
        return;
    }
    // The queue is in order: the acknowledgements that wait go first. A refused goodbye means that the connection is just lost.
    if shared.client.disconnect().await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
}

impl Shared {
    /// Queues acknowledgements and wakes the poll loop by handing one of them to the client in the ordinary way; when the client
    /// has sent it, the loop writes all others at once. (Each by itself would cost a system call.)
    fn acknowledge(&self, tokens: Vec<AckToken>) {
        let present = self.connection.get();
        let mut ids = tokens.into_iter().filter(|t| t.connection == present && present != 0).map(|t| t.packet);
        let Some(first) = ids.next() else { return };
        self.ready.borrow_mut().extend(ids);
        let mut publish = Publish::new("", QoS::AtLeastOnce, "");
        publish.pkid = first;
        if self.client.try_ack(&publish).is_err() {
            // The client's queue is full, so it is about to wake anyway.
            self.ready.borrow_mut().push(first);
        }
    }
}

struct Session<'a> {
    settings: Arc<Settings>,
    shared: &'a Shared,
    eventloop: EventLoop,
    topics: Topics,
    status: watch::Sender<Status>,
    chunk: Vec<Arrival>,
    connections: u64,
    poison: u32,
}

impl Session<'_> {
    /// Never cancelled while a poll is under way, except by the end of the thread.
    async fn poll_for_ever(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.eventloop.poll().await {
                Ok(first) => {
                    pause = FIRST_PAUSE;
                    if self.take(first).await.is_break() {
                        return;
                    }
                }
                Err(e) => {
                    self.lost(&e).await;
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Takes one event and all that came with it.
    async fn take(&mut self, first: Event) -> std::ops::ControlFlow<()> {
        let (now, sure) = (self.settings.clock)();
        let clock = Clock { now, sure, since: self.settings.since };
        let mut write = false;
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Incoming(Packet::Publish(p)) => self.message(&p, clock),
                Event::Incoming(Packet::ConnAck(c)) => self.connected(c.session_present).await,
                Event::Incoming(Packet::SubAck(s)) => self.subscribed(&s.return_codes),
                Event::Outgoing(Outgoing::PubAck(_)) => write = true,
                Event::Outgoing(Outgoing::Disconnect) => return std::ops::ControlFlow::Break(()),
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
            if self.chunk.len() >= CHUNK {
                self.hand_over().await;
            }
            next = self.eventloop.state.events.pop_front();
        }
        if write {
            self.write_acks().await;
        }
        self.hand_over().await;
        std::ops::ControlFlow::Continue(())
    }

    fn message(&mut self, p: &Publish, clock: Clock) {
        if self.shared.inbox.borrow().is_none() {
            return;
        }
        let ack = (p.qos != QoS::AtMostOnce).then_some(AckToken { connection: self.connections, packet: p.pkid });
        let (topic, spec) = self.topics.find(&p.topic);
        let input = match spec {
            Some(spec) => match decode::decode(spec, Message { topic, payload: &p.payload, retained: p.retain }, clock) {
                Ok(reading) => Input::Reading(reading),
                Err(refused) => Input::Refused(refused),
            },
            None => Input::Refused(Refused { feed: None, topic, received: clock.now, reason: Reject::Topic, excerpt: excerpt(&p.payload) }),
        };
        if let Input::Refused(r) = &input {
            debug!(topic = %r.topic, reason = %r.reason, payload = %r.excerpt, "message refused");
        }
        self.chunk.push(Arrival { input, received: clock.now, ack });
    }

    /// Waits while the engine is busy: that is how the broker learns to keep the rest.
    async fn hand_over(&mut self) {
        if !self.chunk.is_empty() {
            // What could not be read stood behind these messages; they came through, so it did too.
            self.poison = if self.chunk.len() > 1 { 0 } else { self.poison };
            let chunk = std::mem::take(&mut self.chunk);
            self.tell(FromBroker::Messages(chunk)).await;
        }
    }

    async fn tell(&self, what: FromBroker) {
        let inbox = self.shared.inbox.borrow().clone();
        if let Some(inbox) = inbox
            && inbox.send(what).await.is_err()
        {
            // The engine is gone; un-acknowledged messages come again with the next process.
            self.shared.inbox.borrow_mut().take();
        }
    }

    async fn connected(&mut self, session_present: bool) {
        self.connections += 1;
        // After a session was given up for a packet that could not be read, the next one is lasting again.
        self.eventloop.mqtt_options.set_clean_session(false);
        self.shared.connection.set(self.connections);
        self.status.send_modify(|s| {
            s.state = LinkState::Connected;
            s.since = (self.settings.clock)().0;
            s.connects = self.connections;
            s.last_error = None;
        });
        info!(host = %self.settings.host, port = self.settings.port, session_present, "connected to the broker");
        // Once a process, since the config may name other topics than the session; and whenever the broker forgot the session.
        if self.connections == 1 || !session_present {
            let filters = self.settings.subscriptions.iter().map(|s| SubscribeFilter::new(s.filter.clone(), QoS::AtLeastOnce));
            if let Err(e) = self.shared.client.try_subscribe_many(filters.collect::<Vec<_>>()) {
                error!(error = %e, "the subscriptions could not be sent");
            }
        }
        self.tell(FromBroker::Connected).await;
    }

    fn subscribed(&mut self, codes: &[SubscribeReasonCode]) {
        let filters = self.settings.subscriptions.iter().zip(codes);
        let refused: Vec<String> =
            filters.filter(|(_, c)| matches!(c, SubscribeReasonCode::Failure)).map(|(s, _)| s.filter.clone()).collect();
        for f in &refused {
            error!(filter = %f, "the broker refuses this subscription: its access list must let this user read it");
        }
        self.status.send_modify(|s| s.refused_filters = refused);
    }

    async fn lost(&mut self, e: &ConnectionError) {
        let was_connected = self.shared.connection.replace(0) != 0;
        self.shared.ready.borrow_mut().clear();
        self.chunk.clear();
        // Acknowledgements that were queued before the line above belong to the lost connection.
        self.eventloop.clean();
        let text = describe(e);
        let news = self.status.borrow().last_error.as_deref() != Some(&text);
        self.status.send_modify(|s| {
            if s.state == LinkState::Connected {
                s.state = LinkState::Away;
                s.since = (self.settings.clock)().0;
            }
            s.last_error = Some(text.clone());
        });
        if news {
            warn!(host = %self.settings.host, port = self.settings.port, error = %text, "no broker; trying again");
        }
        if was_connected {
            self.tell(FromBroker::Disconnected).await;
        }
        if matches!(e, ConnectionError::MqttState(StateError::Deserialization(_))) {
            self.poison += 1;
            if self.poison >= POISON_LIMIT {
                self.poison = 0;
                error!(error = %text, "a packet cannot be read and comes again with every connection: the session is given up once; what waited in it is LOST");
                self.eventloop.mqtt_options.set_clean_session(true);
            }
        }
    }

    /// Writes all waiting acknowledgements with one flush.
    async fn write_acks(&mut self) {
        let ids = std::mem::take(&mut *self.shared.ready.borrow_mut());
        let Some(network) = self.eventloop.network.as_mut() else { return };
        let written = timeout(WRITE_LIMIT, async {
            for id in ids {
                network.write(Packet::PubAck(PubAck::new(id))).await?;
            }
            network.flush().await
        });
        let failed = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("the broker read nothing for {} s", WRITE_LIMIT.as_secs()),
        };
        warn!(error = %failed, "acknowledgements could not be sent; the messages will come again");
        // The client notices a dead connection at its next poll, which makes a new one.
        self.lost(&ConnectionError::FlushTimeout).await;
    }
}

fn describe(e: &ConnectionError) -> String {
    match e {
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses us: {code:?}; check user name, password and client id"),
        ConnectionError::Io(io) => io.to_string(),
        other => other.to_string(),
    }
}
