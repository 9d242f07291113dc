-- What sellers sent back. It stands apart from the payments: no window, total or sum ever sees it, so that no refund
-- makes room for another payment.

CREATE TABLE refunds (
    network       TEXT NOT NULL,
    transaction_hash TEXT NOT NULL,
    log_index     INTEGER NOT NULL,      -- of the transfer's event in its block
    rail          TEXT NOT NULL,
    token         TEXT NOT NULL,
    payer         TEXT NOT NULL,         -- the wallet that had paid
    sender        TEXT NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    memo          BLOB,
    mined_at      INTEGER NOT NULL,      -- the block's time
    purchase      TEXT REFERENCES purchases (id),   -- what it was for, once that can be told
    PRIMARY KEY (network, transaction_hash, log_index)
) STRICT;
CREATE INDEX refunds_by_purchase ON refunds (purchase);
CREATE TRIGGER refunds_are_never_deleted BEFORE DELETE ON refunds
BEGIN SELECT raise(ABORT, 'refunds are never deleted'); END;

-- How far each wallet's chain was looked through.
CREATE TABLE refund_scans (
    payer         TEXT NOT NULL,
    network       TEXT NOT NULL,
    block         INTEGER NOT NULL,
    block_time    INTEGER NOT NULL,
    PRIMARY KEY (payer, network)
) STRICT;
