//! Reading a table around what is damaged in it: every row that can still be reached by its key, and between which keys nothing can.

use rusqlite::{Connection, ErrorCode, Row, ToSql};

/// How often one hole is asked whether there is something readable inside of it.
const ISLAND_PROBES: usize = 256;

/// A table of the file, as its CREATE statement has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    /// Those that are stored, in order.
    pub columns: Vec<String>,
    pub key: Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A rowid table: the position of its INTEGER PRIMARY KEY among the columns.
    Integer(usize),
    /// WITHOUT ROWID: the columns of the key, in order.
    Columns(Vec<String>),
}

/// Rows lie between these two that cannot be read, or none do and a page is damaged that held some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last key that was read before it; None: it begins the table, or its rows have no integer as their key.
    pub after: Option<i64>,
    /// The first key that was read behind it; None: it ends the table.
    pub before: Option<i64>,
}

/// True for what a damaged page or an unreadable sector makes SQLite say, and for values that this program never writes.
pub(super) fn is_damage(e: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ffi};
    if matches!(
        e,
        Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) | Error::FromSqlConversionFailure(..) | Error::Utf8Error(..)
    ) {
        return true;
    }
    let unread = matches!(
        e.sqlite_error().map(|f| f.extended_code),
        Some(ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA)
    );
    unread || matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// The tables that a sound file has.
pub(super) fn tables(conn: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut s = conn.prepare("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")?;
    let names: Vec<(String, bool)> = s.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    // Computed columns are hidden ones here.
    let mut s = conn.prepare("SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
    let mut out = vec![];
    for (name, without_rowid) in names {
        let columns: Vec<(String, u32)> = s.query_map([&name], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let mut key: Vec<(u32, &String)> = columns.iter().filter(|(_, pk)| *pk > 0).map(|(c, pk)| (*pk, c)).collect();
        key.sort_unstable();
        let key = match columns.iter().position(|(_, pk)| *pk == 1) {
            Some(at) if !without_rowid => Key::Integer(at),
            _ => Key::Columns(key.into_iter().map(|(_, c)| c.clone()).collect()),
        };
        out.push(Table { name, columns: columns.into_iter().map(|(c, _)| c).collect(), key });
    }
    Ok(out)
}

/// Gives every row that can be read to `f`, in the order of the key; by its columns, as [`Table::columns`] has them. What lies in between is
/// returned. An error is one that is no damage.
pub(super) fn rows(conn: &Connection, table: &Table, f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>) -> rusqlite::Result<Vec<Gap>> {
    match &table.key {
        Key::Integer(at) => by_integer(conn, table, *at, f),
        Key::Columns(key) => by_columns(conn, table, key, f),
    }
}

fn by_integer(
    conn: &Connection,
    table: &Table,
    key: usize,
    f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Vec<Gap>> {
    let (name, columns, key_name) = (&table.name, table.columns.join(", "), &table.columns[key]);
    let forward = format!("SELECT {columns} FROM {name} NOT INDEXED WHERE {key_name} >= ?1 ORDER BY {key_name}");
    let mut gaps: Vec<Gap> = vec![];
    let mut last: Option<i64> = None;
    let mut from = i64::MIN;
    loop {
        let result = each(conn, &forward, &[&from], &mut |row| {
            let k: i64 = row.get(key)?;
            // A page that is damaged in a way that still looks right leads elsewhere.
            if last.is_none_or(|l| k > l) {
                last = Some(k);
                f(row)?;
            }
            Ok(())
        });
        match result {
            Ok(()) => return Ok(gaps),
            Err(e) if is_damage(&e) => {}
            Err(e) => return Err(e),
        }
        let before = next_readable(conn, &format!("{forward} LIMIT 1"), key, last)?;
        gaps.push(Gap { after: last, before });
        match before {
            Some(k) => from = k,
            None => return Ok(gaps),
        }
    }
}

/// Calls with every row of a question.
fn each(conn: &Connection, sql: &str, params: &[&dyn ToSql], f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let mut s = conn.prepare_cached(sql)?;
    let mut rows = s.query(params)?;
    while let Some(row) = rows.next()? {
        f(row)?;
    }
    Ok(())
}

/// The first key behind `last` whose row can be read. `sql` asks for the row with this key or the next one.
fn next_readable(conn: &Connection, sql: &str, key: usize, last: Option<i64>) -> rusqlite::Result<Option<i64>> {
    let mut s = conn.prepare(sql)?;
    // Outer None: nothing can be read there. Inner None: nothing is there.
    let mut at = |k: i64| -> rusqlite::Result<Option<Option<i64>>> {
        let mut rows = s.query([k])?;
        match rows.next().and_then(|row| row.map(|r| r.get::<_, i64>(key)).transpose()) {
            Ok(found) => Ok(Some(found.filter(|found| *found >= k))),
            Err(e) if is_damage(&e) => Ok(None),
            Err(e) => Err(e),
        }
    };
    // Ever longer steps until something can be read, then halves back to its beginning.
    let Some(begin) = last.map_or(Some(i64::MIN), |l| l.checked_add(1)) else { return Ok(None) };
    let (mut bad, mut good) = (begin, None);
    for step in 0..64 {
        let probe = begin.saturating_add_unsigned(if step == 63 { u64::MAX } else { 1 << step });
        match at(probe)? {
            Some(found) => {
                good = Some((probe, found));
                break;
            }
            None => bad = probe,
        }
    }
    let Some((mut probe, mut found)) = good else { return Ok(None) };
    while probe > bad && probe.abs_diff(bad) > 1 {
        let middle = bad + i64::try_from(probe.abs_diff(bad) / 2).unwrap_or(i64::MAX);
        match at(middle)? {
            Some(f) => (probe, found) = (middle, f),
            None => bad = middle,
        }
    }
    // What lies between two damaged places was stepped over: halves of halves find it, if it is not small against the hole.
    let mut parts = std::collections::VecDeque::from([(begin, bad)]);
    let mut first_island: Option<i64> = None;
    for _ in 0..ISLAND_PROBES {
        let Some((from, to)) = parts.pop_front() else { break };
        let width = to.abs_diff(from);
        if width < 2 || first_island.is_some_and(|i| from >= i) {
            continue;
        }
        let middle = from + i64::try_from(width / 2).unwrap_or(0);
        match at(middle)? {
            Some(Some(island)) if first_island.is_none_or(|i| island < i) => {
                first_island = Some(island);
                parts.push_back((from, middle));
            }
            Some(_) => parts.push_back((from, middle)),
            None => parts.extend([(from, middle), (middle, to)]),
        }
    }
    Ok(first_island.or(found))
}

/// From both ends until damage is met.
fn by_columns(
    conn: &Connection,
    table: &Table,
    key: &[String],
    f: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Vec<Gap>> {
    let (name, columns) = (&table.name, table.columns.join(", "));
    let mut gaps = vec![];
    for order in ["", " DESC"] {
        let by: Vec<String> = key.iter().map(|k| format!("{k}{order}")).collect();
        match each(conn, &format!("SELECT {columns} FROM {name} ORDER BY {}", by.join(", ")), &[], f) {
            Ok(()) => break,
            Err(e) if is_damage(&e) => gaps = vec![Gap { after: None, before: None }],
            Err(e) => return Err(e),
        }
    }
    Ok(gaps)
}
