-- What transactions name and no master file has brought, for customers who send such a master;
-- and transactions of which only a part has come, such as payments without their order.
DROP VIEW orphans;

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
GROUP BY t.customer, t.location_id
UNION ALL
SELECT
    t.customer, 'order', t.transaction_id,
    max(1, (
        SELECT count(*) FROM tenders AS n
        WHERE n.customer = t.customer AND n.location_id = t.location_id
            AND n.transaction_id = t.transaction_id
    )),
    t.business_date, t.business_date, t.location_id || '/' || t.transaction_id
FROM transactions AS t
WHERE t.total_minor IS NULL AND t.gone_in IS NULL;
