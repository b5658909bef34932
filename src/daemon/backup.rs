//! The daily copy: when one is due, where it goes, which older ones go away. Copying itself is the store's.
//!
//! A copy belongs to a day on the gateway's clock and has it in its name, so that the directory itself remembers what was made: after a
//! restart, and after the machine was off at the time.

use super::clock;
use super::error::Error;
use crate::config;
use crate::domain::time::{Ms, Ts};
use crate::store::{self, BackupError, Step};
use crate::web::BackupHealth;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// The clock may be set and the disk be mounted at any time: it is looked again so often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// After a failure: a disk that is full or away is not so for a moment.
const TRY_AGAIN: Ms = Ms::minutes(15);

/// Failing for so long is a matter for a person.
const ALARM: Ms = Ms::hours(24);

/// What is to be done, and for whom.
pub struct Plan {
    pub gateway: String,
    pub tz: TimeZone,
    pub database: store::Settings,
    pub backup: config::Backup,
}

/// Ends the thread when it is dropped: a copy that is being made is broken off.
#[derive(Debug)]
pub struct Backups {
    _stop: SyncSender<()>,
}

/// Before the thread runs: what the directory tells.
pub fn watch(plan: &Plan) -> (watch::Sender<BackupHealth>, watch::Receiver<BackupHealth>) {
    watch::channel(BackupHealth {
        last_ok: plan.newest(),
        failing_since: None,
        last_error: None,
        next: plan.next_at(clock::now()),
        same_disk: plan.same_disk(),
    })
}

/// Starts the thread `backup`. It ends with the process, or when [`Backups`] is dropped and the disk lets it; `witness` is dropped in it.
pub fn start(plan: Plan, health: watch::Sender<BackupHealth>, witness: impl Send + 'static) -> Result<Backups, Error> {
    // Nothing is ever sent: the end of the sender is the message.
    let (stop, stopped) = sync_channel(1);
    let runner = Runner { plan, health, stopped, made: None, tried: None, alarmed: false };
    let body = move || {
        let _witness = witness;
        runner.run();
    };
    Builder::new().name("backup".into()).spawn(body).map_err(Error::Thread)?;
    Ok(Backups { _stop: stop })
}

struct Runner {
    plan: Plan,
    health: watch::Sender<BackupHealth>,
    stopped: Receiver<()>,
    /// The day whose copy is known to stand.
    made: Option<Date>,
    /// When a copy was last tried in vain.
    tried: Option<Ts>,
    alarmed: bool,
}

impl Runner {
    fn run(mut self) {
        if self.health.borrow().same_disk {
            let path = self.plan.backup.path.display();
            warn!(%path, "store.backup.path is on the disk of the database: when that dies, so do the copies");
        }
        loop {
            let (now, sure) = clock::now_and_sure();
            // A clock that was never set would name the copy after a day that is not.
            if sure {
                self.look(now);
            }
            if let Ok(()) | Err(RecvTimeoutError::Disconnected) = self.stopped.recv_timeout(LOOK_AGAIN) {
                return;
            }
        }
    }

    fn look(&mut self, now: Ts) {
        let Some(day) = self.plan.due(now) else { return };
        let next = self.plan.next_at(now);
        if self.made != Some(day) && self.plan.file(day).is_file() {
            self.made = Some(day);
        }
        if self.made == Some(day) || self.tried.is_some_and(|t| (t..t + TRY_AGAIN).contains(&now)) {
            self.health.send_if_modified(|h| std::mem::replace(&mut h.next, next) != next);
            return;
        }
        match self.copy(day) {
            Ok(()) => {
                (self.made, self.tried, self.alarmed) = (Some(day), None, false);
                let ok = clock::now();
                self.health.send_modify(|h| (h.last_ok, h.failing_since, h.next) = (Some(ok), None, next));
            }
            Err(BackupError::Stopped) => {}
            Err(e) => self.failed(&e, now),
        }
    }

    fn copy(&self, day: Date) -> Result<(), BackupError> {
        let began = Instant::now();
        let mut last = Instant::now();
        let copy = store::backup(&self.plan.database, &self.plan.file(day), false, &mut |step| {
            if matches!(self.stopped.try_recv(), Ok(()) | Err(TryRecvError::Disconnected)) {
                return ControlFlow::Break(());
            }
            // Half of the disk's time is for the readings.
            if let Step::Copying { .. } = step {
                std::thread::sleep(last.elapsed().min(Duration::from_millis(500)));
                last = Instant::now();
            }
            ControlFlow::Continue(())
        })?;
        let (file, commit) = (copy.path.display(), copy.contents.head.batch);
        info!(%file, bytes = copy.bytes, commit, ms = began.elapsed().as_millis(), "copy of the database made and verified");
        self.plan.rotate(day);
        Ok(())
    }

    /// What is repeated is told once.
    fn failed(&mut self, e: &BackupError, now: Ts) {
        let text = e.to_string();
        let since = self.health.borrow().failing_since.unwrap_or(now);
        if self.health.borrow().last_error.as_ref() != Some(&text) || self.health.borrow().failing_since.is_none() {
            warn!(error = %text, "no copy of the database could be made; trying again every 15 minutes");
        }
        if now - since >= ALARM && !self.alarmed {
            self.alarmed = true;
            error!(error = %text, %since, "for a day no copy of the database could be made");
        }
        self.tried = Some(now);
        let next = Some(now + TRY_AGAIN);
        self.health.send_modify(|h| (h.failing_since, h.last_error, h.next) = (Some(since), Some(text), next));
    }
}

impl Plan {
    /// The newest day whose time has come.
    fn due(&self, now: Ts) -> Option<Date> {
        due(now, self.backup.at, &self.tz)
    }

    fn next_at(&self, now: Ts) -> Option<Ts> {
        instant(self.due(now)?.tomorrow().ok()?, self.backup.at, &self.tz)
    }

    fn file(&self, day: Date) -> PathBuf {
        self.backup.path.join(format!("{}{day}.db", self.prefix()))
    }

    /// Two gateways may share a directory.
    fn prefix(&self) -> String {
        format!("heyun-{}-", self.gateway)
    }

    /// When the newest copy in the directory was made.
    fn newest(&self) -> Option<Ts> {
        let made = fs::metadata(self.file(self.days().ok()?.into_iter().max()?)).and_then(|m| m.modified()).ok()?;
        i64::try_from(made.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok().map(Ts)
    }

    /// Of which days there are copies.
    fn days(&self) -> io::Result<Vec<Date>> {
        let prefix = self.prefix();
        let day = |entry: fs::DirEntry| day_of(entry.file_name().to_str()?, &prefix, ".db").filter(|_| entry.path().is_file());
        Ok(fs::read_dir(&self.backup.path)?.filter_map(Result::ok).filter_map(day).collect())
    }

    fn same_disk(&self) -> bool {
        let disk = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
        let database = disk(&self.database.path);
        database.is_some() && database == disk(&self.backup.path)
    }

    /// Removes what is no longer wanted, now that the copy of `made` stands.
    fn rotate(&self, made: Date) {
        let days = match self.days() {
            Ok(days) => days,
            Err(error) => return warn!(%error, path = %self.backup.path.display(), "old copies cannot be listed"),
        };
        for day in superfluous(&days, made, self.backup.keep_days, self.backup.keep_months) {
            let file = self.file(day);
            let mut digest = file.clone().into_os_string();
            digest.push(".sha256");
            // The copy first: a digest without a copy misleads nobody.
            for file in [file, PathBuf::from(digest)] {
                match fs::remove_file(&file) {
                    Ok(()) => info!(file = %file.display(), "old copy removed"),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => warn!(%error, file = %file.display(), "an old copy cannot be removed"),
                }
            }
        }
        self.sweep();
    }

    /// Removes what a killed process had begun on other days. The one of today is written over.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.backup.path) else { return };
        let prefix = self.prefix();
        for entry in entries.filter_map(Result::ok) {
            let begun =
                entry.file_name().to_str().is_some_and(|n| [".db.part", ".db.sha256.part"].iter().any(|s| day_of(n, &prefix, s).is_some()));
            if begun && let Err(error) = fs::remove_file(entry.path()) {
                warn!(%error, file = %entry.path().display(), "what was begun once cannot be removed");
            }
        }
    }
}

/// The day in a name of ours, and of nobody else's.
fn day_of(name: &str, prefix: &str, suffix: &str) -> Option<Date> {
    let day = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    // Other spellings of dates are not what we write.
    day.parse::<Date>().ok().filter(|d| d.to_string() == day)
}

/// The newest day whose `at` is not after `now`.
fn due(now: Ts, at: Time, tz: &TimeZone) -> Option<Date> {
    let today = tz.to_datetime(Timestamp::from_millisecond(now.0).ok()?).date();
    let come = |day: &Date| instant(*day, at, tz).is_some_and(|ts| ts <= now);
    // The day after: where the clock jumps over midnight, its hour may have come already.
    [today.tomorrow().ok()?, today, today.yesterday().ok()?, today.checked_sub(2.days()).ok()?].into_iter().find(come)
}

fn instant(day: Date, at: Time, tz: &TimeZone) -> Option<Ts> {
    tz.to_timestamp(day.to_datetime(at)).ok().map(|t| Ts(t.as_millisecond()))
}

/// Of the days of which there are copies, those whose copies may go: not `made`, not the newest `keep_days`, and not the first one of each of
/// the newest `keep_months` months.
fn superfluous(days: &[Date], made: Date, keep_days: u16, keep_months: u16) -> Vec<Date> {
    let mut days = days.to_vec();
    days.sort();
    days.dedup();
    let mut firsts: Vec<Date> = vec![];
    for day in &days {
        if firsts.last().is_none_or(|f| f.first_of_month() != day.first_of_month()) {
            firsts.push(*day);
        }
    }
    let newest = |list: &[Date], n: u16| list[list.len().saturating_sub(usize::from(n))..].to_vec();
    let kept = [newest(&days, keep_days), newest(&firsts, keep_months)].concat();
    days.retain(|d| *d != made && !kept.contains(d));
    days
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn at(text: &str) -> Ts {
        Ts(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_is_due_when_its_time_has_come_and_until_the_next_one_has() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let due = |text| due(at(text), Time::constant(3, 30, 0, 0), &tz);
        assert_eq!(due("2026-11-24T03:29:59+08:00"), Some(date(2026, 11, 23)), "missed yesterday: made now, as yesterday's");
        assert_eq!(due("2026-11-24T03:30:00+08:00"), Some(date(2026, 11, 24)));
        assert_eq!(due("2026-11-24T23:59:59+08:00"), Some(date(2026, 11, 24)));
        assert_eq!(due("2027-01-01T00:10:00+08:00"), Some(date(2026, 12, 31)));
    }

    #[test]
    fn every_day_is_due_once_also_where_the_clock_jumps() {
        for (zone, from) in [
            ("Europe/Rome", "2026-03-27T00:00:00Z"),
            ("Europe/Rome", "2026-10-23T00:00:00Z"),
            ("America/Sao_Paulo", "2018-11-02T00:00:00Z"),
        ] {
            let tz = TimeZone::get(zone).unwrap();
            for time in [Time::constant(0, 0, 0, 0), Time::constant(0, 30, 0, 0), Time::constant(2, 30, 0, 0), Time::constant(23, 59, 0, 0)]
            {
                let steps = (0..5 * 24 * 6).map(|i| due(at(from) + Ms::minutes(10 * i), time, &tz).unwrap());
                let mut days: Vec<Date> = steps.collect();
                assert!(days.is_sorted(), "{zone} {time}");
                days.dedup();
                assert!(days.windows(2).all(|w| w[0].tomorrow().unwrap() == w[1]) && days.len() >= 5, "{zone} {time} {days:?}");
            }
        }
    }

    #[test]
    fn the_newest_days_stay_and_the_first_of_each_month() {
        let mut kept: Vec<Date> = vec![];
        let mut day = date(2026, 1, 10);
        while day < date(2027, 6, 16) {
            kept.push(day);
            let gone = superfluous(&kept, day, 3, 4);
            assert!(gone.len() <= 2, "{day}: {gone:?}");
            kept.retain(|d| !gone.contains(d));
            day = day.tomorrow().unwrap();
        }
        let firsts = [date(2027, 3, 1), date(2027, 4, 1), date(2027, 5, 1), date(2027, 6, 1)];
        assert_eq!(kept, [&firsts[..], &[date(2027, 6, 13), date(2027, 6, 14), date(2027, 6, 15)]].concat());
        // Copies of a time when the clock ran ahead do not drive out the one that was just made.
        let ahead = [date(2026, 1, 1), date(2040, 1, 1), date(2040, 1, 2)];
        assert_eq!(superfluous(&ahead, date(2026, 1, 1), 1, 0), [date(2040, 1, 1)]);
    }

    #[test]
    fn only_names_of_ours_are_ours() {
        let day = |name| day_of(name, "heyun-gw-1-", ".db");
        assert_eq!(day("heyun-gw-1-2026-11-24.db"), Some(date(2026, 11, 24)));
        for other in [
            "heyun-gw-1-2026-11-24.db.sha256",
            "heyun-gw-1-2026-11-24.db.part",
            "heyun-gw-1-2026-11-24-old.db",
            "heyun-gw-1-2026-11-24-2026-11-25.db",
            "heyun-gw-1-20261124.db",
            "heyun-gw-1-2026-13-24.db",
            "heyun-gw-2026-11-24.db",
            "Heyun-gw-1-2026-11-24.db",
            "heyun.db",
        ] {
            assert_eq!(day(other), None, "{other}");
        }
    }
}
