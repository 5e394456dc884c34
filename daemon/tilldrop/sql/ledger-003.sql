-- accepted: an operator has let the file in although the figures that it declares differ.
ALTER TABLE deliveries ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
-- replay: JSON, what the next run of this delivery is of a customer's replay; null: it is of none.
ALTER TABLE deliveries ADD COLUMN replay TEXT;
-- Whether a replay of a customer is under way.
CREATE INDEX deliveries_in_replay ON deliveries (customer) WHERE replay IS NOT NULL;
