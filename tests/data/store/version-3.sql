-- What leads from version 2 to version 3. A released migration is never changed, so neither is this.
-- What people are to be told, one row per notice and channel, written with its event; and for 90 days what they were told.
-- state: pending, delivered (the channel took the message), given_up (it could not be delivered for a week). Entries that became one
-- message have one done_at.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL, at INTEGER NOT NULL, incident TEXT NOT NULL, kind TEXT NOT NULL, urgent INTEGER NOT NULL,
  channel TEXT NOT NULL, state TEXT NOT NULL, done_at INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (channel, urgent, id) WHERE state = 'pending';
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;

CREATE VIEW v_outbox AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, channel, kind, urgent, incident, state,
       strftime('%Y-%m-%dT%H:%M:%fZ', done_at / 1000.0, 'unixepoch') AS done, event
FROM outbox;
PRAGMA user_version = 3;
