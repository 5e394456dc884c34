-- The whole data model. docs/data.md says what every table and column is for.
-- Each row costs a byte for every column that is empty, so there is none without a use.
-- extra: the file's columns that nothing maps, a JSON object of texts.
-- gone_in: the delivery that claims to be complete and has the row no longer.
-- replaced: the delivery whose values the last change overwrote; empty where it made the row.

ALTER TABLE transactions ADD COLUMN shipping_minor INTEGER;
ALTER TABLE transactions ADD COLUMN service_charge_minor INTEGER;
ALTER TABLE transactions ADD COLUMN refunded_minor INTEGER;
ALTER TABLE transactions ADD COLUMN original_transaction_id TEXT;
ALTER TABLE transactions ADD COLUMN status TEXT;
ALTER TABLE transactions ADD COLUMN channel TEXT;
ALTER TABLE transactions ADD COLUMN as_of TEXT;
ALTER TABLE transactions ADD COLUMN extra TEXT;
ALTER TABLE transactions ADD COLUMN gone_in TEXT;
ALTER TABLE transactions ADD COLUMN replaced TEXT;

-- What a transaction has several of, numbered from 1. They are replaced as a whole and are
-- gone if their transaction is.
CREATE TABLE line_items (
    customer          TEXT NOT NULL,
    location_id       TEXT NOT NULL,
    transaction_id    TEXT NOT NULL,
    line_number       INTEGER NOT NULL,
    product_id        TEXT,
    sku               TEXT,
    barcode           TEXT,
    description       TEXT,
    category          TEXT,
    variant           TEXT,
    quantity_milli    INTEGER,
    unit_price_minor  INTEGER,
    discount_minor    INTEGER,
    net_minor         INTEGER,
    tax_minor         INTEGER,
    amount_minor      INTEGER,
    kind              TEXT,
    note              TEXT,
    delivery          TEXT NOT NULL,
    line              INTEGER NOT NULL,
    PRIMARY KEY (customer, location_id, transaction_id, line_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE tenders (
    customer        TEXT NOT NULL,
    location_id     TEXT NOT NULL,
    transaction_id  TEXT NOT NULL,
    tender_number   INTEGER NOT NULL,
    method          TEXT,
    amount_minor    INTEGER,
    tip_minor       INTEGER,
    refunded_minor  INTEGER,
    card_brand      TEXT,
    card_last4      TEXT,
    reference       TEXT,
    status          TEXT,
    paid_at         TEXT,
    delivery        TEXT NOT NULL,
    line            INTEGER NOT NULL,
    PRIMARY KEY (customer, location_id, transaction_id, tender_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE taxes (
    customer        TEXT NOT NULL,
    location_id     TEXT NOT NULL,
    transaction_id  TEXT NOT NULL,
    tax_number      INTEGER NOT NULL,
    name            TEXT,
    rate_milli      INTEGER,
    taxable_minor   INTEGER,
    amount_minor    INTEGER,
    delivery        TEXT NOT NULL,
    line            INTEGER NOT NULL,
    PRIMARY KEY (customer, location_id, transaction_id, tax_number)
) STRICT, WITHOUT ROWID;

-- Masters.
CREATE TABLE products (
    customer     TEXT NOT NULL,
    product_id   TEXT NOT NULL,
    sku          TEXT,
    barcode      TEXT,
    name         TEXT,
    description  TEXT,
    category     TEXT,
    brand        TEXT,
    unit         TEXT,
    price_minor  INTEGER,
    cost_minor   INTEGER,
    tax_name     TEXT,
    status       TEXT,
    arrival_seq  INTEGER NOT NULL,
    delivery     TEXT NOT NULL,
    line         INTEGER NOT NULL,
    extra        TEXT,
    gone_in      TEXT,
    replaced     TEXT,
    PRIMARY KEY (customer, product_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shoppers (
    customer       TEXT NOT NULL,
    shopper_id     TEXT NOT NULL,
    name           TEXT,
    first_name     TEXT,
    last_name      TEXT,
    company        TEXT,
    email          TEXT,
    phone          TEXT,
    address        TEXT,
    postcode       TEXT,
    city           TEXT,
    region         TEXT,
    country        TEXT,
    birth_date     TEXT,
    joined_on      TEXT,
    loyalty_id     TEXT,
    shopper_group  TEXT,
    arrival_seq    INTEGER NOT NULL,
    delivery       TEXT NOT NULL,
    line           INTEGER NOT NULL,
    extra          TEXT,
    gone_in        TEXT,
    replaced       TEXT,
    PRIMARY KEY (customer, shopper_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock_levels (
    customer        TEXT NOT NULL,
    location_id     TEXT NOT NULL,
    product_id      TEXT NOT NULL,
    quantity_milli  INTEGER,
    reserved_milli  INTEGER,
    counted_at      TEXT,
    arrival_seq     INTEGER NOT NULL,
    delivery        TEXT NOT NULL,
    line            INTEGER NOT NULL,
    extra           TEXT,
    gone_in         TEXT,
    replaced        TEXT,
    PRIMARY KEY (customer, location_id, product_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE locations (
    customer     TEXT NOT NULL,
    location_id  TEXT NOT NULL,
    name         TEXT,
    address      TEXT,
    postcode     TEXT,
    city         TEXT,
    region       TEXT,
    country      TEXT,
    phone        TEXT,
    zone         TEXT,
    currency     TEXT,
    status       TEXT,
    arrival_seq  INTEGER NOT NULL,
    delivery     TEXT NOT NULL,
    line         INTEGER NOT NULL,
    extra        TEXT,
    gone_in      TEXT,
    replaced     TEXT,
    PRIMARY KEY (customer, location_id)
) STRICT, WITHOUT ROWID;

-- What the importer remembers of each customer.

-- The customer's currency, for amounts whose row says none, and zone, as of its last import.
CREATE TABLE customers (
    customer  TEXT NOT NULL PRIMARY KEY,
    currency  TEXT NOT NULL,
    zone      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Minor units in one of the currency, where it is not 100. Source: ISO 4217 table A.1.
CREATE TABLE currencies (
    currency      TEXT NOT NULL PRIMARY KEY,
    minor_in_one  REAL NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO currencies (currency, minor_in_one) VALUES
    ('BIF', 1.0), ('CLP', 1.0), ('DJF', 1.0), ('GNF', 1.0), ('ISK', 1.0), ('JPY', 1.0),
    ('KMF', 1.0), ('KRW', 1.0), ('PYG', 1.0), ('RWF', 1.0), ('UGX', 1.0), ('UYI', 1.0),
    ('VND', 1.0), ('VUV', 1.0), ('XAF', 1.0), ('XOF', 1.0), ('XPF', 1.0), ('BHD', 1000.0),
    ('IQD', 1000.0), ('JOD', 1000.0), ('KWD', 1000.0), ('LYD', 1000.0), ('OMR', 1000.0),
    ('TND', 1000.0), ('CLF', 10000.0), ('UYW', 10000.0);

-- Which columns and child tables a feed has filled: a new set whenever its mapping changes them.
-- columns: a JSON list. A delivery's set is what it stated of each of its rows.
CREATE TABLE column_sets (
    set_id      INTEGER NOT NULL PRIMARY KEY,
    customer    TEXT NOT NULL,
    table_name  TEXT NOT NULL,
    feed        TEXT NOT NULL,
    columns     TEXT NOT NULL,
    UNIQUE (customer, table_name, feed, columns)
) STRICT;

ALTER TABLE deliveries ADD COLUMN set_id INTEGER;

-- Only where several feeds fill one table: the newest delivery of each set that stated a row.
CREATE TABLE stated (
    set_id       INTEGER NOT NULL,
    key_1        TEXT NOT NULL,
    key_2        TEXT NOT NULL,
    arrival_seq  INTEGER NOT NULL,
    PRIMARY KEY (set_id, key_1, key_2)
) STRICT, WITHOUT ROWID;

-- What deliveries claim to hold completely: a day of a location, or ('', '') for a whole table.
CREATE TABLE claims (
    customer       TEXT NOT NULL,
    table_name     TEXT NOT NULL,
    location_id    TEXT NOT NULL,
    business_date  TEXT NOT NULL,
    arrival_seq    INTEGER NOT NULL,
    delivery       TEXT NOT NULL,
    PRIMARY KEY (customer, table_name, location_id, business_date, arrival_seq)
) STRICT, WITHOUT ROWID;

-- Feeds with `history = true`: the row, with its children, that a delivery overwrote.
-- version: a JSON object. delivery, arrival_seq: of the one that overwrote it.
CREATE TABLE history (
    customer     TEXT NOT NULL,
    table_name   TEXT NOT NULL,
    key_1        TEXT NOT NULL,
    key_2        TEXT NOT NULL,
    arrival_seq  INTEGER NOT NULL,
    delivery     TEXT NOT NULL,
    at           TEXT NOT NULL,
    version      TEXT NOT NULL,
    PRIMARY KEY (customer, table_name, key_1, key_2, arrival_seq)
) STRICT, WITHOUT ROWID;

-- Customers whose deliveries are being replayed. Rows with a negative arrival_seq are from before.
CREATE TABLE replaying (
    customer  TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- How a feed's files were written so far, as `importer/memory.py` says it: a JSON object.
CREATE TABLE feed_layouts (
    customer     TEXT NOT NULL,
    feed         TEXT NOT NULL,
    arrival_seq  INTEGER NOT NULL,
    delivery     TEXT NOT NULL,
    memory       TEXT NOT NULL,
    PRIMARY KEY (customer, feed)
) STRICT, WITHOUT ROWID;

-- Locations and payment methods, and the delivery that first had them. kind: location | tender.
CREATE TABLE seen_values (
    customer     TEXT NOT NULL,
    kind         TEXT NOT NULL,
    value        TEXT NOT NULL,
    arrival_seq  INTEGER NOT NULL,
    delivery     TEXT NOT NULL,
    PRIMARY KEY (customer, kind, value)
) STRICT, WITHOUT ROWID;

INSERT INTO seen_values (customer, kind, value, arrival_seq, delivery)
SELECT customer, 'location', location_id, min(arrival_seq), min(delivery)
FROM transactions
GROUP BY customer, location_id
UNION ALL
SELECT customer, 'tender', tender, min(arrival_seq), min(delivery)
FROM transactions
WHERE tender IS NOT NULL
GROUP BY customer, tender;

-- For reading and for comparing (WHERE total > 100), without the rows that are gone. Add up the
-- _minor columns of the tables instead: they are exact.
DROP VIEW transactions_decimal;

CREATE VIEW transactions_decimal AS
SELECT
    t.customer, t.location_id, t.transaction_id, t.sold_at, t.business_date, t.has_time, t.kind,
    t.total_minor / coalesce(u.minor_in_one, 100.0) AS total,
    coalesce(t.currency, c.currency) AS currency,
    t.net_minor / coalesce(u.minor_in_one, 100.0) AS net,
    t.tax_minor / coalesce(u.minor_in_one, 100.0) AS tax,
    t.discount_minor / coalesce(u.minor_in_one, 100.0) AS discount,
    t.tip_minor / coalesce(u.minor_in_one, 100.0) AS tip, t.item_count, t.register_id,
    t.operator_id, t.shopper_id, t.receipt_number, t.tender,
    t.shipping_minor / coalesce(u.minor_in_one, 100.0) AS shipping,
    t.service_charge_minor / coalesce(u.minor_in_one, 100.0) AS service_charge,
    t.refunded_minor / coalesce(u.minor_in_one, 100.0) AS refunded, t.original_transaction_id,
    t.status, t.channel, t.as_of, t.arrival_seq, t.delivery, t.line, t.extra
FROM transactions AS t
LEFT JOIN customers AS c ON c.customer = t.customer
LEFT JOIN currencies AS u ON u.currency = coalesce(t.currency, c.currency)
WHERE t.gone_in IS NULL;

CREATE VIEW line_items_decimal AS
SELECT
    l.customer, l.location_id, l.transaction_id, l.line_number, l.product_id, l.sku, l.barcode,
    l.description, l.category, l.variant, l.quantity_milli / 1000.0 AS quantity,
    l.unit_price_minor / coalesce(u.minor_in_one, 100.0) AS unit_price,
    l.discount_minor / coalesce(u.minor_in_one, 100.0) AS discount,
    l.net_minor / coalesce(u.minor_in_one, 100.0) AS net,
    l.tax_minor / coalesce(u.minor_in_one, 100.0) AS tax,
    l.amount_minor / coalesce(u.minor_in_one, 100.0) AS amount, l.kind, l.note, t.business_date,
    coalesce(t.currency, c.currency) AS currency, l.delivery, l.line
FROM line_items AS l
JOIN transactions AS t USING (customer, location_id, transaction_id)
LEFT JOIN customers AS c ON c.customer = l.customer
LEFT JOIN currencies AS u ON u.currency = coalesce(t.currency, c.currency)
WHERE t.gone_in IS NULL;

CREATE VIEW tenders_decimal AS
SELECT
    n.customer, n.location_id, n.transaction_id, n.tender_number, n.method,
    n.amount_minor / coalesce(u.minor_in_one, 100.0) AS amount,
    n.tip_minor / coalesce(u.minor_in_one, 100.0) AS tip,
    n.refunded_minor / coalesce(u.minor_in_one, 100.0) AS refunded, n.card_brand, n.card_last4,
    n.reference, n.status, n.paid_at, t.business_date,
    coalesce(t.currency, c.currency) AS currency, n.delivery, n.line
FROM tenders AS n
JOIN transactions AS t USING (customer, location_id, transaction_id)
LEFT JOIN customers AS c ON c.customer = n.customer
LEFT JOIN currencies AS u ON u.currency = coalesce(t.currency, c.currency)
WHERE t.gone_in IS NULL;

CREATE VIEW taxes_decimal AS
SELECT
    x.customer, x.location_id, x.transaction_id, x.tax_number, x.name,
    x.rate_milli / 1000.0 AS rate, x.taxable_minor / coalesce(u.minor_in_one, 100.0) AS taxable,
    x.amount_minor / coalesce(u.minor_in_one, 100.0) AS amount, t.business_date,
    coalesce(t.currency, c.currency) AS currency, x.delivery, x.line
FROM taxes AS x
JOIN transactions AS t USING (customer, location_id, transaction_id)
LEFT JOIN customers AS c ON c.customer = x.customer
LEFT JOIN currencies AS u ON u.currency = coalesce(t.currency, c.currency)
WHERE t.gone_in IS NULL;

CREATE VIEW products_decimal AS
SELECT
    p.customer, p.product_id, p.sku, p.barcode, p.name, p.description, p.category, p.brand,
    p.unit, p.price_minor / coalesce(u.minor_in_one, 100.0) AS price,
    p.cost_minor / coalesce(u.minor_in_one, 100.0) AS cost, p.tax_name, p.status, c.currency,
    p.arrival_seq, p.delivery, p.line, p.extra
FROM products AS p
LEFT JOIN customers AS c ON c.customer = p.customer
LEFT JOIN currencies AS u ON u.currency = c.currency
WHERE p.gone_in IS NULL;

CREATE VIEW shoppers_decimal AS
SELECT
    s.customer, s.shopper_id, s.name, s.first_name, s.last_name, s.company, s.email, s.phone,
    s.address, s.postcode, s.city, s.region, s.country, s.birth_date, s.joined_on, s.loyalty_id,
    s.shopper_group, s.arrival_seq, s.delivery, s.line, s.extra
FROM shoppers AS s
WHERE s.gone_in IS NULL;

CREATE VIEW stock_levels_decimal AS
SELECT
    s.customer, s.location_id, s.product_id, s.quantity_milli / 1000.0 AS quantity,
    s.reserved_milli / 1000.0 AS reserved, s.counted_at, s.arrival_seq, s.delivery, s.line,
    s.extra
FROM stock_levels AS s
WHERE s.gone_in IS NULL;

CREATE VIEW locations_decimal AS
SELECT
    l.customer, l.location_id, l.name, l.address, l.postcode, l.city, l.region, l.country,
    l.phone, l.zone, l.currency, l.status, l.arrival_seq, l.delivery, l.line, l.extra
FROM locations AS l
WHERE l.gone_in IS NULL;

-- What transactions name and no master file has brought, for customers who send such a master.
CREATE VIEW orphans AS
SELECT
    l.customer, 'product' AS missing, l.product_id AS id, count(*) AS rows,
    min(t.business_date) AS first_day, max(t.business_date) AS last_day,
    min(l.location_id || '/' || l.transaction_id) AS example
FROM line_items AS l
JOIN transactions AS t USING (customer, location_id, transaction_id)
WHERE l.product_id IS NOT NULL AND t.gone_in IS NULL
    AND EXISTS (SELECT 1 FROM products AS p WHERE p.customer = l.customer)
    AND NOT EXISTS (
        SELECT 1 FROM products AS p
        WHERE p.customer = l.customer AND p.product_id = l.product_id
    )
GROUP BY l.customer, l.product_id
UNION ALL
SELECT
    t.customer, 'shopper', t.shopper_id, count(*), min(t.business_date), max(t.business_date),
    min(t.location_id || '/' || t.transaction_id)
FROM transactions AS t
WHERE t.shopper_id IS NOT NULL AND t.gone_in IS NULL
    AND EXISTS (SELECT 1 FROM shoppers AS s WHERE s.customer = t.customer)
    AND NOT EXISTS (
        SELECT 1 FROM shoppers AS s
        WHERE s.customer = t.customer AND s.shopper_id = t.shopper_id
    )
GROUP BY t.customer, t.shopper_id
UNION ALL
SELECT
    t.customer, 'location', t.location_id, count(*), min(t.business_date), max(t.business_date),
    min(t.location_id || '/' || t.transaction_id)
FROM transactions AS t
WHERE t.gone_in IS NULL
    AND EXISTS (SELECT 1 FROM locations AS s WHERE s.customer = t.customer)
    AND NOT EXISTS (
        SELECT 1 FROM locations AS s
        WHERE s.customer = t.customer AND s.location_id = t.location_id
    )
GROUP BY t.customer, t.location_id;
