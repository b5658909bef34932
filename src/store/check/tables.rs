//! Every row that can be read, and each table against the others.

use super::chunks::{Sealed, topic};
use super::{CheckError, CheckStep, Finding, Lost, Report, Silence, Whole};
use crate::domain::reading::SourceId;
use crate::domain::time::{Ms, Ts};
use crate::store::query::count;
use crate::store::salvage::{self, Gap, Key, Table, is_damage};
use crate::store::{key, sealed};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Who speaks so near to a hole in the readings may have spoken in it.
const NEAR: Ms = Ms::days(1);

/// What is known of one commit, and of its rows as they are met.
struct Commit {
    batch: u64,
    received: Ts,
    rows: u64,
    range: Option<(Ts, Ts)>,
    found: u64,
    /// Rows outside of `range`.
    strays: u64,
    /// Rows that `late` names.
    late: u64,
}

/// Passes over the tables, one after the other.
pub(super) struct Pass<'a> {
    pub conn: &'a Connection,
    tables: Vec<Table>,
    pub report: &'a mut Report,
    /// Readings that are gone because they were older than they are to be kept.
    expired: u64,
    /// Sources of which some are.
    pub shortened: BTreeSet<SourceId>,
    tell: &'a mut dyn FnMut(CheckStep<'_>),
}

/// Every row that can be read, and each table against the others.
pub(in crate::store) fn contents(conn: &Connection, report: &mut Report, tell: &mut dyn FnMut(CheckStep<'_>)) -> Result<(), CheckError> {
    let tables = match salvage::tables(conn) {
        Ok(tables) => tables,
        Err(e) if is_damage(&e) => {
            report.findings.push(Finding::FirstPage { told: e.to_string() });
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let mut pass = Pass { conn, tables, report, expired: 0, shortened: BTreeSet::new(), tell };
    let topics = pass.topics()?;
    pass.expired()?;
    let checkpoints = pass.checkpoints()?;
    let sealed = pass.chunks(&topics)?;
    let folded = checkpoints.iter().copied().max().unwrap_or(0).max(sealed.batch);
    let mut commits = pass.commits(folded)?;
    pass.late(&mut commits)?;
    pass.readings(&topics, &sealed, &mut commits, folded)?;
    let events = pass.events(&commits, folded)?;
    pass.outbox(&events)?;
    pass.ledger(&commits, folded)?;
    pass.volumes()?;
    let newest = pass.report.batch;
    let ahead = checkpoints.into_iter().filter(|batch| *batch > newest);
    pass.report.findings.extend(ahead.map(|batch| Finding::CheckpointAhead { batch, newest }));
    for name in pass.tables.iter().map(|t| t.name.clone()).collect::<Vec<_>>() {
        if !pass.report.whole.iter().any(|w| w.table == name) {
            pass.rows(&name, &mut |_| Ok(()))?;
        }
    }
    pass.report.whole.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(())
}

impl Pass<'_> {
    /// Reads a table; holes in it become findings, but those among readings are returned. A table that this version does not have is empty.
    pub(super) fn rows(&mut self, name: &str, f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Result<Vec<Gap>, CheckError> {
        let Some(table) = self.tables.iter().find(|t| t.name == name) else { return Ok(vec![]) };
        let mut rows = 0;
        let of = self.about(table);
        let tell = &mut self.tell;
        let gaps = salvage::rows(self.conn, table, &mut |row| {
            rows += 1;
            if rows % 16384 == 0 {
                tell(CheckStep::Table { name, rows, of });
            }
            f(row)
        })?;
        self.report.whole.push(Whole { table: name.to_owned(), rows });
        if name == "readings" || name.starts_with("hot_") {
            return Ok(gaps);
        }
        for Gap { after, before } in gaps {
            let lost = Lost { table: name.to_owned(), after, before, rows: None, from: None, to: None, sources: vec![] };
            let between = after.zip(before).filter(|_| dense(name)).and_then(|(a, b)| u64::try_from(b - a - 1).ok());
            self.report.findings.push(Finding::Lost(Lost { rows: between, ..lost }));
        }
        Ok(vec![])
    }

    /// How many rows a table has, roughly and quickly: for showing progress.
    fn about(&self, table: &Table) -> u64 {
        let Key::Integer(at) = table.key else { return 0 };
        if table.name.starts_with("hot_") {
            return self.conn.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |r| r.get(0)).map(count).unwrap_or(0);
        }
        let key = &table.columns[at];
        let span = self.conn.query_row(&format!("SELECT max({key}) - min({key}) FROM {}", table.name), [], |r| r.get::<_, Option<i64>>(0));
        span.ok().flatten().map_or(0, count)
    }

    /// Who speaks, by number.
    fn topics(&mut self) -> Result<BTreeMap<u32, String>, CheckError> {
        let mut topics = BTreeMap::new();
        self.rows("sources", &mut |r| {
            topics.insert(r.get(0)?, r.get(2)?);
            Ok(())
        })?;
        Ok(topics)
    }

    fn expired(&mut self) -> Result<(), CheckError> {
        let (mut rows, mut shortened) = (0, BTreeSet::new());
        self.rows("expired", &mut |r| {
            shortened.insert(SourceId(r.get(0)?));
            rows += count(r.get(2)?);
            Ok(())
        })?;
        (self.expired, self.shortened) = (rows, shortened);
        Ok(())
    }

    /// Up to `folded` commits may be gone by intention, for nobody asks for them any more.
    fn commits(&mut self, folded: u64) -> Result<Vec<Commit>, CheckError> {
        let mut commits: Vec<Commit> = vec![];
        let (mut findings, mut total, mut gap) = (vec![], None, false);
        self.rows("commits", &mut |r| {
            let (min, max): (Option<i64>, Option<i64>) = (r.get(3)?, r.get(4)?);
            let c = Commit {
                batch: count(r.get(0)?),
                received: Ts(r.get(1)?),
                rows: count(r.get(2)?),
                range: min.zip(max).map(|(a, b)| (Ts(a), Ts(b))),
                found: 0,
                strays: 0,
                late: 0,
            };
            let told = count(r.get(5)?);
            gap = commits.last().is_some_and(|l: &Commit| c.batch != l.batch + 1);
            if let Some(last) = commits.last().filter(|_| gap && c.batch > folded + 1) {
                findings.push(Finding::CommitsMissing { first: last.batch.max(folded) + 1, last: c.batch.saturating_sub(1) });
            }
            // Behind a gap the sum begins anew.
            let sum = total.filter(|_| !gap).map_or(told, |t: u64| t + c.rows);
            if sum != told {
                findings.push(Finding::CommitTotal { batch: c.batch, told, sum });
            }
            total = Some(told);
            commits.push(c);
            Ok(())
        })?;
        self.report.batch = commits.last().map_or(0, |c| c.batch);
        self.report.findings.extend(findings);
        Ok(commits)
    }

    fn late(&mut self, commits: &mut [Commit]) -> Result<(), CheckError> {
        self.rows("late", &mut |r| {
            if let Some(c) = of_batch(commits, count(r.get(0)?)) {
                c.late += 1;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn readings(&mut self, topics: &BTreeMap<u32, String>, sealed: &Sealed, commits: &mut [Commit], folded: u64) -> Result<(), CheckError> {
        let mut unknown = sealed.unknown.clone();
        let mut without: Option<(u64, Ts, Ts)> = None;
        let (mut rows, mut behind): (u64, Vec<i64>) = (0, vec![]);
        let mut each = |r: &Row<'_>, mark: i64| {
            let row_key = r.get(0)?;
            let (ts, source) = key::split(row_key);
            if row_key < mark {
                // Sealed by now.
                return Ok(());
            }
            rows += 1;
            if sealed.ends.get(&source).is_some_and(|end| ts <= *end) {
                behind.push(row_key);
            }
            if !topics.contains_key(&source.0) {
                let seen = unknown.entry(source).or_insert((0, ts, ts));
                *seen = (seen.0 + 1, seen.1.min(ts), seen.2.max(ts));
            }
            let batch = count(r.get(1)?);
            match of_batch(commits, batch) {
                Some(c) => {
                    c.found += 1;
                    c.strays += u64::from(c.range.is_some_and(|(min, max)| ts < min || ts > max));
                }
                // What a checkpoint has folded needs no commit any more.
                None if batch <= folded => {}
                None => {
                    let seen = without.get_or_insert((0, ts, ts));
                    *seen = (seen.0 + 1, seen.1.min(ts), seen.2.max(ts));
                }
            }
            Ok(())
        };
        let hot = self.hot();
        let mut gaps: Vec<Gap> = vec![];
        for (table, mark) in &hot {
            let found = self.rows(table, &mut |r| each(r, *mark))?;
            // What lies before the mark is sealed, and of no use any more.
            let seen = found.into_iter().filter(|g| g.before.is_none_or(|b| b > *mark));
            gaps.extend(seen.map(|g| Gap { after: g.after.filter(|a| *a >= *mark), ..g }));
        }
        let mut findings: Vec<Finding> = vec![];
        findings.extend(unknown.into_iter().map(|(source, (rows, from, to))| Finding::UnknownSource { source: source.0, rows, from, to }));
        self.report.readings = rows + sealed.rows;
        findings.extend(without.map(|(rows, from, to)| Finding::RowsWithoutCommit { rows, from, to }));
        for row_key in behind {
            let (at, source) = key::split(row_key);
            // A chunk that cannot be read is told elsewhere.
            if sealed::row_at(self.conn, source, at).is_ok_and(|row| row.is_some()) {
                findings.push(Finding::Twice { topic: topic(topics, source), at });
            }
        }
        // Rows of older ones may be sealed, where nothing tells of their batch.
        let mut missing: Vec<&Commit> = commits.iter().filter(|c| c.found < c.rows && c.batch > folded).collect();
        let told = self.total();
        let found = rows + sealed.rows + sealed.lost + self.expired;
        let unseen = told.and_then(|told| told.checked_sub(found));
        for gap in &gaps {
            let by_commits = self.lost_readings(*gap, topics, &mut missing);
            // Of one hole the sum of all readings tells; of several, the commits, as far as they are told one by one.
            let rows = if gaps.len() == 1 { unseen } else { by_commits.rows.filter(|_| folded == 0) };
            findings.push(Finding::Lost(Lost { rows, ..by_commits }));
            // Nothing may have been there.
            findings.pop_if(|f| matches!(f, Finding::Lost(Lost { rows: Some(0), .. })));
        }
        for c in missing {
            let (from, to) = c.range.unwrap_or((c.received, c.received));
            let rows = c.rows - c.found;
            match findings.last_mut() {
                Some(Finding::RowsMissing { last_batch, from: f, to: t, rows: n, .. }) if *last_batch + 1 == c.batch => {
                    (*last_batch, *f, *t, *n) = (c.batch, from.min(*f), to.max(*t), *n + rows);
                }
                _ => findings.push(Finding::RowsMissing { first_batch: c.batch, last_batch: c.batch, from, to, rows }),
            }
        }
        let explained = findings.iter().any(|f| matches!(f, Finding::Lost(_) | Finding::RowsMissing { .. }));
        if let Some(told) =
            told.filter(|told| *told != found && !explained && !["commits", "chunks", "expired"].iter().any(|t| self.lost_some(t)))
        {
            findings.push(Finding::Total { told, found });
        }
        let astray = commits.iter().filter(|c| c.strays > c.late && c.batch > folded);
        findings.extend(astray.map(|c| Finding::RowsOutOfRange { batch: c.batch, rows: c.strays - c.late }));
        self.report.findings.extend(findings);
        Ok(())
    }

    /// A hole in the readings, in words of time: what commits miss where it lies, and who spoke around it.
    fn lost_readings(&self, gap: Gap, topics: &BTreeMap<u32, String>, missing: &mut Vec<&Commit>) -> Lost {
        let (from, to) = (gap.after.map(|k| key::split(k).0), gap.before.map(|k| key::split(k).0));
        let late = self.late_within(gap).unwrap_or_default();
        let overlaps = |c: &Commit| {
            let within = c.range.is_some_and(|(min, max)| from.is_none_or(|f| max >= f) && to.is_none_or(|t| min <= t));
            within || late.contains(&c.batch)
        };
        let rows = missing.iter().filter(|c| overlaps(c)).map(|c| c.rows - c.found).sum();
        missing.retain(|c| !overlaps(c));
        let mut heard: BTreeMap<u32, Silence> = BTreeMap::new();
        // Another hole may be near: what is heard before it is met is enough.
        let mut near = |table: &str, from: i64, to: i64, after: bool| -> rusqlite::Result<()> {
            let order = if after { "" } else { " DESC" };
            let mut s = self.conn.prepare(&format!("SELECT key FROM {table} WHERE key >= ?1 AND key <= ?2 ORDER BY key{order}"))?;
            let mut rows = s.query([from, to])?;
            while let Some(r) = rows.next()? {
                let (ts, source) = key::split(r.get(0)?);
                let begin = || Silence { topic: topic(topics, source), last_before: None, first_after: None };
                let silence = heard.entry(source.0).or_insert_with(begin);
                if after {
                    silence.first_after = Some(silence.first_after.map_or(ts, |t| t.min(ts)));
                } else {
                    silence.last_before = silence.last_before.max(Some(ts));
                }
            }
            Ok(())
        };
        for (table, mark) in self.hot() {
            let before = gap.after.map(|k| near(&table, key::floor(key::split(k).0 - NEAR).max(mark), k, false));
            let after = gap.before.map(|k| near(&table, k.max(mark), key::floor(key::split(k).0 + NEAR), true));
            if let Some(e) = before.into_iter().chain(after).find_map(Result::err) {
                tracing::debug!(error = %e, "not all that lies around a hole could be read");
            }
        }
        Lost {
            table: "readings".to_owned(),
            after: gap.after,
            before: gap.before,
            rows: Some(rows),
            from,
            to,
            sources: heard.into_values().collect(),
        }
    }

    /// The tables of rows that are not sealed, with the key before which they are.
    fn hot(&self) -> Vec<(String, i64)> {
        let mark = |table: &str| {
            let ix = table.strip_prefix("hot_").map(str::to_owned)?;
            self.conn.query_row("SELECT mark FROM eras WHERE ix = ?1", [ix], |r| r.get(0)).ok()
        };
        let hot = self.tables.iter().map(|t| &t.name).filter(|name| *name == "readings" || name.starts_with("hot_"));
        hot.map(|name| (name.clone(), mark(name).unwrap_or(i64::MIN))).collect()
    }

    /// Readings that were ever stored, by the newest commit that can be read.
    fn total(&self) -> Option<u64> {
        self.conn.query_row("SELECT total FROM commits ORDER BY batch DESC LIMIT 1", [], |r| r.get(0)).map(count).ok()
    }

    fn lost_some(&self, table: &str) -> bool {
        self.report.findings.iter().any(|f| matches!(f, Finding::Lost(l) if l.table == table))
    }

    /// The batches whose late rows lie there.
    fn late_within(&self, gap: Gap) -> rusqlite::Result<BTreeSet<u64>> {
        let mut s = self.conn.prepare("SELECT DISTINCT batch FROM late WHERE key > ?1 AND key < ?2")?;
        s.query_map((gap.after.unwrap_or(i64::MIN), gap.before.unwrap_or(i64::MAX)), |r| r.get(0).map(count))?.collect()
    }

    /// The numbers of all events that can be read, as spans without a gap.
    fn events(&mut self, commits: &[Commit], folded: u64) -> Result<Vec<(u64, u64)>, CheckError> {
        let mut findings = vec![];
        let spans =
            self.numbers("events", commits, folded, &mut |event, batch| findings.push(Finding::EventWithoutCommit { event, batch }))?;
        let missing = |(first, last)| Finding::EventsMissing { first, last };
        findings.extend(between(&spans).map(missing));
        let expected = spans.last().map_or(1, |span| span.1 + 1);
        let told = self.conn.query_row("SELECT last_event FROM commits ORDER BY batch DESC LIMIT 1", [], |r| r.get(0)).map(count);
        if let Ok(told) = told
            && told >= expected
        {
            findings.push(missing((expected, told)));
        }
        let repaired = self.told_lost("events")?;
        findings.retain(|f| !matches!(f, Finding::EventsMissing { first, last } if repaired.contains(&(*first, *last))));
        self.report.findings.extend(findings);
        Ok(spans)
    }

    fn ledger(&mut self, commits: &[Commit], folded: u64) -> Result<(), CheckError> {
        let mut findings = vec![];
        let spans =
            self.numbers("ledger", commits, folded, &mut |entry, batch| findings.push(Finding::EntryWithoutCommit { entry, batch }))?;
        let repaired = self.told_lost("ledger")?;
        let missing = between(&spans).filter(|span| !repaired.contains(span));
        findings.extend(missing.map(|(first, last)| Finding::EntriesMissing { first, last }));
        self.report.findings.extend(findings);
        Ok(())
    }

    /// The numbers in a table of numbers and their batches, as spans without a gap. `stray` hears of those whose batch is not there.
    fn numbers(
        &mut self,
        table: &str,
        commits: &[Commit],
        folded: u64,
        stray: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<(u64, u64)>, CheckError> {
        let mut spans: Vec<(u64, u64)> = vec![];
        self.rows(table, &mut |r| {
            let (seq, batch) = (count(r.get(0)?), count(r.get(1)?));
            match spans.last_mut() {
                Some(span) if span.1 + 1 == seq => span.1 = seq,
                _ => spans.push((seq, seq)),
            }
            let known = commits.binary_search_by_key(&batch, |c| c.batch).is_ok() || (batch > 0 && batch <= folded);
            if !known {
                stray(seq, batch);
            }
            Ok(())
        })?;
        Ok(spans)
    }

    /// Numbers of a table that an earlier repair could not bring back, and said so.
    fn told_lost(&self, table: &str) -> Result<Vec<(u64, u64)>, CheckError> {
        let mut s = self.conn.prepare("SELECT value FROM meta WHERE key LIKE 'lost!_%' ESCAPE '!'")?;
        let notes: Result<Vec<String>, _> = s.query_map([], |r| r.get(0))?.collect();
        let notes = match notes {
            Ok(notes) => notes,
            Err(e) if is_damage(&e) => return Ok(vec![]),
            Err(e) => return Err(e.into()),
        };
        let span = |note: &String| {
            let (of, span) = note.split_once(' ')?;
            let (first, last) = span.split_once("..")?;
            (of == table).then_some((first.parse().ok()?, last.parse().ok()?))
        };
        Ok(notes.iter().filter_map(span).collect())
    }

    fn outbox(&mut self, events: &[(u64, u64)]) -> Result<(), CheckError> {
        let mut findings = vec![];
        self.rows("outbox", &mut |r| {
            let (notice, event) = (r.get(0)?, count(r.get(1)?));
            if !events.iter().any(|(first, last)| (*first..=*last).contains(&event)) {
                findings.push(Finding::NoticeWithoutEvent { notice, event });
            }
            Ok(())
        })?;
        self.report.findings.extend(findings);
        Ok(())
    }

    /// Their batches.
    fn checkpoints(&mut self) -> Result<Vec<u64>, CheckError> {
        let mut batches = vec![];
        self.rows("checkpoints", &mut |r| {
            batches.push(count(r.get(1)?));
            Ok(())
        })?;
        Ok(batches)
    }
}

/// What lies before each span, from 1.
fn between(spans: &[(u64, u64)]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let ends = std::iter::once(0).chain(spans.iter().map(|span| span.1));
    ends.zip(spans).filter(|(end, span)| end + 1 < span.0).map(|(end, span)| (end + 1, span.0 - 1))
}

/// Tables whose keys have no gaps, so that two of them tell how many lie between.
fn dense(table: &str) -> bool {
    ["commits", "events", "ledger", "sources"].contains(&table)
}

fn of_batch(commits: &mut [Commit], batch: u64) -> Option<&mut Commit> {
    let at = commits.binary_search_by_key(&batch, |c| c.batch).ok()?;
    commits.get_mut(at)
}
