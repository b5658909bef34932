//! The loop of one channel: what waits, what is sent of it now, what became of that.

use super::client::Client;
use super::facts::Facts;
use super::plan::{self, Step, Waiting, Window};
use super::trouble::{Retry, Trouble};
use super::{Form, GIVEN_UP_AFTER, Handles, Language, Settings, Status, webhook, wecom, words};
use crate::domain::incident::{Event, Incident, NoticeKind, Urgency};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Topology;
use crate::history;
use crate::store::{Done, Mark, MarkRefused, Pending, PendingEntry, ReadError, Reader};
use crate::texts::Text;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot, watch};
use tracing::{error, info, warn};

/// Entries looked at at once; with more than these, the rest waits for its turn.
const AT_ONCE: usize = 500;
/// While the store cannot be read or marked, it is asked again this often.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How soon a full queue of the store has room again.
const QUEUE_AGAIN: Duration = Duration::from_millis(20);
/// A message that was refused itself is tried again this often, beside the others.
const REFUSED_AGAIN: Ms = Ms::hours(1);
/// Failures in a row after which the channel counts as tried.
const TRIED: u32 = 3;
/// The log's last minute is looked up at the start.
const MINUTE: Ms = Ms::minutes(1);

/// An incident that waits, with the entries that are told with it.
struct Item {
    entries: Vec<i64>,
    facts: Facts,
}

pub(super) struct Task {
    nth: usize,
    settings: Settings,
    handles: Handles,
    client: Arc<Client>,
    turn: Arc<Semaphore>,
    status: watch::Sender<Vec<Status>>,
    started: Instant,
    window: Window,
    /// Failures in a row.
    failures: u32,
    /// Nothing is sent before this.
    pause_until: Ms,
    /// Entries of messages that were refused themselves, and when they are tried again.
    aside: HashMap<i64, Ms>,
    /// When the channel last took something: every message has its own time in the log.
    last_taken: Ts,
    seed: u64,
}

/// Why a turn ended without a message.
enum Rest {
    /// Until something new comes.
    Idle,
    /// Until then, or until something new comes.
    Until(Ms),
    /// The store is closed: the end.
    Over,
}

impl Task {
    pub(super) fn new(
        nth: usize,
        settings: Settings,
        handles: Handles,
        client: Arc<Client>,
        turn: Arc<Semaphore>,
        status: watch::Sender<Vec<Status>>,
    ) -> Task {
        Task {
            nth,
            settings,
            handles,
            client,
            turn,
            status,
            started: Instant::now(),
            window: Window::default(),
            failures: 0,
            pause_until: Ms(0),
            aside: HashMap::new(),
            last_taken: Ts(0),
            // Any number that differs from run to run and from gateway to gateway.
            seed: RandomState::new().build_hasher().finish(),
        }
    }

    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        self.begin().await;
        loop {
            // What is committed from here on wakes the wait below.
            self.handles.committed.mark_unchanged();
            let rest = self.turn(&stopped).await;
            let until = match rest {
                Rest::Idle => None,
                Rest::Until(at) => Some(at),
                Rest::Over => break,
            };
            let now = self.now();
            let timer = async {
                match until {
                    Some(at) => tokio::time::sleep(Duration::from_millis(u64::try_from((at - now).0).unwrap_or(0))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A dropped sender is a stop as well.
                _ = stopped.wait_for(|s| *s) => break,
                () = timer => {}
                committed = self.handles.committed.changed() => if committed.is_err() { break },
            }
        }
        // Where engine or store are gone, the stop follows: this is not a part that ended by itself.
        drop(stopped.wait_for(|s| *s).await);
    }

    /// Milliseconds since the start, on a clock that only goes forward.
    fn now(&self) -> Ms {
        Ms(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// What an earlier process sent in the last minute counts, and one more that it may have had on its way.
    async fn begin(&mut self) {
        let since = (self.handles.clock)() - MINUTE;
        let name = self.settings.name.clone();
        let asked = self.ask(move |r| Ok((r.taken_since(&name, since)?, r.last_taken(&name)?))).await;
        let Some((taken, last)) = asked else { return };
        let (now, wall) = (self.now(), (self.handles.clock)());
        for at in &taken {
            self.window.called(now - (wall - *at).clamp(Ms::ZERO, MINUTE));
        }
        if !taken.is_empty() {
            self.window.called(now);
        }
        self.last_taken = last.unwrap_or_default();
        self.report(|s| s.last_sent = last);
    }

    /// Sends what is to be sent now; why it rests then.
    async fn turn(&mut self, stopped: &watch::Receiver<bool>) -> Rest {
        loop {
            if *stopped.borrow() {
                return Rest::Over;
            }
            if self.now() < self.pause_until {
                let name = self.settings.name.clone();
                if let Some(pending) = self.ask(move |r| r.pending(&name, 0)).await {
                    self.report(|s| s.pending = pending.total);
                }
                return Rest::Until(self.pause_until);
            }
            let (topology, snapshot) = (self.handles.topology.clone(), self.handles.snapshot.borrow().clone());
            let (name, clock) = (self.settings.name.clone(), self.handles.clock);
            let asked = self.ask(move |r| {
                let pending = r.pending(&name, AT_ONCE)?;
                let gathered =
                    gather(r, &pending, &|incident, kinds, newest| Facts::of(incident, kinds, newest, &topology, &snapshot, clock()))?;
                Ok((pending, gathered))
            });
            let Some((pending, gathered)) = asked.await else { return Rest::Until(self.now() + ms(STORE_AGAIN)) };
            self.report(|s| s.pending = pending.total);
            if !self.give_up(&pending, gathered.untellable).await {
                return Rest::Over;
            }
            let now = self.now();
            if pending.total == 0 {
                self.aside.clear();
                return Rest::Idle;
            }
            self.aside.retain(|_, until| *until > now);
            let mut items: Vec<Item> =
                gathered.items.into_iter().filter(|i| !i.entries.iter().all(|id| self.aside.contains_key(id))).collect();
            let step = match &self.settings.form {
                Form::Webhook { .. } => (!items.is_empty()).then_some(Step::Single(0)),
                Form::Wecom { .. } => plan::next(&self.waiting(&items), &self.window, now, self.room(items.len())),
            };
            let (mut told, listed) = match step {
                // All that waits was refused before.
                None => return self.aside.values().min().map_or(Rest::Idle, |at| Rest::Until(*at)),
                Some(Step::Wait(until)) => return Rest::Until(until),
                Some(Step::Single(i)) => (items.drain(i..=i).collect::<Vec<Item>>(), 1),
                // The merged ones are the first.
                Some(Step::Digest { items: merged, listed }) => (items.drain(..merged.len()).collect(), listed),
            };
            // A line of a digest says no volume: it is asked for where it is told.
            if let [one] = told.as_mut_slice() {
                let (topology, snapshot) = (self.handles.topology.clone(), self.handles.snapshot.borrow().clone());
                let (incident, now) = (one.facts.incident.clone(), clock());
                let asked = self.ask(move |r| history::since_start(&incident, &topology, &snapshot, r, now)).await;
                let Some(water) = asked else { return Rest::Until(self.now() + ms(STORE_AGAIN)) };
                // Nothing passed yet: then there is nothing to say of it.
                one.facts.passed = water.and_then(|w| w.volume).filter(|v| v.0 > 0);
            }
            let entries: Vec<i64> = told.iter().flat_map(|i| i.entries.iter().copied()).collect();
            let outcome = self.send(&told, listed).await;
            let ended = self.now();
            self.window.called(ended);
            match outcome {
                Ok(()) => {
                    self.taken();
                    let mark = Mark { entries, at: self.last_taken, done: Done::Delivered };
                    if !self.mark(mark).await {
                        return Rest::Over;
                    }
                }
                Err((trouble, retry)) => self.refused(trouble, retry, &entries, ended),
            }
        }
    }

    /// What the planner needs to know.
    fn waiting(&self, items: &[Item]) -> Vec<Waiting> {
        let line = |i: &Item| self.text(words::line(&i.facts, &self.handles.topology)).len() + 1;
        items.iter().map(|i| Waiting { urgent: i.facts.urgency() == Urgency::Urgent, line: line(i) }).collect()
    }

    /// Bytes that a digest's head and its last line leave for the others.
    fn room(&self, n: usize) -> usize {
        let around = self.text(words::digest_head(n)).len() + self.text(words::digest_more(n)).len() + 2;
        wecom::TEXT_BYTES.saturating_sub(around)
    }

    fn text(&self, t: Text) -> String {
        match self.settings.language {
            Language::Chinese => t.zh,
            Language::English => t.en,
        }
    }

    /// One message about these; of a digest the first `listed` have a line.
    async fn send(&self, told: &[Item], listed: usize) -> Result<(), (Trouble, Retry)> {
        let t = &self.handles.topology;
        let retry = |trouble| (trouble, Retry::Soon);
        match (&self.settings.form, told) {
            (Form::Webhook { secret }, [item, ..]) => {
                let body = webhook::body(&item.facts, t);
                let id = webhook::message_id(&t.gateway, item.facts.event);
                let headers = webhook::headers(id, secret.as_ref(), (self.handles.clock)(), &body);
                webhook::verdict(&self.client.post(&self.settings.url, &headers, body).await.map_err(retry)?)
            }
            (Form::Wecom { mentions }, [item, rest @ ..]) => {
                let text = if rest.is_empty() {
                    words::message(&item.facts, t)
                } else {
                    let lines: Vec<Text> = told.iter().take(listed).map(|i| words::line(&i.facts, t)).collect();
                    words::digest(&lines, told.len() - lines.len())
                };
                let urgent = told.iter().any(|i| i.facts.urgency() == Urgency::Urgent);
                let body = wecom::body(&self.text(text), urgent.then_some(mentions));
                wecom::verdict(&self.client.post(&self.settings.url, &[], body).await.map_err(retry)?)
            }
            // Nothing to tell is told.
            (_, []) => Ok(()),
        }
    }

    fn taken(&mut self) {
        self.failures = 0;
        self.last_taken = (self.handles.clock)().max(self.last_taken + Ms(1));
        let at = self.last_taken;
        if self.now_failing() {
            info!(channel = %self.settings.name, "the channel takes messages again");
        }
        self.report(|s| {
            s.sent += 1;
            s.last_sent = Some(at);
            s.failing_since = None;
        });
    }

    fn now_failing(&self) -> bool {
        self.status.borrow()[self.nth].failing_since.is_some()
    }

    fn refused(&mut self, trouble: Trouble, retry: Retry, entries: &[i64], now: Ms) {
        let (code, number) = (trouble.code(), trouble.number());
        let name = &self.settings.name;
        if retry == Retry::Others {
            error!(channel = %name, code, number, "a message was refused; it is tried again hourly, the others go on");
            self.aside.extend(entries.iter().map(|id| (*id, now + REFUSED_AGAIN)));
        } else {
            let first = !self.now_failing();
            self.failures += 1;
            let pause = match retry {
                Retry::After(d) => d,
                Retry::Slowly => plan::pause(self.failures.max(plan::SLOWLY), self.seed),
                Retry::Soon | Retry::Others => plan::pause(self.failures, self.seed),
            };
            self.pause_until = now + pause;
            let seconds = pause.0 / 1_000;
            match (first, retry) {
                (true, Retry::Slowly) => {
                    error!(channel = %name, code, number, seconds, "nobody is told by this channel until somebody mends it");
                }
                (true, _) => warn!(channel = %name, code, number, seconds, "a message was not taken; trying again"),
                (false, _) => tracing::debug!(channel = %name, code, number, seconds, "still not taken"),
            }
        }
        let at = (self.handles.clock)();
        self.report(|s| {
            s.failed += 1;
            s.last_trouble = Some(trouble);
            s.failing_since.get_or_insert(at);
        });
    }

    /// Ends what is too old to help, and what nothing can be said about. False if the store is closed.
    async fn give_up(&mut self, pending: &Pending, untellable: Vec<i64>) -> bool {
        let now = (self.handles.clock)();
        // A clock that was set forward by weeks ages everything: only what was tried in vain is given up.
        let tried = |id: i64| self.failures >= TRIED || self.aside.contains_key(&id);
        let old = |e: &&PendingEntry| now - e.entry.at > GIVEN_UP_AFTER && tried(e.id);
        let entries: Vec<i64> = pending.entries.iter().filter(old).map(|e| e.id).chain(untellable).collect();
        if entries.is_empty() {
            return true;
        }
        error!(channel = %self.settings.name, notices = entries.len(), "given up: nobody was told by this channel");
        self.mark(Mark { entries, at: now, done: Done::GivenUp }).await
    }

    /// Marks until it is durable: what was sent and is not marked would be sent again. False if the store is closed.
    async fn mark(&self, mark: Mark) -> bool {
        loop {
            let (told, outcome) = oneshot::channel();
            let handed = self.handles.outbox.mark(mark.clone(), move |done| {
                if told.send(done).is_err() {
                    tracing::debug!("the channel is gone");
                }
            });
            let pause = match handed {
                Ok(()) => match outcome.await {
                    Ok(Ok(())) => return true,
                    Ok(Err(e)) => {
                        warn!(channel = %self.settings.name, error = %e, "nothing more is sent until what was sent is marked");
                        STORE_AGAIN
                    }
                    Err(_) => return false,
                },
                Err(MarkRefused::Busy) => QUEUE_AGAIN,
                Err(MarkRefused::Gone) => return false,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks the store on a thread that may block. None, and a word in the log, if it does not answer.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static) -> Option<T> {
        let turn = self.turn.clone().acquire_owned().await.ok()?;
        let reader = self.handles.reader.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&reader);
            drop(turn);
            answer
        });
        match answer.await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(e)) => {
                warn!(channel = %self.settings.name, error = %e, "the outbox cannot be read; trying again");
                None
            }
            Err(_) => None,
        }
    }

    fn report(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|all| {
            let Some(mine) = all.get_mut(self.nth) else { return false };
            let before = mine.clone();
            change(mine);
            *mine != before
        });
    }
}

fn ms(d: Duration) -> Ms {
    Ms(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// What waits, by incident.
struct Gathered {
    /// Urgent ones first, then in order of their first entry.
    items: Vec<Item>,
    /// Entries of incidents that the store does not hold, or kinds of another version.
    untellable: Vec<i64>,
}

/// Makes of an incident, of what is told with it, and of the newest of that (event and time) what a message says.
type Tell<'a> = dyn Fn(Incident, Vec<NoticeKind>, (u64, Ts)) -> Option<Facts> + 'a;

/// Entries about one incident become one message about how it is now.
fn gather(reader: &Reader, pending: &Pending, tell: &Tell<'_>) -> Result<Gathered, ReadError> {
    let mut by_incident: Vec<(Arc<str>, Vec<&PendingEntry>)> = vec![];
    let mut at: HashMap<Arc<str>, usize> = HashMap::new();
    for e in &pending.entries {
        let i = *at.entry(e.entry.incident.clone()).or_insert_with(|| {
            by_incident.push((e.entry.incident.clone(), vec![]));
            by_incident.len() - 1
        });
        by_incident[i].1.push(e);
    }
    let mut out = Gathered { items: vec![], untellable: vec![] };
    for (id, mut entries) in by_incident {
        entries.sort_by_key(|e| e.id);
        let kinds: Option<Vec<NoticeKind>> = entries.iter().map(|e| kind(&e.entry.kind)).collect();
        let newest = entries.last().map(|e| (e.entry.event, e.entry.at));
        let facts = match (kinds, newest, incident(reader, &id)?) {
            (Some(kinds), Some(newest), Some(incident)) => tell(incident, kinds, newest),
            _ => None,
        };
        let entries: Vec<i64> = entries.iter().map(|e| e.id).collect();
        match facts {
            Some(facts) => out.items.push(Item { entries, facts }),
            None => out.untellable.extend(entries),
        }
    }
    out.items.sort_by_key(|i| (i.facts.urgency() != Urgency::Urgent, i.entries.first().copied()));
    Ok(out)
}

fn kind(code: &str) -> Option<NoticeKind> {
    NoticeKind::ALL.into_iter().find(|k| k.code() == code)
}

fn incident(reader: &Reader, id: &str) -> Result<Option<Incident>, ReadError> {
    let events: Option<Vec<Event>> = reader.events_of(id)?.iter().map(|e| serde_json::from_str(&e.body).ok()).collect();
    Ok(events.and_then(|events| Incident::from_events(&events)))
}

/// Sends a test message, as an alarm would be sent.
pub async fn test(settings: &Settings, topology: &Topology, now: Ts) -> Result<(), Trouble> {
    let client = Client::default();
    let sent = match &settings.form {
        Form::Webhook { secret } => {
            let body = webhook::test_body(topology, now);
            let headers = webhook::headers(webhook::message_id(&topology.gateway, 0), secret.as_ref(), now, &body);
            webhook::verdict(&client.post(&settings.url, &headers, body).await?)
        }
        Form::Wecom { .. } => {
            let text = words::test(&topology.gateway);
            let text = match settings.language {
                Language::Chinese => text.zh,
                Language::English => text.en,
            };
            // Nobody is called by name for a test.
            wecom::verdict(&client.post(&settings.url, &[], wecom::body(&text, None)).await?)
        }
    };
    sent.map_err(|(trouble, _)| trouble)
}
