//! Does the file hold what it says it holds? Page by page, and each table against the others.

use super::error::{OpenError, ReadError};
use super::key;
use super::query::count;
use super::salvage::{self, Gap, Key, Table, is_damage};
use super::schema;
use super::{Settings, connection};
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, Row};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What SQLite may find wrong before it stops looking.
const FAULTS: u32 = 1000;

/// Who speaks so near to a hole in the readings may have spoken in it.
const NEAR: Ms = Ms::days(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every page, every index entry, every row.
    Full,
    /// Indexes are not held against their tables.
    Quick,
}

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The first page is none of an SQLite database: it is damaged, or the file is another program's.
    FirstPage {
        told: String,
    },
    /// SQLite found fault with the pages of a table or an index (None: with the file as such), so often; this was the first.
    Pages {
        of: Option<String>,
        index: bool,
        faults: usize,
        told: String,
    },
    /// Rows that cannot be read.
    Lost(Lost),
    /// Rows that other rows tell of, and that are not there, though no page is damaged.
    RowsMissing {
        first_batch: u64,
        last_batch: u64,
        from: Ts,
        to: Ts,
        rows: u64,
    },
    /// Rows that came in no commit that there is.
    RowsWithoutCommit {
        rows: u64,
        from: Ts,
        to: Ts,
    },
    /// Rows of a commit that a start would not find.
    RowsOutOfRange {
        batch: u64,
        rows: u64,
    },
    /// Rows of a source that no table names.
    UnknownSource {
        source: u32,
        rows: u64,
        from: Ts,
        to: Ts,
    },
    CommitsMissing {
        first: u64,
        last: u64,
    },
    CommitTotal {
        batch: u64,
        told: u64,
        sum: u64,
    },
    EventsMissing {
        first: u64,
        last: u64,
    },
    /// An event of a batch that is not there, or not there yet.
    EventWithoutCommit {
        event: u64,
        batch: u64,
    },
    NoticeWithoutEvent {
        notice: i64,
        event: u64,
    },
    /// A state after a batch that is not there.
    CheckpointAhead {
        batch: u64,
        newest: u64,
    },
}

/// Rows of a table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    pub table: String,
    /// The keys between which they lie, both readable; None: to that end of the table.
    pub after: Option<i64>,
    pub before: Option<i64>,
    /// How many; None where nothing tells.
    pub rows: Option<u64>,
    /// Of readings: the times between which they lie, and who may have spoken.
    pub from: Option<Ts>,
    pub to: Option<Ts>,
    pub sources: Vec<Silence>,
}

/// The readings of one source on both sides of a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    pub topic: String,
    pub last_before: Option<Ts>,
    pub first_after: Option<Ts>,
}

/// Rows of a table that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whole {
    pub table: String,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub file: PathBuf,
    /// Version of the schema; None where that cannot be read.
    pub schema: Option<i64>,
    /// The newest commit that can be read.
    pub batch: u64,
    pub findings: Vec<Finding>,
    pub whole: Vec<Whole>,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep<'a> {
    /// SQLite reads all pages; how far it is, it does not say.
    Pages,
    /// So many rows of this table were read, of about so many.
    Table { name: &'a str, rows: u64, of: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<rusqlite::Error> for CheckError {
    fn from(e: rusqlite::Error) -> CheckError {
        CheckError::Read(e.into())
    }
}

/// Checks a file, beside a running daemon or without one, as it is after one commit. Changes nothing.
///
/// Refused are files of other programs and of a newer schema. Of an older schema what it has is checked.
pub fn check(settings: &Settings, depth: Depth, tell: &mut dyn FnMut(CheckStep<'_>)) -> Result<Report, CheckError> {
    let path = connection::resolve(&settings.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path }.into());
    }
    let mut report = Report { file: path.clone(), schema: None, batch: 0, findings: vec![], whole: vec![] };
    let opened = match connection::to_read(&path) {
        Ok(conn) => schema::version_of(&conn, &path).map(|version| (conn, version)),
        Err(e) => Err(OpenError::sqlite(&path, e)),
    };
    let (conn, version) = match opened {
        Ok(opened) => opened,
        Err(e) => match first_page(&path, &e) {
            Some(told) => {
                report.findings.push(Finding::FirstPage { told });
                return Ok(report);
            }
            None => return Err(e.into()),
        },
    };
    report.schema = Some(version);
    // One state for all questions.
    let tx = conn.unchecked_transaction()?;
    tell(CheckStep::Pages);
    pages(&tx, depth, &mut report.findings)?;
    contents(&tx, &mut report, tell)?;
    Ok(report)
}

/// What is wrong with a first page that SQLite cannot begin with; None where the reason is another one.
fn first_page(path: &Path, e: &OpenError) -> Option<String> {
    match e {
        OpenError::Sqlite { source, .. } if is_damage(source) => Some(source.to_string()),
        // Once it was ours: a process that wrote it has left its lock.
        OpenError::NotADatabase { .. } if super::lock::lock_path(path).exists() => {
            let mut begin = [0; 16];
            let read = fs::File::open(path).and_then(|mut f| f.read_exact(&mut begin));
            Some(match read {
                Ok(()) => format!("the file begins with {}", begin.escape_ascii()),
                Err(e) => e.to_string(),
            })
        }
        _ => None,
    }
}

/// What SQLite says of its pages, told by table and index.
fn pages(conn: &Connection, depth: Depth, findings: &mut Vec<Finding>) -> Result<(), CheckError> {
    let pragma = match depth {
        Depth::Full => "integrity_check",
        Depth::Quick => "quick_check",
    };
    let mut by_object: BTreeMap<Option<String>, (usize, String)> = BTreeMap::new();
    let mut indexes: BTreeSet<String> = BTreeSet::new();
    let mut read = || -> rusqlite::Result<()> {
        let mut roots: HashMap<i64, String> = HashMap::new();
        let mut s = conn.prepare("SELECT rootpage, name, type FROM sqlite_schema WHERE rootpage > 0")?;
        for row in s.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, String>(2)?)))? {
            let (root, name, kind) = row?;
            if kind == "index" {
                indexes.insert(name.clone());
            }
            roots.insert(root, name);
        }
        let mut s = conn.prepare(&format!("PRAGMA {pragma}({FAULTS})"))?;
        let mut rows = s.query([])?;
        while let Some(row) = rows.next()? {
            // One row may hold several lines.
            for line in row.get::<_, String>(0)?.lines().filter(|l| !l.is_empty() && *l != "ok" && !l.starts_with("***")) {
                let of = object(line, &roots, &indexes);
                by_object.entry(of).and_modify(|(n, _)| *n += 1).or_insert((1, line.to_owned()));
            }
        }
        Ok(())
    };
    match read() {
        Ok(()) => {}
        // It could not even begin, or met an unreadable sector. After faults that it told, it may end with an error too.
        Err(e) if is_damage(&e) => {
            if by_object.is_empty() {
                by_object.insert(None, (1, e.to_string()));
            }
        }
        Err(e) => return Err(e.into()),
    }
    for (of, (faults, told)) in by_object {
        let index = of.as_ref().is_some_and(|name| indexes.contains(name));
        findings.push(Finding::Pages { of, index, faults, told });
    }
    Ok(())
}

/// Of which table or index a line of `integrity_check` speaks: it names it ("… missing from index x", "NULL value in x.y") or the number
/// of its first page ("Tree 7 page 9 …").
fn object(line: &str, roots: &HashMap<i64, String>, indexes: &BTreeSet<String>) -> Option<String> {
    let tree = line.strip_prefix("Tree ").and_then(|l| l.split(' ').next()).and_then(|n| n.parse().ok());
    if let Some(name) = tree.and_then(|root: i64| roots.get(&root)) {
        return Some(name.clone());
    }
    let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let named = words().find(|w| indexes.contains(*w)).or_else(|| words().find(|w| roots.values().any(|name| name == w)));
    named.map(str::to_owned)
}

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
struct Pass<'a> {
    conn: &'a Connection,
    tables: Vec<Table>,
    report: &'a mut Report,
    tell: &'a mut dyn FnMut(CheckStep<'_>),
}

/// Every row that can be read, and each table against the others.
fn contents(conn: &Connection, report: &mut Report, tell: &mut dyn FnMut(CheckStep<'_>)) -> Result<(), CheckError> {
    let tables = match salvage::tables(conn) {
        Ok(tables) => tables,
        Err(e) if is_damage(&e) => {
            report.findings.push(Finding::FirstPage { told: e.to_string() });
            return Ok(());
        }
        Err(e) => return Err(e.into()),
    };
    let mut pass = Pass { conn, tables, report, tell };
    let topics = pass.topics()?;
    let mut commits = pass.commits()?;
    pass.late(&mut commits)?;
    pass.readings(&topics, &mut commits)?;
    let events = pass.events(&commits)?;
    pass.outbox(&events)?;
    pass.checkpoints(&commits)?;
    for name in pass.tables.iter().map(|t| t.name.clone()).collect::<Vec<_>>() {
        if !pass.report.whole.iter().any(|w| w.table == name) {
            pass.rows(&name, &mut |_| Ok(()))?;
        }
    }
    pass.report.whole.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(())
}

impl Pass<'_> {
    /// Reads a table; holes in it become findings, but those in the readings are returned. A table that this version does not have is empty.
    fn rows(&mut self, name: &str, f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Result<Vec<Gap>, CheckError> {
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
        if name == "readings" {
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
        if table.name == "readings" {
            return self.conn.query_row("SELECT total FROM commits ORDER BY batch DESC LIMIT 1", [], |r| r.get(0)).map(count).unwrap_or(0);
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

    fn commits(&mut self) -> Result<Vec<Commit>, CheckError> {
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
            if let Some(last) = commits.last().filter(|_| gap) {
                findings.push(Finding::CommitsMissing { first: last.batch + 1, last: c.batch.saturating_sub(1) });
            }
            // Old commits may be gone: the sum begins with the first that is there.
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

    fn readings(&mut self, topics: &BTreeMap<u32, String>, commits: &mut [Commit]) -> Result<(), CheckError> {
        let mut unknown: BTreeMap<u32, (u64, Ts, Ts)> = BTreeMap::new();
        let mut without: Option<(u64, Ts, Ts)> = None;
        let first = commits.first().map_or(0, |c| c.batch);
        let gaps = self.rows("readings", &mut |r| {
            let (ts, source) = key::split(r.get(0)?);
            if !topics.contains_key(&source.0) {
                let seen = unknown.entry(source.0).or_insert((0, ts, ts));
                *seen = (seen.0 + 1, seen.1.min(ts), seen.2.max(ts));
            }
            let batch = count(r.get(1)?);
            match of_batch(commits, batch) {
                Some(c) => {
                    c.found += 1;
                    c.strays += u64::from(c.range.is_some_and(|(min, max)| ts < min || ts > max));
                }
                // Old commits are gone by intention.
                None if batch < first => {}
                None => {
                    let seen = without.get_or_insert((0, ts, ts));
                    *seen = (seen.0 + 1, seen.1.min(ts), seen.2.max(ts));
                }
            }
            Ok(())
        })?;
        let mut findings: Vec<Finding> = vec![];
        findings.extend(unknown.into_iter().map(|(source, (rows, from, to))| Finding::UnknownSource { source, rows, from, to }));
        findings.extend(without.map(|(rows, from, to)| Finding::RowsWithoutCommit { rows, from, to }));
        let mut missing: Vec<&Commit> = commits.iter().filter(|c| c.found < c.rows).collect();
        for gap in &gaps {
            findings.push(Finding::Lost(self.lost_readings(*gap, topics, &mut missing)));
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
        let astray = commits.iter().filter(|c| c.strays > c.late);
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
        let mut near = |sql: &str, from: i64, to: i64, after: bool| -> rusqlite::Result<()> {
            let mut s = self.conn.prepare_cached(sql)?;
            let mut rows = s.query([from, to])?;
            while let Some(r) = rows.next()? {
                let (ts, source) = key::split(r.get(0)?);
                let topic = || topics.get(&source.0).cloned().unwrap_or_else(|| format!("source {}", source.0));
                let silence = heard.entry(source.0).or_insert_with(|| Silence { topic: topic(), last_before: None, first_after: None });
                let slot = if after { &mut silence.first_after } else { &mut silence.last_before };
                slot.get_or_insert(ts);
            }
            Ok(())
        };
        let before = gap.after.map(|k| {
            near("SELECT key FROM readings WHERE key > ?1 AND key <= ?2 ORDER BY key DESC", key::floor(key::split(k).0 - NEAR), k, false)
        });
        let after = gap.before.map(|k| {
            near("SELECT key FROM readings WHERE key >= ?2 AND key < ?1 ORDER BY key", key::floor(key::split(k).0 + NEAR), k, true)
        });
        if let Some(e) = before.into_iter().chain(after).find_map(Result::err) {
            tracing::debug!(error = %e, "not all that lies around a hole could be read");
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

    /// The batches whose late rows lie there.
    fn late_within(&self, gap: Gap) -> rusqlite::Result<BTreeSet<u64>> {
        let mut s = self.conn.prepare("SELECT DISTINCT batch FROM late WHERE key > ?1 AND key < ?2")?;
        s.query_map((gap.after.unwrap_or(i64::MIN), gap.before.unwrap_or(i64::MAX)), |r| r.get(0).map(count))?.collect()
    }

    /// The numbers of all events that can be read, as spans without a gap.
    fn events(&mut self, commits: &[Commit]) -> Result<Vec<(u64, u64)>, CheckError> {
        let (first, newest) = (commits.first().map_or(0, |c| c.batch), commits.last().map_or(0, |c| c.batch));
        let mut spans: Vec<(u64, u64)> = vec![];
        let mut findings = vec![];
        self.rows("events", &mut |r| {
            let (seq, batch) = (count(r.get(0)?), count(r.get(1)?));
            match spans.last_mut() {
                Some(span) if span.1 + 1 == seq => span.1 = seq,
                _ => spans.push((seq, seq)),
            }
            let known = commits.binary_search_by_key(&batch, |c| c.batch).is_ok() || (batch < first && batch > 0);
            if !known && newest > 0 {
                findings.push(Finding::EventWithoutCommit { event: seq, batch });
            }
            Ok(())
        })?;
        let mut expected = 1;
        for (first, last) in &spans {
            if *first > expected {
                findings.push(Finding::EventsMissing { first: expected, last: first - 1 });
            }
            expected = last + 1;
        }
        let told = self.conn.query_row("SELECT last_event FROM commits ORDER BY batch DESC LIMIT 1", [], |r| r.get(0)).map(count);
        if let Ok(told) = told
            && told >= expected
        {
            findings.push(Finding::EventsMissing { first: expected, last: told });
        }
        let repaired = self.told_lost("events")?;
        findings.retain(|f| !matches!(f, Finding::EventsMissing { first, last } if repaired.contains(&(*first, *last))));
        self.report.findings.extend(findings);
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

    fn checkpoints(&mut self, commits: &[Commit]) -> Result<(), CheckError> {
        let newest = commits.last().map_or(0, |c| c.batch);
        let mut findings = vec![];
        self.rows("checkpoints", &mut |r| {
            let batch = count(r.get(1)?);
            if batch > newest {
                findings.push(Finding::CheckpointAhead { batch, newest });
            }
            Ok(())
        })?;
        self.report.findings.extend(findings);
        Ok(())
    }
}

/// Tables whose keys have no gaps, so that two of them tell how many lie between.
fn dense(table: &str) -> bool {
    ["commits", "events", "sources"].contains(&table)
}

fn of_batch(commits: &mut [Commit], batch: u64) -> Option<&mut Commit> {
    let at = commits.binary_search_by_key(&batch, |c| c.batch).ok()?;
    commits.get_mut(at)
}
