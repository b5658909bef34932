//! What SQLite itself says of the file.

use super::{CheckError, Depth, Finding};
use crate::store::salvage::is_damage;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What SQLite may find wrong before it stops looking.
const FAULTS: u32 = 1000;

/// What SQLite says of its pages, told by table and index.
pub(super) fn pages(conn: &Connection, depth: Depth, findings: &mut Vec<Finding>) -> Result<(), CheckError> {
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
