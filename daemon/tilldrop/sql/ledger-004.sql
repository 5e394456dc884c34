-- What has a receipt, the newest first: a customer may list receipts/ as often as it likes.
CREATE INDEX deliveries_told ON deliveries (customer, changed_at)
    WHERE state NOT IN ('receiving', 'waiting', 'broken', 'arrived', 'importing');
CREATE INDEX deliveries_never_renamed ON deliveries (customer, changed_at)
    WHERE reason = 'never-renamed';
-- Unfinished uploads that can still be seen; those whose bytes are gone stay in the ledger.
DROP INDEX deliveries_unfinished;
CREATE INDEX deliveries_unfinished ON deliveries (customer, name)
    WHERE state IN ('receiving', 'waiting', 'broken') AND bytes_gone_at IS NULL;
-- Retention goes by state: among a million kept files a few broken uploads are found at once.
DROP INDEX deliveries_kept;
CREATE INDEX deliveries_kept ON deliveries (state, changed_at) WHERE bytes_gone_at IS NULL;
-- Of what the bytes are gone, the file may still be there: the daemon ended in between.
CREATE INDEX deliveries_gone ON deliveries (bytes_gone_at) WHERE bytes_gone_at IS NOT NULL;
