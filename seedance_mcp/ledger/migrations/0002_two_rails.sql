-- Payments that were given up by hand, the hash of a transaction before it is mined, entries for what was not bought
-- here, and which wallets' earlier spending is known. SQLite changes no CHECK in place, so the table is made anew.

ALTER TABLE purchases ADD COLUMN kind TEXT NOT NULL DEFAULT 'bought' CHECK (kind IN ('bought', 'outside', 'fee'));

DROP TRIGGER totals_insert;
DROP TRIGGER totals_update;
DROP TRIGGER payments_are_never_deleted;
ALTER TABLE payments RENAME TO payments_of_0001;
DROP INDEX payments_live_nonce;
DROP INDEX payments_counted;
DROP INDEX payments_open;

CREATE TABLE payments (
    id            INTEGER PRIMARY KEY,
    purchase      TEXT NOT NULL REFERENCES purchases (id),
    attempt       INTEGER NOT NULL CHECK (attempt >= 1),
    serial        INTEGER NOT NULL CHECK (serial >= 0),
    state         TEXT NOT NULL CHECK (state IN ('intended', 'reserved', 'released', 'signed', 'sent', 'unknown',
                                                 'claimed', 'settled', 'expired', 'written_off')),
    owner         TEXT NOT NULL,
    agent         TEXT NOT NULL,
    model         TEXT NOT NULL,
    rail          TEXT NOT NULL,
    network       TEXT NOT NULL,
    token         TEXT NOT NULL,
    origin        TEXT NOT NULL,
    payer         TEXT NOT NULL,
    pay_to        TEXT NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount >= 0),
    fee           INTEGER NOT NULL CHECK (fee >= 0),   -- a bound until it is settled, then what it was
    policy        TEXT NOT NULL,
    nonce         BLOB,                  -- what the chain knows the payment by: a nonce of EIP-3009, a memo on Tempo
    signed_hash   TEXT,                  -- of the transaction, where it is known before it is mined
    deadline      INTEGER,               -- seconds: the authorization is worthless from here on
    path          TEXT,                  -- what was sent: the route and
    body          TEXT,                  -- the body; the credential is in
    sealed        BLOB,                  -- encrypted, and erased when the payment is final
    note          TEXT,                  -- why the outcome is open
    transaction_hash TEXT,
    reserved_at   INTEGER NOT NULL,
    sent_at       INTEGER,
    ended_at      INTEGER,
    -- The time for the windows. While the outcome is open it is the end of time: such a payment is in every window.
    counted_at    INTEGER NOT NULL,
    UNIQUE (purchase, attempt),
    CHECK (amount + fee > 0)
) STRICT;
INSERT INTO payments (id, purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin, payer,
                      pay_to, amount, fee, policy, nonce, deadline, path, body, sealed, note, transaction_hash,
                      reserved_at, sent_at, ended_at, counted_at)
SELECT id, purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin, payer,
       pay_to, amount, fee, policy, nonce, deadline, path, body, sealed, note, transaction_hash,
       reserved_at, sent_at, ended_at, counted_at FROM payments_of_0001;
DROP TABLE payments_of_0001;

CREATE UNIQUE INDEX payments_live_nonce ON payments (network, token, nonce)
    WHERE nonce IS NOT NULL AND state NOT IN ('released', 'expired');
CREATE INDEX payments_counted ON payments (counted_at, model, agent, rail, amount, fee, state)
    WHERE state NOT IN ('intended', 'released', 'expired');
CREATE INDEX payments_open ON payments (state, agent, model, owner, amount, fee, rail)
    WHERE state IN ('reserved', 'signed', 'sent', 'unknown', 'claimed');
CREATE INDEX payments_by_transaction ON payments (transaction_hash) WHERE transaction_hash IS NOT NULL;

CREATE TRIGGER totals_insert AFTER INSERT ON payments WHEN NEW.state NOT IN ('intended', 'released', 'expired') BEGIN
    INSERT INTO changes VALUES (NEW.model, NEW.agent, NEW.amount + NEW.fee, 1);
END;
CREATE TRIGGER totals_update AFTER UPDATE OF state, amount, fee ON payments BEGIN
    INSERT INTO changes VALUES (
        NEW.model, NEW.agent,
        CASE WHEN NEW.state IN ('intended', 'released', 'expired') THEN 0 ELSE NEW.amount + NEW.fee END
        - CASE WHEN OLD.state IN ('intended', 'released', 'expired') THEN 0 ELSE OLD.amount + OLD.fee END,
        (NEW.state NOT IN ('intended', 'released', 'expired')) - (OLD.state NOT IN ('intended', 'released', 'expired'))
    );
END;
CREATE TRIGGER payments_are_never_deleted BEFORE DELETE ON payments
BEGIN SELECT raise(ABORT, 'payments are never deleted'); END;

-- Wallets whose spending outside of this ledger is booked up to a time, or that the operator vouched for.
CREATE TABLE wallets (
    payer         TEXT NOT NULL,
    network       TEXT NOT NULL,
    how           TEXT NOT NULL CHECK (how IN ('used', 'new', 'scanned', 'vouched')),
    known_at      INTEGER NOT NULL,
    PRIMARY KEY (payer, network)
) STRICT;
INSERT INTO wallets (payer, network, how, known_at)
SELECT payer, network, 'used', min(reserved_at) FROM payments WHERE nonce IS NOT NULL GROUP BY payer, network;
