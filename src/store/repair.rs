//! A new file out of what a damaged one still holds.
//!
//! Every table is read around its damage ([`salvage`]) into a file of the present schema; what the tables say of each other is then made
//! true again where rows are gone, and what is gone is noted in the file itself. The damaged file is never written to.

use super::check::{CheckError, CheckStep, Depth, Finding, Report, Stored, check, contents};
use super::chunk::Columns;
use super::error::OpenError;
use super::lock::Lock;
use super::part::{beside, folder, sync_folder};
use super::query::{count, integer};
use super::restore::{give, keep};
use super::salvage::{self, Gap, Table};
use super::{Settings, btree, connection, key, schema, sealed, volumes};
use crate::domain::time::Ts;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, ToSql};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Page sizes that files of this program have; the first page, where it is lost, does not tell.
const PAGE_SIZES: [u32; 2] = [4096, 1024];

/// What SQLite may find wrong before it stops looking whether a first page fits.
const FAULTS: u32 = 10_000;

/// What became of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The damaged file as it was, beside the new one.
    pub damaged: PathBuf,
    /// What was found in it.
    pub before: Report,
    /// What could not be brought back, as it was found.
    pub lost: Vec<Finding>,
    /// The first page was made anew.
    pub first_page: bool,
    /// Rows that could be read and are not of this program's making.
    pub garbled: u64,
    /// What is found in the new file.
    pub after: Report,
}

/// How a repair ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing was found, so nothing was done.
    Needless(Report),
    Done(Box<Repaired>),
}

#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("{}: schema version {found}: start `heyun run` once, it migrates the file, or repair it with the heyun that wrote it", .path.display())]
    Older { path: PathBuf, found: i64 },
    #[error("{}: the list of its tables is damaged and cannot be made anew: restore a backup (`heyun store restore`)", .path.display())]
    Schema { path: PathBuf },
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

/// Makes a new file of what can be read and puts it in the place of the damaged one, which is kept as `DB.damaged-<now>`. Until then nothing
/// is changed. Refuses while a daemon runs, and a file of another schema.
pub fn repair(settings: &Settings, now: Ts, tell: &mut dyn FnMut(CheckStep<'_>)) -> Result<Repair, RepairError> {
    let path = connection::resolve(&settings.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path }.into());
    }
    let _lock = Lock::take(&path)?;
    let before = check(settings, Depth::Full, tell)?;
    if before.findings.is_empty() {
        return Ok(Repair::Needless(before));
    }
    if let Some(found) = before.schema.filter(|v| *v < schema::VERSION) {
        return Err(RepairError::Older { path, found });
    }
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| RepairError::File { path, source }
    };
    let owner = fs::metadata(&path).map_err(file(&path))?;
    let new = Scratch::new(beside(&path, ".repair"));
    let mut target = begin(&new.0)?;
    let e = |source| RepairError::Sqlite { path: new.0.clone(), source };
    let tables = salvage::tables(&target).map_err(e)?;

    let work = Scratch::new(beside(&path, ".repair-source"));
    let (source, first_page) = readable(&path, &work.0, &tables)?;
    // Of what was made anew it is only now told what it leads to.
    let mut seen = Report { findings: vec![], whole: vec![], ..before.clone() };
    contents(&source, &mut seen, tell)?;
    let mut moved = Moved::default();
    let tx = target.transaction().map_err(e)?;
    for table in &tables {
        moved.table(&source, &tx, table, tell).map_err(e)?;
    }
    drop(source);
    made_true(&tx, &moved, now).map_err(e)?;
    tx.commit().map_err(e)?;
    target.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(e)?;
    target.close().map_err(|(_, source)| e(source))?;
    File::open(&new.0).and_then(|f| f.sync_all()).map_err(file(&new.0))?;

    let mut after = check(&Settings { path: new.0.clone() }, Depth::Full, tell)?;
    after.file.clone_from(&path);
    let lost = seen.findings.into_iter().filter(is_lost).collect();
    let damaged = keep(&path, "damaged", now).map_err(file(&path))?;
    new.remove_beside();
    fs::rename(&new.0, &path).and_then(|()| sync_folder(&path)).map_err(file(&path))?;
    give(&path, &owner, Some(std::os::unix::fs::PermissionsExt::mode(&owner.permissions())));
    Ok(Repair::Done(Box::new(Repaired { damaged, before, lost, first_page, garbled: moved.garbled, after })))
}

/// A file that is gone when this is dropped, unless it was renamed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Scratch {
        let scratch = Scratch(path);
        scratch.remove();
        scratch
    }

    fn remove(&self) {
        self.remove_beside();
        gone(&self.0);
    }

    fn remove_beside(&self) {
        ["-wal", "-shm", "-journal", ".lock"].iter().for_each(|suffix| gone(&beside(&self.0, suffix)));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn gone(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %path.display(), "what was begun could not be removed");
        }
        _ => {}
    }
}

/// An empty file of the present schema, to be filled at once and made durable at the end.
fn begin(path: &Path) -> Result<Connection, RepairError> {
    let mut conn = connection::to_write(path)?;
    schema::prepare(&mut conn, path)?;
    conn.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))
        .and_then(|()| conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;"))
        .map_err(|source| RepairError::Sqlite { path: path.to_owned(), source })?;
    Ok(conn)
}

/// A copy of the damaged file with its log in it and its inner pages made anew, and whether the pages that tell of the tables were, too.
fn readable(path: &Path, work: &Path, tables: &[Table]) -> Result<(Connection, bool), RepairError> {
    let file = |source| RepairError::File { path: work.to_owned(), source };
    let copied = || -> io::Result<File> {
        fs::copy(path, work)?;
        let log = beside(path, "-wal");
        if log.exists() {
            fs::copy(&log, beside(work, "-wal"))?;
        }
        File::options().read(true).write(true).open(work)
    };
    let opened = |page_size: u32| -> Result<Option<Connection>, RepairError> {
        log_into_file(work);
        let copy = File::options().read(true).write(true).open(work).map_err(file)?;
        btree::mend(&copy, page_size).map_err(file)?;
        Ok(connection::to_read(work).ok().filter(|conn| knows(conn, tables)))
    };
    copied().map_err(file)?;
    let page_size = connection::to_read(work).and_then(|c| c.pragma_query_value(None, "page_size", |r| r.get(0)));
    if let Ok(page_size) = page_size
        && let Some(conn) = opened(page_size)?
    {
        return Ok((conn, false));
    }
    for page_size in PAGE_SIZES {
        let copy = copied().map_err(file)?;
        let pages = schema_pages(folder(path), page_size).map_err(|source| RepairError::Sqlite { path: work.to_owned(), source })?;
        for (at, page) in pages {
            copy.write_all_at(&page, at).map_err(file)?;
        }
        if let Some(conn) = opened(page_size)?.filter(fits) {
            return Ok((conn, true));
        }
    }
    Err(RepairError::Schema { path: path.to_owned() })
}

/// As far as it can be; what cannot is damaged as well, and found to be.
fn log_into_file(work: &Path) {
    let done = connection::to_write(work)
        .map_err(|e| e.to_string())
        .and_then(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(|e| e.to_string()));
    if let Err(error) = done {
        tracing::warn!(error, "the log beside the damaged file could not be read wholly");
    }
}

/// True if the file tells of these tables.
fn knows(conn: &Connection, tables: &[Table]) -> bool {
    salvage::tables(conn).is_ok_and(|found| tables.iter().all(|t| found.contains(t)))
}

/// True if the tables begin where this first page says: a file that was migrated has them elsewhere, and what is read there would be other
/// tables' rows.
fn fits(conn: &Connection) -> bool {
    let lines = || -> rusqlite::Result<Vec<String>> {
        conn.prepare(&format!("PRAGMA quick_check({FAULTS})"))?.query_map([], |r| r.get(0))?.collect()
    };
    let other = |line: &str| ["2nd reference to page", " value in ", "ptr map"].iter().any(|sign| line.contains(sign));
    lines().is_ok_and(|lines| !lines.iter().flat_map(|l| l.lines()).any(other))
}

/// The pages that tell where the tables begin, of a new file: offset and bytes. In every file that was begun with this schema they are the same.
fn schema_pages(near: &Path, page_size: u32) -> rusqlite::Result<Vec<(u64, Vec<u8>)>> {
    let scratch = Scratch::new(near.join(".heyun-schema"));
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| rusqlite::Error::ToSqlConversionFailure(e);
    let mut conn = Connection::open(&scratch.0)?;
    // The first of two settings counts: the file has its size when it is prepared.
    conn.execute_batch(&format!(
        "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE fix (x); DROP TABLE fix;"
    ))?;
    schema::prepare(&mut conn, &scratch.0).map_err(|e| failed(Box::new(e)))?;
    let numbers: Vec<u64> = conn
        .prepare("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")?
        .query_map([], |r| r.get(0).map(count))?
        .collect::<rusqlite::Result<_>>()?;
    conn.close().map_err(|(_, e)| e)?;
    let file = fs::read(&scratch.0).map_err(|e| failed(Box::new(e)))?;
    let size = u64::from(page_size);
    let page = |n: u64| {
        let at = (n - 1) * size;
        let mut page: Vec<u8> = file.iter().skip(usize::try_from(at).ok()?).take(page_size as usize).copied().collect();
        if n == 1 {
            // The number of pages that it tells holds only while two counters are equal (SQLite's file format, 1.3.7 and 1.3.8): now the
            // length of the file counts. No free pages: they are part of no table.
            page.get_mut(92..96)?.fill(0xff);
            page.get_mut(32..40)?.fill(0);
        }
        Some((at, page))
    };
    Ok(numbers.into_iter().filter_map(page).collect())
}

/// What came out of the damaged file.
#[derive(Default)]
struct Moved {
    gaps: Vec<(String, Gap)>,
    garbled: u64,
}

impl Moved {
    fn table(&mut self, from: &Connection, to: &Connection, table: &Table, tell: &mut dyn FnMut(CheckStep<'_>)) -> rusqlite::Result<()> {
        let n = table.columns.len();
        let marks: Vec<String> = (1..=n).map(|i| format!("?{i}")).collect();
        // What the new file was made with gives way. Readings that are not sealed come together in one table, and a new era begins.
        let hot = table.name.starts_with("hot_");
        let (or, name) = if hot { ("IGNORE", "hot_0") } else { ("REPLACE", table.name.as_str()) };
        if table.name == "eras" {
            return Ok(());
        }
        let mark: Option<i64> = match table.name.strip_prefix("hot_") {
            Some(ix) => from.query_row("SELECT mark FROM eras WHERE ix = ?1", [ix], |r| r.get(0)).ok(),
            None => None,
        };
        let sql = format!("INSERT OR {or} INTO {name} ({}) VALUES ({})", table.columns.join(", "), marks.join(", "));
        let mut insert = to.prepare(&sql)?;
        let (mut rows, mut garbled) = (0, 0);
        let gaps = salvage::rows(from, table, &mut |row: &Row<'_>| {
            rows += 1;
            if rows % 16384 == 0 {
                tell(CheckStep::Table { name: &table.name, rows, of: 0 });
            }
            if let Some(mark) = mark
                && row.get::<_, i64>(0)? < mark
            {
                return Ok(());
            }
            for i in 0..n {
                insert.raw_bind_parameter(i + 1, Raw(row.get_ref(i)?))?;
            }
            match insert.raw_execute() {
                Ok(_) => Ok(()),
                // Of a type that the table does not take.
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    garbled += 1;
                    Ok(())
                }
                Err(e) => Err(e),
            }
        })?;
        self.garbled += garbled;
        self.gaps.extend(gaps.into_iter().map(|g| (table.name.clone(), g)));
        Ok(())
    }

    fn lost_some(&self, table: &str) -> bool {
        self.gaps.iter().any(|(t, _)| t == table)
    }
}

/// A value as it is stored.
struct Raw<'a>(ValueRef<'a>);

impl ToSql for Raw<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

/// True for what a new file cannot have either. What columns said in a chunk, and which rows are late, is made anew.
fn is_lost(finding: &Finding) -> bool {
    match finding {
        Finding::Lost(lost) => !["chunk_columns", "late", "eras", "monthly"].contains(&lost.table.as_str()),
        Finding::ChunkDamaged { .. }
        | Finding::ChunkLost { .. }
        | Finding::UnknownSource { .. }
        | Finding::RowsMissing { .. }
        | Finding::Total { .. } => true,
        _ => false,
    }
}

/// After rows are gone: commits tell the rows that there are, nothing refers to what is not there, and the file knows what it lost.
fn made_true(tx: &Connection, moved: &Moved, now: Ts) -> rusqlite::Result<()> {
    let newest = |sql: &str| tx.query_row(sql, [], |r| r.get::<_, Option<i64>>(0)).map(|n| count(n.unwrap_or(0)));
    // A source whose name is gone: its number must not be given to another one.
    tx.execute(
        "INSERT INTO sources (source, id, topic) SELECT source, 'lost-' || source, 'lost/' || source
         FROM (SELECT source FROM readings UNION SELECT key >> 43 FROM chunks) WHERE source NOT IN (SELECT source FROM sources)",
        [],
    )?;
    chunks_told_anew(tx)?;
    not_twice(tx)?;
    volumes::made_whole(tx)?;
    // Of commits up to this one the rows may be sealed, and some commits gone: nobody asks for them any more.
    let folded = newest("SELECT max(batch) FROM (SELECT batch FROM chunks UNION SELECT batch FROM checkpoints)")?;
    let newest_commit = newest("SELECT max(batch) FROM commits")?;
    let newest_row = newest("SELECT max(batch) FROM readings")?;
    let newest_event = newest("SELECT max(batch) FROM events")?;
    new_commits(tx, folded, newest_commit.max(newest_row).max(newest_event))?;
    recount(tx, folded)?;
    if ["late", "commits", "hot_0", "hot_1", "hot_2", "hot_3"].iter().any(|t| moved.lost_some(t)) {
        tx.execute("DELETE FROM late", [])?;
        tx.execute(
            "INSERT OR IGNORE INTO late (batch, pos, key) SELECT r.batch, r.pos, r.key FROM readings r CROSS JOIN commits c ON c.batch = r.batch
             WHERE c.ts_min IS NULL OR r.ts < c.ts_min OR r.ts > c.ts_max",
            [],
        )?;
    }
    let newest_commit = newest("SELECT max(batch) FROM commits")?;
    tx.execute("DELETE FROM checkpoints WHERE batch > ?1", [integer(newest_commit)])?;
    // Nobody can word a notice whose event is gone.
    tx.execute("DELETE FROM outbox WHERE event NOT IN (SELECT seq FROM events)", [])?;
    let last = tx.query_row("SELECT coalesce((SELECT last_event FROM commits ORDER BY batch DESC LIMIT 1), 0)", [], |r| r.get(0))?;
    note_gaps(tx, "events", last, now)?;
    let last = tx.query_row("SELECT coalesce(max(seq), 0) FROM ledger", [], |r| r.get(0))?;
    note_gaps(tx, "ledger", last, now)
}

/// Chunks that cannot be read are left to the damaged file; of the others their ends and columns are told as they are.
fn chunks_told_anew(tx: &Connection) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM damaged_chunks", [])?;
    let mut all = tx.prepare("SELECT key FROM chunks")?;
    let keys: Vec<i64> = all.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let stored = tx.prepare_cached("SELECT * FROM chunks WHERE key = ?1")?.query_row([key], Stored::of)?;
        match stored.rows() {
            None => sealed::delete(tx, key)?,
            Some(rows) if stored.is_told(tx, &rows)? => {}
            Some(rows) => {
                let mut columns = Columns::default();
                rows.iter().for_each(|r| columns.push(r));
                sealed::delete(tx, key)?;
                sealed::write(tx, stored.source, &columns, stored.batch, true)?;
            }
        }
    }
    tx.execute("DELETE FROM chunk_columns WHERE chunk NOT IN (SELECT key FROM chunks)", []).map(|_| ())
}

/// Rows that are sealed are no longer there beside it: where nothing told any more which are, all came.
fn not_twice(tx: &Connection) -> rusqlite::Result<()> {
    let mut behind = tx.prepare(
        "SELECT r.key FROM hot_0 r JOIN (SELECT key >> 43 AS source, max(last) AS last FROM chunks GROUP BY 1) c ON c.source = r.source
         WHERE r.ts <= c.last",
    )?;
    let behind: Vec<i64> = behind.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    for key in behind {
        let (ts, source) = key::split(key);
        if sealed::row_at(tx, source, ts).is_ok_and(|row| row.is_some()) {
            tx.prepare_cached("DELETE FROM hot_0 WHERE key = ?1")?.execute([key])?;
        }
    }
    Ok(())
}

/// Commits that are gone, from the rows and events that came with them. When they were received is no longer known: with their newest
/// row, or with the commit before.
fn new_commits(tx: &Connection, folded: u64, newest: u64) -> rusqlite::Result<()> {
    tx.execute_batch("CREATE TEMP TABLE seen (batch INTEGER PRIMARY KEY, ts_min INTEGER, ts_max INTEGER)")?;
    tx.execute(
        "INSERT INTO seen SELECT batch, min(ts), max(ts) FROM readings WHERE batch > ?1 AND batch NOT IN (SELECT batch FROM commits) GROUP BY batch",
        [integer(folded)],
    )?;
    // Each that is asked for commit by commit.
    let mut missing = tx.prepare(
        "WITH RECURSIVE after(batch) AS (SELECT ?1 + 1 WHERE ?1 < ?2 UNION ALL SELECT batch + 1 FROM after WHERE batch < ?2)
         SELECT batch FROM after WHERE batch NOT IN (SELECT batch FROM commits)",
    )?;
    let missing: Vec<i64> = missing.query_map((integer(folded), integer(newest)), |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut before = tx.prepare("SELECT received FROM commits WHERE batch < ?1 ORDER BY batch DESC LIMIT 1")?;
    let mut seen = tx.prepare("SELECT ts_min, ts_max FROM seen WHERE batch = ?1")?;
    let mut insert =
        tx.prepare("INSERT INTO commits (batch, received, rows, ts_min, ts_max, total, last_event) VALUES (?1, ?2, 0, ?3, ?4, 0, 0)")?;
    for batch in missing {
        let range = seen.query_row([batch], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?))).optional()?;
        let received = match range {
            Some((_, newest)) => newest,
            None => before.query_row([batch], |r| r.get(0)).optional()?.unwrap_or(0),
        };
        insert.execute((batch, received, range.map(|r| r.0), range.map(|r| r.1)))?;
    }
    drop((seen, before, insert));
    tx.execute_batch("DROP TABLE seen")
}

/// Every commit tells as many rows as there are of it (of those up to `folded`, what it told), the sums follow, and the last one is what is
/// there in all, or expired.
fn recount(tx: &Connection, folded: u64) -> rusqlite::Result<()> {
    tx.execute_batch("CREATE TEMP TABLE found (batch INTEGER PRIMARY KEY, n INTEGER)")?;
    tx.execute("INSERT INTO found SELECT batch, count(*) FROM readings GROUP BY batch", [])?;
    // One that was made anew tells nothing yet.
    tx.execute(
        "UPDATE commits SET rows = coalesce((SELECT n FROM found f WHERE f.batch = commits.batch), 0) WHERE batch > ?1 OR total = 0",
        [integer(folded)],
    )?;
    let there: i64 = tx.query_row(
        "SELECT (SELECT count(*) FROM readings) + (SELECT coalesce(sum(n), 0) FROM chunks) + (SELECT coalesce(sum(rows), 0) FROM expired)",
        [],
        |r| r.get(0),
    )?;
    let mut all = tx.prepare("SELECT batch, rows, total, last_event FROM commits ORDER BY batch")?;
    let commits: Vec<(i64, i64, i64, i64)> =
        all.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect::<rusqlite::Result<_>>()?;
    let (mut sum, mut told_before, mut batch_before): (i64, i64, i64) = (0, 0, 0);
    let mut sums = vec![];
    for (batch, rows, told, _) in &commits {
        // Over commits that are gone by intention, as far as they told.
        let skipped = if *batch == batch_before + 1 || *told == 0 { 0 } else { (told - told_before - rows).max(0) };
        sum += skipped + rows;
        sums.push(sum);
        (told_before, batch_before) = (if *told == 0 { told_before + rows } else { *told }, *batch);
    }
    let shift = there - sum;
    let mut set = tx.prepare("UPDATE commits SET total = ?2, last_event = ?3 WHERE batch = ?1")?;
    let mut event = tx.prepare("SELECT coalesce(max(seq), 0) FROM events WHERE batch = ?1")?;
    let mut last_event: i64 = 0;
    for ((batch, _, _, told), sum) in commits.into_iter().zip(sums) {
        // Of a commit that is made anew, what its events tell.
        last_event = last_event.max(told).max(event.query_row([batch], |r| r.get(0))?);
        set.execute((batch, sum + shift, last_event))?;
    }
    drop((all, set, event));
    tx.execute_batch("DROP TABLE found")
}

/// Numbers of events and entries are never given twice, so those that are gone leave a gap; it is noted, so that it is no finding for ever.
fn note_gaps(tx: &Connection, table: &str, last: i64, now: Ts) -> rusqlite::Result<()> {
    let mut s = tx.prepare(&format!("SELECT seq FROM {table} ORDER BY seq"))?;
    let present: Vec<i64> = s.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut expected = 1;
    for seq in present.into_iter().chain([last + 1]) {
        if seq > expected {
            let note = format!("{table} {expected}..{}", seq - 1);
            tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (format!("lost_{}_{table}_{expected}", now.0), note))?;
        }
        expected = expected.max(seq + 1);
    }
    Ok(())
}
