//! The wheel: history as fast as the broker takes it, then live by the clock.

use super::community::{Community, Message, Sort};
use super::publisher::{News, Publisher};
use super::{Error, Leak, Settings, Then, trouble};
use crate::domain::time::{Ms, Ts};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

const DAY: Ms = Ms::days(1);
/// A morning or an evening lies within this, whatever the hour.
const LEAK_BEFORE: Ms = Ms::hours(21);
/// Parts that are made ahead of what is being sent. Full: the model waits.
const AHEAD: usize = 2;
/// How long the last acknowledgements may take when somebody wants the end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often something is said where no bar can move.
const SAY_EVERY: Duration = Duration::from_secs(10);
const SAY_LIVE_EVERY: Duration = Duration::from_secs(600);

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub readings: u64,
    /// Messages that came a second time, as they do in life.
    pub repeated: u64,
    /// Messages that no gateway can take.
    pub bad: u64,
    pub acknowledged: u64,
    /// Sent again because a connection broke.
    pub sent_again: u64,
    pub seconds: u64,
}

impl Summary {
    pub fn messages(&self) -> u64 {
        self.readings + self.repeated + self.bad
    }

    fn add(&mut self, sort: Sort) {
        match sort {
            Sort::Reading => self.readings += 1,
            Sort::Repeated => self.repeated += 1,
            Sort::Bad => self.bad += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { readings, repeated, bad, acknowledged, sent_again, seconds } = self;
        let messages = self.messages();
        write!(f, "{messages} messages = {readings} readings + {repeated} repeated + {bad} bad; {acknowledged} acknowledged, ")?;
        write!(f, "{sent_again} sent again after a lost connection, in {seconds} s")
    }
}

fn now() -> Ts {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ts(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Runs until the history is told, or, live, until SIGINT or SIGTERM. `told` hears of the end of the history.
pub fn run(settings: &Settings, told: &dyn Fn(&Summary)) -> Result<Summary, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(turn(settings, told));
    // What the resolver's thread still does for a broker that is away must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn turn(settings: &Settings, told: &dyn Fn(&Summary)) -> Result<Summary, Error> {
    let began = now();
    let history_end = match settings.then {
        Then::Stop(until) => until.unwrap_or(began),
        Then::Live { speed } if speed > 1 => began - DAY,
        Then::Live { .. } => began,
    };
    let leak_at = match settings.leak {
        Leak::Recent => Some(recent(if matches!(settings.then, Then::Stop(_)) { history_end } else { began })),
        Leak::At(t) => Some(t),
        Leak::Never => None,
    };
    let community = Community::new(settings, leak_at);
    if community.devices() == 0 {
        return Err(Error::NoDevices);
    }
    introduce(settings, &community, leak_at);
    let (publisher, line) = Publisher::new(&settings.broker);
    let wheel = Wheel {
        settings,
        publisher: &publisher,
        told,
        bar: bar(settings.history_days),
        sent: RefCell::default(),
        stopped: Cell::new(false),
        began: Instant::now(),
    };
    let refused = RefCell::new(None);
    let broker = format!("{}:{}", settings.broker.host, settings.broker.port);
    let tell = |news: News| match news {
        News::Connected => wheel.say(|| info!(%broker, "connected")),
        News::Away(why) => wheel.say(|| warn!(%broker, %why, "the broker is away; trying again until it is back")),
        News::Refused(why) => *refused.borrow_mut() = Some(why),
    };
    let outcome = Cell::new(Ok(()));
    tokio::select! {
        () = publisher.work(line, &tell) => {}
        () = async {
            outcome.set(wheel.all(community, history_end).await);
            publisher.goodbye().await;
        } => {}
    }
    wheel.bar.finish_and_clear();
    if let Some(why) = refused.take() {
        return Err(Error::Refused { broker, why });
    }
    outcome.into_inner()?;
    let summary = wheel.summary();
    let missing = summary.messages() - summary.acknowledged;
    if missing > 0 && !wheel.stopped.get() { Err(Error::Unacknowledged(missing)) } else { Ok(summary) }
}

/// When the pipe gave: to the full hour, so that a second start within it tells the same.
fn recent(end: Ts) -> Ts {
    let hour = Ms::hours(1).0;
    Ts((end - LEAK_BEFORE).0.div_euclid(hour) * hour)
}

fn introduce(settings: &Settings, community: &Community, leak_at: Option<Ts>) {
    let (devices, households, residents) = (community.devices(), community.households(), community.residents());
    info!(seed = settings.seed, households, residents, devices, "the community");
    if let Some(at) = leak_at.filter(|_| settings.meters.iter().any(|m| m.key == trouble::LEAK)) {
        info!(meter = trouble::LEAK, litres_per_hour = 1390, since = %at, "a pipe gives. To go on later with the same store: --leak-at {at}");
    }
}

fn bar(days: u16) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("history {bar:24} {pos}/{len} days  {msg}  (still {eta})");
    let bar = ProgressBar::new(u64::from(days));
    // The template is a constant; a wrong one would show as indicatif's own bar.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Messages that were made together, and up to when they reach.
struct Part {
    messages: Vec<Message>,
    to: Ts,
}

struct Wheel<'a> {
    settings: &'a Settings,
    publisher: &'a Publisher,
    told: &'a dyn Fn(&Summary),
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    sent: RefCell<Summary>,
    /// Somebody wanted the end.
    stopped: Cell<bool>,
    began: Instant,
}

impl Wheel<'_> {
    fn say(&self, line: impl FnOnce()) {
        self.bar.suspend(line);
    }

    fn summary(&self) -> Summary {
        let counts = self.publisher.counts();
        Summary {
            acknowledged: counts.acknowledged,
            sent_again: counts.sent_again,
            seconds: self.began.elapsed().as_secs(),
            ..*self.sent.borrow()
        }
    }

    async fn send(&self, message: Message) {
        let sort = message.sort;
        self.publisher.send(message).await;
        self.sent.borrow_mut().add(sort);
    }

    /// History, then live as long as is wanted. An interruption is an orderly end.
    async fn all(&self, community: Community, history_end: Ts) -> Result<(), Error> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let ended = tokio::select! {
            ended = self.both(community, history_end) => ended,
            _ = interrupt.recv() => { self.stopped.set(true); Ok(()) }
            _ = terminate.recv() => { self.stopped.set(true); Ok(()) }
        };
        if self.stopped.get() {
            let in_time = tokio::time::timeout(LAST_WORDS, self.publisher.settled()).await.is_ok();
            self.say(|| if in_time { info!("stopped") } else { warn!("stopped; the broker does not acknowledge the last messages") });
        }
        ended
    }

    async fn both(&self, community: Community, history_end: Ts) -> Result<(), Error> {
        let from = history_end - Ms::days(i64::from(self.settings.history_days));
        let live = matches!(self.settings.then, Then::Live { .. });
        let mut parts = model(community, from, history_end, live)?;
        self.history(&mut parts, history_end).await?;
        match self.settings.then {
            Then::Stop(_) => Ok(()),
            Then::Live { speed } => self.live(&mut parts, history_end, i64::from(speed.max(1))).await,
        }
    }

    async fn history(&self, parts: &mut mpsc::Receiver<Part>, end: Ts) -> Result<(), Error> {
        if self.settings.history_days == 0 {
            return Ok(());
        }
        let days = u64::from(self.settings.history_days);
        let (mut done, mut said) = (0, Instant::now());
        while done < days {
            let part = parts.recv().await.ok_or(Error::Model)?;
            for message in part.messages {
                self.send(message).await;
            }
            done += 1;
            let sent = self.publisher.counts().acknowledged;
            let per_second = sent * 1_000 / u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            self.bar.set_position(done);
            self.bar.set_message(format!("{sent} messages, {per_second}/s"));
            if self.bar.is_hidden() && said.elapsed() > SAY_EVERY {
                said = Instant::now();
                info!(days = done, of = days, messages = sent, per_second, "history");
            }
        }
        self.publisher.settled().await;
        self.bar.finish_and_clear();
        let s = self.summary();
        info!(days, messages = s.messages(), seconds = s.seconds, until = %end, "the history is told");
        (self.told)(&s);
        Ok(())
    }

    async fn live(&self, parts: &mut mpsc::Receiver<Part>, start: Ts, speed: i64) -> Result<(), Error> {
        info!(speed, "live from here on; Ctrl-C ends it");
        let began = now();
        let (mut said, mut caught_up) = (Instant::now(), speed == 1);
        loop {
            let part = parts.recv().await.ok_or(Error::Model)?;
            for message in part.messages {
                let wait = match when(message.due, start, began, speed) {
                    Due::By(t) => t - now(),
                    Due::OnTime(t) => {
                        if !caught_up {
                            caught_up = true;
                            info!("caught up with the clock; live at its pace");
                        }
                        t - now()
                    }
                };
                if wait > Ms::ZERO {
                    tokio::time::sleep(Duration::from_millis(wait.0.cast_unsigned())).await;
                }
                self.send(message).await;
                if said.elapsed() > SAY_LIVE_EVERY {
                    said = Instant::now();
                    let s = self.summary();
                    info!(messages = s.messages(), acknowledged = s.acknowledged, "live");
                }
            }
            let idle_until = when(part.to, start, began, speed);
            let (Due::By(t) | Due::OnTime(t)) = idle_until;
            if t > now() {
                tokio::time::sleep(Duration::from_millis((t - now()).0.max(0).cast_unsigned())).await;
            }
        }
    }
}

/// When a live message is sent, by the real clock.
enum Due {
    /// While time is being caught up with.
    By(Ts),
    OnTime(Ts),
}

fn when(due: Ts, start: Ts, began: Ts, speed: i64) -> Due {
    let hurried = began + Ms((due - start).0 / speed);
    // Never before it could have been read.
    if due >= hurried { Due::OnTime(due) } else { Due::By(hurried) }
}

/// The model on a thread of its own: a day at a time, then, live, an hour at a time. It ends when nobody listens any more.
fn model(mut community: Community, from: Ts, history_end: Ts, live: bool) -> Result<mpsc::Receiver<Part>, Error> {
    let (parts, receiver) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("model".into()).spawn(move || {
        let mut at = from;
        while live || at < history_end {
            let past = at < history_end;
            let to = if past { (at + DAY).min(history_end) } else { at + Ms::hours(1) };
            let messages = community.messages(at, to, !past);
            if parts.blocking_send(Part { messages, to }).is_err() {
                return;
            }
            at = to;
        }
    })?;
    Ok(receiver)
}
