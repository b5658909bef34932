-- What leads from version 6 to version 7. A released migration is never changed, so neither is this.
-- Power, pressure and flags came to the quantities: the view names their units.
DROP VIEW v_readings;
CREATE VIEW v_readings AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', r.ts / 1000.0, 'unixepoch') AS time, s.topic AS topic, c.name AS name,
       CASE c.ix WHEN 0 THEN r.v0 WHEN 1 THEN r.v1 WHEN 2 THEN r.v2 WHEN 3 THEN r.v3
                 WHEN 4 THEN r.v4 WHEN 5 THEN r.v5 WHEN 6 THEN r.v6 WHEN 7 THEN r.v7 END AS value,
       CASE c.quantity WHEN 'volume' THEN 'mL' WHEN 'flow' THEN 'mL/h' WHEN 'temperature' THEN 'm°C' WHEN 'ratio' THEN '‰'
                       WHEN 'energy' THEN 'Wh' WHEN 'voltage' THEN 'mV' WHEN 'pulses' THEN 'pulse' WHEN 'power' THEN 'mW'
                       WHEN 'pressure' THEN 'Pa' WHEN 'flags' THEN 'flags' ELSE '1/1000' END AS unit,
       (r.flags & 1) <> 0 AS clock_unsure, (r.flags & 2) <> 0 AS arrival_time, r.key AS key, r.batch AS batch
FROM readings r CROSS JOIN sources s ON s.source = r.source CROSS JOIN columns c ON c.source = r.source
WHERE value IS NOT NULL;
PRAGMA user_version = 7;
