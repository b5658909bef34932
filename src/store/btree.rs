//! Inner pages of tables, made anew: a page that only says where others lie need not cost what lies on them.
//!
//! In a file with auto_vacuum every page's parent is noted on pages of their own (SQLite's file format, 1.8: the pointer map). So the
//! children of a lost inner page are known, and each says by its rows what belongs into the lost page (1.6: the b-tree pages).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const TABLE_INNER: u8 = 5;
const TABLE_LEAF: u8 = 13;
/// In the pointer map: a page of a b-tree that has a parent.
const HAS_PARENT: u8 = 5;
const INNER_HEADER: usize = 12;
const LEAF_HEADER: usize = 8;
/// No tree of ours is deeper; a circle is.
const DEEPEST: usize = 16;
/// The page with this byte is never used.
const LOCK_BYTE: u64 = 1 << 30;

/// Makes lost inner pages of tables anew, in the file itself, which has no log. Returns how many. A child that is lost too is left out.
pub(super) fn mend(file: &File, page_size: u32) -> io::Result<usize> {
    let pages = u32::try_from(file.metadata()?.len() / u64::from(page_size)).unwrap_or(u32::MAX);
    let mut tree = Tree { file, page_size: page_size as usize, pages, children: BTreeMap::new(), made: 0 };
    tree.read_map()?;
    let parents: Vec<u32> = tree.children.keys().copied().collect();
    for parent in parents {
        tree.sound(parent, 0)?;
    }
    Ok(tree.made)
}

struct Tree<'a> {
    file: &'a File,
    page_size: usize,
    pages: u32,
    /// By parent.
    children: BTreeMap<u32, Vec<u32>>,
    made: usize,
}

impl Tree<'_> {
    fn read(&self, page: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.page_size];
        self.file.read_exact_at(&mut bytes, u64::from(page - 1) * self.page_size as u64)?;
        Ok(bytes)
    }

    /// The pointer map: after each of its pages come as many as it has entries for.
    fn read_map(&mut self) -> io::Result<()> {
        let entries = u32::try_from(self.page_size / 5).unwrap_or(u32::MAX);
        let never = u32::try_from(LOCK_BYTE / self.page_size as u64 + 1).unwrap_or(u32::MAX);
        let mut map = 2;
        while map <= self.pages {
            let at = if map == never { map + 1 } else { map };
            if at > self.pages {
                break;
            }
            let bytes = self.read(at)?;
            for (page, entry) in (at + 1..=self.pages).zip(bytes.chunks_exact(5)).take(entries as usize) {
                let parent = u32::from_be_bytes([entry[1], entry[2], entry[3], entry[4]]);
                if entry[0] == HAS_PARENT && parent > 1 && parent <= self.pages {
                    self.children.entry(parent).or_default().push(page);
                }
            }
            map += entries + 1;
        }
        Ok(())
    }

    /// The greatest rowid below a page of a table, after making it sound; None for another page, and for one that cannot be made so.
    fn sound(&mut self, page: u32, depth: usize) -> io::Result<Option<i64>> {
        if depth > DEEPEST || page < 2 || page > self.pages {
            return Ok(None);
        }
        let bytes = self.read(page)?;
        if let Some(rowid) = last_of_leaf(&bytes) {
            return Ok(Some(rowid));
        }
        if let Some(children) = children(&bytes) {
            return match children.last() {
                Some(last) => self.sound(*last, depth + 1),
                None => Ok(None),
            };
        }
        let Some(children) = self.children.get(&page).cloned() else { return Ok(None) };
        let mut found = vec![];
        for child in children {
            if let Some(rowid) = self.sound(child, depth + 1)? {
                found.push((rowid, child));
            }
        }
        found.sort_unstable();
        let Some(made) = inner(&found, self.page_size) else { return Ok(None) };
        self.file.write_all_at(&made, u64::from(page - 1) * self.page_size as u64)?;
        self.made += 1;
        Ok(found.last().map(|(rowid, _)| *rowid))
    }
}

fn u16_at(page: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])))
}

fn u32_at(page: &[u8], at: usize) -> Option<u32> {
    page.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
}

/// Where the cells of a page begin.
fn cells(page: &[u8], header: usize) -> Option<Vec<usize>> {
    let n = u16_at(page, 3)?;
    let begin = header + 2 * n;
    (0..n).map(|i| u16_at(page, header + 2 * i).filter(|at| *at >= begin && *at < page.len())).collect()
}

/// The last rowid on a leaf of a table; None if it is none or empty.
fn last_of_leaf(page: &[u8]) -> Option<i64> {
    if *page.first()? != TABLE_LEAF {
        return None;
    }
    let last = *cells(page, LEAF_HEADER)?.last()?;
    let (_, size) = varint(page.get(last..)?)?;
    Some(varint(page.get(last + size..)?)?.0)
}

/// The pages below an inner page of a table; None if it is none.
fn children(page: &[u8]) -> Option<Vec<u32>> {
    if *page.first()? != TABLE_INNER {
        return None;
    }
    let mut out: Vec<u32> = cells(page, INNER_HEADER)?.into_iter().map(|at| u32_at(page, at)).collect::<Option<_>>()?;
    out.push(u32_at(page, 8)?);
    out.iter().all(|child| *child > 1).then_some(out)
}

/// An inner page over these, by their greatest rowids; None if they do not fit.
fn inner(below: &[(i64, u32)], page_size: usize) -> Option<Vec<u8>> {
    let ((_, rightmost), left) = below.split_last()?;
    let mut page = vec![0; page_size];
    page[0] = TABLE_INNER;
    page[3..5].copy_from_slice(&u16::try_from(left.len()).ok()?.to_be_bytes());
    page[8..12].copy_from_slice(&rightmost.to_be_bytes());
    let mut at = page_size;
    for (i, (rowid, child)) in left.iter().enumerate() {
        let mut cell = child.to_be_bytes().to_vec();
        cell.extend(as_varint(*rowid));
        at = at.checked_sub(cell.len()).filter(|at| *at >= INNER_HEADER + 2 * left.len())?;
        page[at..at + cell.len()].copy_from_slice(&cell);
        // A page of 65536 bytes writes 0, and none of ours is so large.
        let pointer = u16::try_from(at).ok()?.to_be_bytes();
        page[INNER_HEADER + 2 * i..INNER_HEADER + 2 * i + 2].copy_from_slice(&pointer);
    }
    page[5..7].copy_from_slice(&u16::try_from(at).ok()?.to_be_bytes());
    Some(page)
}

/// Seven bits a byte, the greatest first; a ninth byte has eight. The number, and how many bytes it took.
fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut n: u64 = 0;
    for (i, byte) in bytes.iter().take(9).enumerate() {
        if i == 8 {
            return Some(((n << 8 | u64::from(*byte)).cast_signed(), 9));
        }
        n = n << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((n.cast_signed(), i + 1));
        }
    }
    None
}

fn as_varint(n: i64) -> Vec<u8> {
    let mut n = n.cast_unsigned();
    let byte = |n: u64| n.to_le_bytes()[0];
    let mut out = vec![];
    if n >> 56 != 0 {
        out.push(byte(n));
        n >>= 8;
        for _ in 0..8 {
            out.push(byte(n) | 0x80);
            n >>= 7;
        }
    } else {
        out.push(byte(n) & 0x7f);
        n >>= 7;
        while n != 0 {
            out.push(byte(n) | 0x80);
            n >>= 7;
        }
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_sqlites() {
        for n in [0, 1, 127, 128, 16_383, 16_384, 1 << 55, (1 << 56) - 1, 1 << 56, i64::MAX, -1, i64::MIN, 1_883_286_326_476_800_000] {
            let bytes = as_varint(n);
            assert_eq!(varint(&bytes), Some((n, bytes.len())), "{n}");
        }
        assert_eq!(as_varint(128), [0x81, 0x00]);
        assert_eq!(as_varint(-1), [0xff; 9]);
        assert_eq!(varint(&[0x81]), None);
    }

    /// SQLite itself says whether the page is one of its own: every inner page of a deep tree in turn.
    #[test]
    fn a_page_made_anew_leads_to_all_that_the_old_one_led_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(
            "PRAGMA page_size = 1024; PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE t (k INTEGER PRIMARY KEY, v);
             WITH RECURSIVE n(i) AS (SELECT -9000 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO t SELECT i * 1000000007 * 1000, randomblob(abs(i) % 60) FROM n;
             DELETE FROM t WHERE abs(k / 1000) % 7 = 3;",
        )
        .unwrap();
        let inner: Vec<u32> = conn
            .prepare("SELECT pageno FROM dbstat WHERE name = 't' AND pagetype = 'internal'")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let sum = |conn: &rusqlite::Connection| {
            conn.query_row("SELECT count(*) || ' ' || sum(k / 1000) || ' ' || sum(length(v)) FROM t", [], |r| r.get::<_, String>(0))
                .unwrap()
        };
        let whole = sum(&conn);
        conn.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(inner.len() > 10, "{inner:?}");
        // One, and in the end all at once.
        for lost in inner.iter().map(|p| vec![*p]).chain([inner.clone()]) {
            let mut damaged = bytes.clone();
            for p in &lost {
                damaged[(*p as usize - 1) * 1024..*p as usize * 1024].fill(0xA5);
            }
            std::fs::write(&path, damaged).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            assert_eq!(mend(&file, 1024).unwrap(), lost.len());
            let conn = rusqlite::Connection::open(&path).unwrap();
            assert_eq!(sum(&conn), whole, "{lost:?}");
            assert_eq!(conn.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
        }
    }
}
