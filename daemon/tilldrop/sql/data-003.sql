-- Shoppers whose data was erased on request: only what knows them again if a file brings them
-- back. hash: hex sha256 of salt and shopper_id; one salt a customer.
CREATE TABLE erased_shoppers (
    customer  TEXT NOT NULL,
    hash      TEXT NOT NULL,
    salt      TEXT NOT NULL,
    at        TEXT NOT NULL,
    PRIMARY KEY (customer, hash)
) STRICT, WITHOUT ROWID;
