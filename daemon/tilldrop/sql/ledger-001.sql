CREATE TABLE deliveries (
    id            TEXT PRIMARY KEY,
    arrival_seq   INTEGER UNIQUE,
    customer      TEXT NOT NULL,
    door          TEXT NOT NULL,
    peer          TEXT NOT NULL,
    name          TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN (
        'receiving', 'waiting', 'broken', 'arrived', 'importing',
        'imported', 'rejected', 'duplicate', 'unclaimed', 'held')),
    size_bytes    INTEGER NOT NULL DEFAULT 0,
    gap_from      INTEGER,
    mtime         INTEGER,
    began_at      TEXT NOT NULL,
    arrived_at    TEXT,
    changed_at    TEXT NOT NULL,
    run           INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,
    not_before    TEXT,
    feed          TEXT,
    reason        TEXT,
    sha256        TEXT,
    fingerprint   TEXT,
    bytes_gone_at TEXT,
    CHECK ((arrival_seq IS NULL) = (state IN ('receiving', 'waiting', 'broken')))
) STRICT;

-- The latest accepted delivery of a name; a customer's listing.
CREATE INDEX deliveries_by_name ON deliveries (customer, name, arrival_seq)
    WHERE arrival_seq IS NOT NULL;
-- What is unfinished: few rows.
CREATE INDEX deliveries_unfinished ON deliveries (customer, name)
    WHERE state IN ('receiving', 'waiting', 'broken');
-- The queue of each customer.
CREATE INDEX deliveries_queue ON deliveries (customer, arrival_seq)
    WHERE state IN ('arrived', 'importing');
CREATE INDEX deliveries_by_feed ON deliveries (customer, feed, arrival_seq)
    WHERE state = 'imported';
CREATE INDEX deliveries_by_state ON deliveries (state, arrival_seq);
-- Retention: which bytes are old.
CREATE INDEX deliveries_kept ON deliveries (changed_at) WHERE bytes_gone_at IS NULL;

CREATE TABLE moves (
    seq      INTEGER PRIMARY KEY,
    delivery TEXT NOT NULL REFERENCES deliveries (id),
    before   TEXT,
    after    TEXT NOT NULL,
    cause    TEXT NOT NULL,
    reason   TEXT,
    at       TEXT NOT NULL
) STRICT;
CREATE INDEX moves_by_delivery ON moves (delivery, seq);

CREATE TABLE runs (
    delivery TEXT NOT NULL REFERENCES deliveries (id),
    run      INTEGER NOT NULL,
    ended_at TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    report   TEXT NOT NULL,
    PRIMARY KEY (delivery, run)
) STRICT, WITHOUT ROWID;
