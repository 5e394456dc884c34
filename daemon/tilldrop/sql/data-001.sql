-- Rows lie in the order of their key, which is how they arrive: half the size of a table with
-- a separate index, and a re-sent file touches few pages.
-- There is no other index: one on (customer, business_date) made booking a million rows a third
-- slower. An operator who wants it may add it; imports keep it.
-- arrival_seq: the newest delivery that stated the row, changed or not.
-- delivery, line: where its values were last changed.
CREATE TABLE transactions (
    customer        TEXT NOT NULL,
    location_id     TEXT NOT NULL,
    transaction_id  TEXT NOT NULL,
    sold_at         TEXT,
    business_date   TEXT,
    has_time        INTEGER,
    kind            TEXT,
    total_minor     INTEGER NOT NULL,
    currency        TEXT,
    net_minor       INTEGER,
    tax_minor       INTEGER,
    discount_minor  INTEGER,
    tip_minor       INTEGER,
    item_count      INTEGER,
    register_id     TEXT,
    operator_id     TEXT,
    shopper_id      TEXT,
    receipt_number  TEXT,
    tender          TEXT,
    arrival_seq     INTEGER NOT NULL,
    delivery        TEXT NOT NULL,
    line            INTEGER NOT NULL,
    PRIMARY KEY (customer, location_id, transaction_id)
) STRICT, WITHOUT ROWID;

-- Every run and its report: what the worker looks up before it works.
CREATE TABLE deliveries (
    delivery     TEXT NOT NULL,
    run          INTEGER NOT NULL,
    customer     TEXT NOT NULL,
    arrival_seq  INTEGER NOT NULL,
    name         TEXT NOT NULL,
    feed         TEXT,
    outcome      TEXT NOT NULL,
    report       TEXT NOT NULL,
    at           TEXT NOT NULL,
    PRIMARY KEY (delivery, run)
) STRICT, WITHOUT ROWID;

-- Whether a customer's newer delivery is booked already.
CREATE INDEX deliveries_by_customer ON deliveries (customer, arrival_seq);

-- Records of imported files that were not booked; card numbers are masked.
CREATE TABLE rejected_rows (
    customer  TEXT NOT NULL,
    delivery  TEXT NOT NULL,
    run       INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    code      TEXT NOT NULL,
    field     TEXT,
    seen      TEXT,
    record    TEXT
) STRICT;

CREATE INDEX rejected_rows_by_delivery ON rejected_rows (delivery, run, line);

-- For reading and for comparing (WHERE total > 100). Add up the _minor columns instead: they
-- are exact. Minor digits: ISO 4217 table A.1.
CREATE VIEW transactions_decimal AS
WITH scaled AS (
    SELECT *, CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF',
                          'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') THEN 1.0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000.0
        WHEN currency IN ('CLF', 'UYW') THEN 10000.0
        ELSE 100.0 END AS minor_in_one
    FROM transactions
)
SELECT customer, location_id, transaction_id, sold_at, business_date, has_time, kind,
    total_minor / minor_in_one AS total, currency,
    net_minor / minor_in_one AS net, tax_minor / minor_in_one AS tax,
    discount_minor / minor_in_one AS discount, tip_minor / minor_in_one AS tip,
    item_count, register_id, operator_id, shopper_id, receipt_number, tender,
    arrival_seq, delivery, line
FROM scaled;
