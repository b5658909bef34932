//! The connection: polls the client, decodes what comes, writes acknowledgements in batches.

use super::delivery::{AckToken, Delivery, Poison, Welcome};
use super::topics::Topics;
use super::{Arrival, BROKER_MESSAGE_LIMIT, FromBroker, LinkState, Settings, Status};
use crate::broker::Broker;
use crate::domain::engine::Input;
use crate::domain::reading::{Refused, Reject, excerpt};
use crate::domain::topology::LONGEST_TOPIC;
use crate::ingest::decode::{self, Clock, Message};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, PubAck, Publish, QoS, StateError, SubscribeFilter,
    SubscribeReasonCode,
};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that held this long was a good one: after it the pauses begin anew.
const GOOD: Duration = Duration::from_secs(30);
/// How long the broker may take to read what we write.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Requests to the client that wait for its loop: subscriptions and one acknowledgement that wakes it.
const REQUESTS: usize = 16;
/// A packet over this cannot be read, and comes again with every connection. So it is far over what the shipped broker lets through: a
/// broker with another limit must not be able to block us with a message that we only want to count as too large.
const PACKET_LIMIT: usize = 8 * BROKER_MESSAGE_LIMIT;

/// What the two loops of the thread share. Neither holds a borrow across an `await`.
struct Shared {
    client: AsyncClient,
    delivery: RefCell<Delivery>,
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
    let (client, eventloop) = AsyncClient::new(options(&settings.broker), REQUESTS);
    let shared = Shared { client, delivery: RefCell::default(), inbox: RefCell::new(Some(inbox)) };
    let session = Session {
        topics: Topics::new(settings.subscriptions.clone()),
        settings,
        shared: &shared,
        eventloop,
        status,
        decoded: vec![],
        chunk: vec![],
        since: Instant::now(),
        last_said: None,
    };
    tokio::select! {
        () = session.poll_for_ever() => {}
        () = take_committed(&shared, committed, stopped) => {}
    }
}

fn options(broker: &Broker) -> MqttOptions {
    let mut o = broker.options();
    o.set_clean_session(false);
    o.set_manual_acks(true);
    o.set_max_packet_size(PACKET_LIMIT, PACKET_LIMIT);
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
                Some(tokens) => shared.acknowledge(&tokens),
                None => break,
            },
        }
    }
    if !shared.delivery.borrow().is_alive() {
        return;
    }
    // The queue is in order: the acknowledgements that wait go first. A refused goodbye means that the connection is just lost.
    if shared.client.disconnect().await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
}

impl Shared {
    /// Hands one acknowledgement to the client in the ordinary way; when it has sent that, the poll loop writes all others at once.
    /// (Each by itself would cost a system call.)
    fn acknowledge(&self, tokens: &[AckToken]) {
        let mut delivery = self.delivery.borrow_mut();
        let Some(first) = delivery.committed(tokens) else { return };
        let mut publish = Publish::new("", QoS::AtLeastOnce, "");
        publish.pkid = first;
        if self.client.try_ack(&publish).is_err() {
            // The client's queue is full, so it is about to wake anyway.
            delivery.put_back(first);
        }
    }
}

/// How taking an event ended.
enum Went {
    On,
    /// The connection is lost, or was given up on purpose.
    Away,
    /// We have said goodbye.
    Goodbye,
}

struct Session<'a> {
    settings: Arc<Settings>,
    shared: &'a Shared,
    eventloop: EventLoop,
    topics: Topics,
    status: watch::Sender<Status>,
    /// What one message came to; empty between messages.
    decoded: Vec<Input>,
    /// Decoded, not yet handed over.
    chunk: Vec<Arrival>,
    /// When the newest connection was made.
    since: Instant,
    /// The newest failure that the log has, until a connection held.
    last_said: Option<String>,
}

impl Session<'_> {
    /// Never cancelled while a poll is under way, except by the end of the thread.
    async fn poll_for_ever(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let went = match self.eventloop.poll().await {
                Ok(first) => self.take(first).await,
                Err(e) => {
                    self.lost(&e).await;
                    Went::Away
                }
            };
            match went {
                Went::On => continue,
                Went::Goodbye => return,
                Went::Away => {}
            }
            if self.shared.inbox.borrow().is_none() {
                // Stopping: a new connection would be of no use.
                return;
            }
            if self.since.elapsed() > GOOD {
                pause = FIRST_PAUSE;
                self.last_said = None;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn clock(&self) -> Clock {
        let (now, sure) = (self.settings.clock)();
        Clock { now, sure, since: self.settings.since }
    }

    /// Takes one event and all that came with it: the client reads up to nine packets at a time.
    async fn take(&mut self, first: Event) -> Went {
        let clock = self.clock();
        let mut write = false;
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Incoming(Packet::Publish(p)) => self.message(&p, clock),
                Event::Incoming(Packet::ConnAck(c)) => {
                    if !self.connected(c.session_present).await {
                        return Went::Away;
                    }
                }
                Event::Incoming(Packet::SubAck(s)) => self.subscribed(&s.return_codes),
                Event::Outgoing(Outgoing::PubAck(_)) => write = true,
                Event::Outgoing(Outgoing::Disconnect) => return Went::Goodbye,
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
            next = self.eventloop.state.events.pop_front();
        }
        let written = if write { self.write_acks().await } else { Ok(()) };
        self.hand_over().await;
        match written {
            Ok(()) => Went::On,
            Err(text) => {
                warn!(error = %text, "acknowledgements could not be sent; the messages will come again");
                self.lost(&ConnectionError::FlushTimeout).await;
                Went::Away
            }
        }
    }

    fn message(&mut self, p: &Publish, clock: Clock) {
        if self.shared.inbox.borrow().is_none() {
            return;
        }
        let ack = (p.qos != QoS::AtMostOnce).then(|| self.shared.delivery.borrow().token(p.pkid));
        if p.topic.len() > LONGEST_TOPIC {
            // No meter can be configured for it, and it is not to be remembered whole.
            let topic = format!("{}…", &p.topic[..p.topic.floor_char_boundary(LONGEST_TOPIC)]).into();
            let excerpt = excerpt(&p.payload);
            self.decoded.push(Input::Refused(Refused { feed: None, topic, received: clock.now, reason: Reject::Topic, excerpt }));
            return self.hand_out(ack, clock);
        }
        let (known, spec) = self.topics.find(&p.topic);
        match spec {
            Some(spec) => {
                let message = Message { source: known.source, topic: known.topic, payload: &p.payload, retained: p.retain };
                decode::decode(spec, &message, clock, &mut self.decoded);
            }
            None => {
                let (topic, excerpt) = (known.topic, excerpt(&p.payload));
                self.decoded.push(Input::Refused(Refused { feed: None, topic, received: clock.now, reason: Reject::Topic, excerpt }));
            }
        }
        self.hand_out(ack, clock);
    }

    /// Puts what one message came to into the chunk.
    fn hand_out(&mut self, ack: Option<AckToken>, clock: Clock) {
        let last = self.decoded.len().saturating_sub(1);
        for (i, input) in self.decoded.drain(..).enumerate() {
            if let Input::Refused(r) = &input {
                debug!(topic = %r.topic, reason = %r.reason, payload = %r.excerpt, "message refused");
            }
            // A message with several readings is stored when its last one is.
            self.chunk.push(Arrival { input, received: clock.now, ack: ack.filter(|_| i == last) });
        }
    }

    /// Waits while the engine is busy: that is how the broker learns to keep the rest.
    async fn hand_over(&mut self) {
        if !self.chunk.is_empty() {
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

    /// False if this connection was only made to drop a session, and must be left for a lasting one.
    async fn connected(&mut self, session_present: bool) -> bool {
        if self.eventloop.mqtt_options.clean_session() {
            self.eventloop.mqtt_options.set_clean_session(false);
            self.eventloop.clean();
            self.eventloop.state.events.clear();
            self.shared.delivery.borrow_mut().forgotten();
            return false;
        }
        self.since = Instant::now();
        let welcome = self.shared.delivery.borrow_mut().connected(session_present);
        let connects = self.shared.delivery.borrow().connections();
        self.status.send_modify(|s| {
            s.state = LinkState::Connected;
            s.since = (self.settings.clock)().0;
            s.connects = connects;
            s.last_error = None;
        });
        info!(broker = %self.settings.broker, session_present, "connected to the broker");
        self.tell(FromBroker::Connected).await;
        if welcome == Welcome::Subscribe {
            let filters = self.topics.filters().into_iter().map(|f| SubscribeFilter::new(f, QoS::AtLeastOnce));
            if let Err(e) = self.shared.client.try_subscribe_many(filters.collect::<Vec<_>>()) {
                error!(error = %e, "the subscriptions could not be sent");
            }
            // The session knows them still, and what nobody reads would come for ever.
            for f in &self.settings.former {
                if let Err(e) = self.shared.client.try_unsubscribe(f.clone()) {
                    warn!(error = %e, filter = f, "a subscription that holds no more could not be ended: what comes by it is counted as rejected");
                }
            }
        }
        true
    }

    fn subscribed(&mut self, codes: &[SubscribeReasonCode]) {
        self.shared.delivery.borrow_mut().subscribed();
        let granted = |c: &SubscribeReasonCode| matches!(c, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce));
        let filters = self.topics.filters().into_iter().zip(codes);
        let refused: Vec<String> = filters.filter(|(_, c)| !granted(c)).map(|(f, _)| f).collect();
        for f in &refused {
            error!(filter = %f, "the broker refuses this subscription at QoS 1: its access list must let this user read it");
        }
        info!(filters = codes.len(), refused = refused.len(), "subscribed");
        self.status.send_modify(|s| s.refused_filters = refused);
    }

    async fn lost(&mut self, e: &ConnectionError) {
        let was_connected = self.shared.delivery.borrow_mut().lost();
        // Drops acknowledgements that were queued for the lost connection.
        self.eventloop.clean();
        // Read before the connection broke, and still waiting in the client: they belong to the lost connection, and carry its number.
        let clock = self.clock();
        while let Some(event) = self.eventloop.state.events.pop_front() {
            match event {
                Event::Incoming(Packet::Publish(p)) => self.message(&p, clock),
                Event::Incoming(Packet::SubAck(s)) => self.subscribed(&s.return_codes),
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
        self.hand_over().await;
        let text = describe(e);
        self.status.send_modify(|s| {
            if s.state == LinkState::Connected {
                s.state = LinkState::Away;
                s.since = clock.now;
            }
            s.last_error = Some(text.clone());
        });
        if self.last_said.as_ref() != Some(&text) {
            warn!(broker = %self.settings.broker, error = %text, "no broker; trying again");
            self.last_said = Some(text.clone());
        }
        if was_connected {
            self.tell(FromBroker::Disconnected).await;
        }
        if unreadable(e) {
            self.poisoned(&text);
        }
    }

    fn poisoned(&mut self, text: &str) {
        match self.shared.delivery.borrow_mut().poisoned() {
            Poison::TryAgain => {}
            Poison::GiveUp => {
                error!(
                    error = text,
                    "a packet cannot be read and comes again with every connection: the session is given up once; what waited in it is LOST"
                );
                self.eventloop.mqtt_options.set_clean_session(true);
            }
            Poison::Stuck => error!(
                error = text,
                "a packet cannot be read and comes again even in a new session: a retained message? Set the broker's message_size_limit to {BROKER_MESSAGE_LIMIT} and remove it"
            ),
        }
    }

    /// Writes all waiting acknowledgements with one flush.
    async fn write_acks(&mut self) -> Result<(), String> {
        let ids = self.shared.delivery.borrow_mut().take_ready();
        let Some(network) = self.eventloop.network.as_mut() else { return Ok(()) };
        let written = timeout(WRITE_LIMIT, async {
            for id in ids {
                network.write(Packet::PubAck(PubAck::new(id))).await?;
            }
            network.flush().await
        });
        match written.await {
            Ok(Ok(())) => {
                self.shared.delivery.borrow_mut().progressed();
                Ok(())
            }
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(format!("the broker read nothing for {} s", WRITE_LIMIT.as_secs())),
        }
    }
}

/// True if the bytes were at fault, not the wire. (The client reports failures of the wire as packets, too.)
fn unreadable(e: &ConnectionError) -> bool {
    matches!(e, ConnectionError::MqttState(StateError::Deserialization(p)) if !matches!(p, PacketError::Io(_)))
}

fn describe(e: &ConnectionError) -> String {
    match e {
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses us: {code:?}; check user name, password and client id"),
        ConnectionError::Io(io) => io.to_string(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker ended the connection (if this repeats: another client with our client id?)".to_owned()
        }
        other => other.to_string(),
    }
}
