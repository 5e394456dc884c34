-- Which versions are old enough to be dropped.
CREATE INDEX history_by_age ON history (customer, at);

-- Customers of whom versions in `history` were dropped because of their age. arrival_seq: of the
-- newest delivery of which any was; at: when its change was made.
CREATE TABLE versions_dropped (
    customer     TEXT NOT NULL PRIMARY KEY,
    arrival_seq  INTEGER NOT NULL,
    at           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
