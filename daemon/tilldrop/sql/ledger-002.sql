-- What a door that fetches its files itself knows a file again by, so that it takes none twice.
-- Set in the commit that accepts the delivery: there is no moment at which only one is known.
ALTER TABLE deliveries ADD COLUMN origin TEXT;
CREATE INDEX deliveries_by_origin ON deliveries (origin) WHERE origin IS NOT NULL;
