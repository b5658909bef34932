-- What leads from version 8 to version 9. A released migration is never changed, so neither is this.
-- Devices that were taken over from what was heard: entries of the config and device profiles, as the TOML that the config file would have.
-- kind: profile, subscription, meter, sensor; key: its name or id. Rows are only added; of each kind and key the newest counts. toml: NULL
-- where it was dropped.
CREATE TABLE adopted (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, toml TEXT) STRICT;

CREATE VIEW v_adopted AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, by, kind, key,
       NOT EXISTS (SELECT 1 FROM adopted n WHERE n.kind = a.kind AND n.key = a.key AND n.seq > a.seq) AND toml IS NOT NULL AS counts, toml
FROM adopted a;
PRAGMA user_version = 9;
