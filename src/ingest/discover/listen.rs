//! The connection: hears for a while, and says nothing. A client id of its own and a clean session keep it away from the daemon's.

use super::heard::Heard;
use crate::broker::Broker;
use crate::domain::time::Ts;
use crate::ingest::mqtt::BROKER_MESSAGE_LIMIT;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter, SubscribeReasonCode};
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// Requests to the client that wait for its loop: subscriptions and the goodbye. Full: they are refused, and asked again with the next connection.
const REQUESTS: usize = 16;
/// Far over what a broker lets through: one large message must not end the hearing.
const PACKET_LIMIT: usize = 8 * BROKER_MESSAGE_LIMIT;
/// How long the broker may take until it says that we hear it.
const WELCOME_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What a person should hear of while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// From now on messages are heard.
    Listening,
    /// A second has passed.
    Heard { topics: usize, messages: u64 },
    /// The connection broke, with what the network said; it is made again.
    Away(String),
}

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("the broker {broker} cannot be reached: {why}")]
    Away { broker: String, why: String },
    #[error("the broker {broker} refuses us: {why}; check user name and password")]
    Refused { broker: String, why: String },
    #[error("the broker {broker} did not answer within {} s", WELCOME_LIMIT.as_secs())]
    Silent { broker: String },
    #[error("the broker {broker} refuses to serve {filter:?}: its access list must let this user read it; --filter asks for less")]
    Filter { broker: String, filter: String },
}

/// Hears what comes by `filters` for as long as `span`, or until `stop`.
pub async fn listen(
    broker: &Broker,
    filters: &[String],
    span: Duration,
    heard: &RefCell<Heard>,
    clock: fn() -> Ts,
    stop: impl Future<Output = ()>,
    tell: &dyn Fn(News),
) -> Result<(), ListenError> {
    let (client, mut eventloop) = AsyncClient::new(options(broker), REQUESTS);
    let listening = Notify::new();
    let time_is_up = async {
        if timeout(WELCOME_LIMIT, listening.notified()).await.is_err() {
            return Err(ListenError::Silent { broker: broker.to_string() });
        }
        tell(News::Listening);
        let now_and_then = async {
            loop {
                sleep(SAY_EVERY).await;
                let h = heard.borrow();
                tell(News::Heard { topics: h.topics().count(), messages: h.messages() });
            }
        };
        tokio::select! {
            () = sleep(span) => Ok(()),
            () = now_and_then => Ok(()),
        }
    };
    // The polling is broken off only to say goodbye: what was half read then is of no use any more.
    let ended = tokio::select! {
        broke = Ear { broker, filters, client: &client, eventloop: &mut eventloop, listening: &listening }.hear(heard, clock, tell) => Err(broke),
        ended = time_is_up => ended,
        () = stop => Ok(()),
    };
    if ended.is_ok() && client.try_disconnect().is_ok() {
        // A goodbye that does not arrive is a connection that ends.
        let said = timeout(GOODBYE_LIMIT, goodbye(&mut eventloop)).await.is_ok();
        debug!(said, "goodbye");
    }
    ended
}

fn options(broker: &Broker) -> MqttOptions {
    let mut o = broker.options();
    o.set_max_packet_size(PACKET_LIMIT, PACKET_LIMIT);
    o
}

async fn goodbye(eventloop: &mut EventLoop) {
    loop {
        match eventloop.poll().await {
            Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return,
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
        }
    }
}

struct Ear<'a> {
    broker: &'a Broker,
    filters: &'a [String],
    client: &'a AsyncClient,
    eventloop: &'a mut EventLoop,
    /// Rung when the broker has taken the subscriptions.
    listening: &'a Notify,
}

impl Ear<'_> {
    /// Puts what comes into `heard`; ends only with what makes going on useless.
    async fn hear(self, heard: &RefCell<Heard>, clock: fn() -> Ts, tell: &dyn Fn(News)) -> ListenError {
        let mut was_listening = false;
        loop {
            match self.eventloop.poll().await {
                Ok(Event::Incoming(Packet::Publish(p))) => heard.borrow_mut().take(&p.topic, &p.payload, p.retain, clock()),
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let filters: Vec<_> = self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtMostOnce)).collect();
                    if let Err(e) = self.client.try_subscribe_many(filters) {
                        return ListenError::Away { broker: self.broker.to_string(), why: e.to_string() };
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(s))) => {
                    let refused = self.filters.iter().zip(&s.return_codes).find(|(_, c)| !matches!(c, SubscribeReasonCode::Success(_)));
                    if let Some((filter, _)) = refused {
                        return ListenError::Filter { broker: self.broker.to_string(), filter: filter.clone() };
                    }
                    was_listening = true;
                    self.listening.notify_one();
                }
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
                Err(ConnectionError::ConnectionRefused(code)) => {
                    return ListenError::Refused { broker: self.broker.to_string(), why: format!("{code:?}") };
                }
                Err(e) if !was_listening => return ListenError::Away { broker: self.broker.to_string(), why: e.to_string() },
                Err(e) => {
                    self.eventloop.clean();
                    tell(News::Away(e.to_string()));
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
