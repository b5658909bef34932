//! A publisher that counts as sent only what the broker has acknowledged.

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// One message.
pub struct Message {
    pub topic: String,
    pub payload: String,
}

/// Publishes at QoS 1, `per_second` of them, until all are acknowledged by the broker. `at` is called after each with how many were
/// handed over: a test does there what must happen under load.
pub fn publish(port: u16, per_second: u32, messages: Vec<Message>, mut at: impl FnMut(usize)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut options = MqttOptions::new("test-publisher", "127.0.0.1", port);
        options.set_inflight(1_000);
        let (client, mut events) = AsyncClient::new(options, 1_000);
        let wanted = messages.len();
        let acknowledged = tokio::spawn(async move {
            let mut n = 0;
            while n < wanted {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => n += 1,
                    Ok(_) => {}
                    Err(e) => panic!("the broker left: {e}"),
                }
            }
        });
        let chunk = (per_second / 100).max(1) as usize;
        let mut tick = interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for (i, m) in messages.into_iter().enumerate() {
            if i.is_multiple_of(chunk) {
                tick.tick().await;
            }
            client.publish(m.topic, QoS::AtLeastOnce, false, m.payload).await.unwrap();
            at(i + 1);
        }
        let end = Instant::now() + super::harness::PATIENCE;
        tokio::time::timeout_at(end, acknowledged).await.expect("the broker acknowledges").unwrap();
    });
}
