//! Files as earlier versions of the program left them.

use heyun::domain::engine::IdentityKind;
use heyun::domain::units::Quantity;
use heyun::store::Batch;
use rusqlite::Connection;
use std::sync::Arc;

/// What made each version of the schema out of the one before it.
pub const VERSIONS: [&str; 10] = [
    include_str!("../data/store/version-1.sql"),
    include_str!("../data/store/version-2.sql"),
    include_str!("../data/store/version-3.sql"),
    include_str!("../data/store/version-4.sql"),
    include_str!("../data/store/version-5.sql"),
    include_str!("../data/store/version-6.sql"),
    include_str!("../data/store/version-7.sql"),
    include_str!("../data/store/version-8.sql"),
    include_str!("../data/store/version-9.sql"),
    include_str!("../data/store/version-10.sql"),
];

/// A file of that version with some batches in it. They have neither late rows, events nor checkpoints.
pub fn file(version: usize, batches: &[Arc<Batch>]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
        .unwrap();
    for sql in &VERSIONS[..version] {
        conn.execute_batch(sql).unwrap();
    }
    let mut total = 0;
    for b in batches {
        for s in &b.sources {
            conn.execute("INSERT INTO sources VALUES (?1, ?2, ?3)", (s.source.0, &*s.id, &*s.topic)).unwrap();
            for (ix, c) in (0..).zip(&s.columns) {
                assert_eq!(c.quantity, Quantity::Volume);
                conn.execute("INSERT INTO columns VALUES (?1, ?2, ?3, 'volume')", (s.source.0, ix, &c.name)).unwrap();
            }
        }
        for i in &b.identities {
            assert_eq!(i.kind, IdentityKind::Place);
            conn.execute("INSERT INTO identities VALUES ('place', ?1, ?2)", (&*i.key, &*i.id)).unwrap();
        }
        for (pos, r) in (0i64..).zip(&b.rows) {
            let key = r.ts.0 << 20 | i64::from(r.source.0);
            let values = (key, b.id as i64, pos, r.flags.0, r.values.get(0), r.values.get(1));
            let table = if version < 4 { "readings" } else { "hot_0" };
            conn.execute(&format!("INSERT INTO {table} (key, batch, pos, flags, v0, v1) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"), values).unwrap();
        }
        total += b.rows.len() as i64;
        let (first, last) = (b.rows.iter().map(|r| r.ts.0).min(), b.rows.iter().map(|r| r.ts.0).max());
        let commit = (b.id as i64, b.received.0, b.rows.len() as i64, first, last, total);
        conn.execute("INSERT INTO commits VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)", commit).unwrap();
    }
    // Its log goes into it.
    conn.close().unwrap();
    std::fs::read(path).unwrap()
}
