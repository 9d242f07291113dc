-- Where a payment stands towards the budget, told once and for every index, trigger and statement: 'void' counts
-- nowhere, 'open' at any time, 'claimed' and 'ended' at one time. A list of states in each of them instead makes SQLite
-- build a table for every list each time a payment moves, which took longer than all the rest of the move.
-- The sums get spans of a minute, and the rails side by side, so that a crowded ledger leaves few rows to add up.

DROP TRIGGER jobs_saved;
DROP TRIGGER totals_insert;
DROP TRIGGER totals_update;
DROP TRIGGER sums_insert;
DROP TRIGGER sums_leave;
DROP TRIGGER sums_enter;
DROP TRIGGER sums_change;
DROP TRIGGER payments_are_never_deleted;

CREATE TABLE payments_anew (
    id            INTEGER PRIMARY KEY,
    purchase      TEXT NOT NULL REFERENCES purchases (id),
    attempt       INTEGER NOT NULL CHECK (attempt >= 1),
    serial        INTEGER NOT NULL CHECK (serial >= 0),
    state         TEXT NOT NULL,
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
    seconds       INTEGER NOT NULL DEFAULT 0,
    standing      TEXT NOT NULL GENERATED ALWAYS AS (CASE state    -- NULL, and so refused, for any other state
                      WHEN 'intended' THEN 'void' WHEN 'released' THEN 'void' WHEN 'expired' THEN 'void'
                      WHEN 'reserved' THEN 'open' WHEN 'signed' THEN 'open' WHEN 'sent' THEN 'open'
                      WHEN 'unknown' THEN 'open' WHEN 'claimed' THEN 'claimed'
                      WHEN 'settled' THEN 'ended' WHEN 'written_off' THEN 'ended' END) VIRTUAL,
    UNIQUE (purchase, attempt),
    CHECK (amount + fee > 0)
) STRICT;
INSERT INTO payments_anew (id, purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin,
                           payer, pay_to, amount, fee, policy, nonce, signed_hash, deadline, path, body, sealed, note,
                           transaction_hash, reserved_at, sent_at, ended_at, counted_at, seconds)
SELECT id, purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin,
       payer, pay_to, amount, fee, policy, nonce, signed_hash, deadline, path, body, sealed, note,
       transaction_hash, reserved_at, sent_at, ended_at, counted_at, seconds FROM payments;
DROP TABLE payments;
ALTER TABLE payments_anew RENAME TO payments;

CREATE UNIQUE INDEX payments_live_nonce ON payments (network, token, nonce)
    WHERE nonce IS NOT NULL AND standing <> 'void';
CREATE INDEX payments_counted ON payments (counted_at, model, agent, rail, amount, fee)
    WHERE standing <> 'void';
CREATE INDEX payments_open ON payments (standing, state, agent, model, owner, amount, fee, rail)
    WHERE standing IN ('open', 'claimed');
CREATE INDEX payments_by_transaction ON payments (transaction_hash) WHERE transaction_hash IS NOT NULL;

CREATE INDEX approvals_unused ON approvals (expires_at) WHERE used_at IS NULL;

CREATE TRIGGER totals_insert AFTER INSERT ON payments WHEN NEW.standing <> 'void' BEGIN
    INSERT INTO changes VALUES (NEW.model, NEW.agent, NEW.amount + NEW.fee, 1);
END;
CREATE TRIGGER totals_update AFTER UPDATE OF state, amount, fee ON payments
WHEN NEW.standing <> 'void' OR OLD.standing <> 'void' BEGIN
    INSERT INTO changes VALUES (
        NEW.model, NEW.agent,
        (NEW.standing <> 'void') * (NEW.amount + NEW.fee) - (OLD.standing <> 'void') * (OLD.amount + OLD.fee),
        (NEW.standing <> 'void') - (OLD.standing <> 'void')
    );
END;
CREATE TRIGGER payments_are_never_deleted BEFORE DELETE ON payments
BEGIN SELECT raise(ABORT, 'payments are never deleted'); END;
CREATE TRIGGER jobs_saved AFTER UPDATE OF video_path ON jobs WHEN NEW.video_path IS NOT NULL BEGIN
    UPDATE payments
    SET seconds = coalesce((SELECT request ->> '$.duration' FROM purchases WHERE id = NEW.purchase), 0)
    WHERE purchase = NEW.purchase;
END;

DROP TABLE sums;
CREATE TABLE sums (
    scope         TEXT NOT NULL,
    width         INTEGER NOT NULL,      -- of the span: a minute, 10 minutes, 2 hours or a day
    start         INTEGER NOT NULL,      -- a multiple of the width
    amount        INTEGER NOT NULL,      -- over every rail
    payments      INTEGER NOT NULL,
    x402          INTEGER NOT NULL,      -- the part of the amount that went over this rail
    mpp           INTEGER NOT NULL,
    PRIMARY KEY (scope, width, start)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER sums_change INSTEAD OF INSERT ON counted BEGIN
    INSERT INTO sums (scope, width, start, amount, payments, x402, mpp)
    SELECT scopes.column1, widths.column1, NEW.at - NEW.at % widths.column1, NEW.amount, NEW.payments,
           NEW.amount * (NEW.rail = 'x402'), NEW.amount * (NEW.rail = 'mpp')
    FROM (VALUES ('wallet'), ('model:' || NEW.model), ('agent:' || NEW.agent)) AS scopes,
         (VALUES (60000), (600000), (7200000), (86400000)) AS widths
    WHERE true
    ON CONFLICT (scope, width, start) DO UPDATE
    SET amount = amount + excluded.amount, payments = payments + excluded.payments,
        x402 = x402 + excluded.x402, mpp = mpp + excluded.mpp;
END;
CREATE TRIGGER sums_insert AFTER INSERT ON payments WHEN NEW.standing IN ('claimed', 'ended') BEGIN
    INSERT INTO counted VALUES (NEW.model, NEW.agent, NEW.rail, NEW.counted_at, NEW.amount + NEW.fee, 1);
END;
CREATE TRIGGER sums_leave AFTER UPDATE OF state, amount, fee, counted_at ON payments
WHEN OLD.standing IN ('claimed', 'ended') BEGIN
    INSERT INTO counted VALUES (OLD.model, OLD.agent, OLD.rail, OLD.counted_at, -OLD.amount - OLD.fee, -1);
END;
CREATE TRIGGER sums_enter AFTER UPDATE OF state, amount, fee, counted_at ON payments
WHEN NEW.standing IN ('claimed', 'ended') BEGIN
    INSERT INTO counted VALUES (NEW.model, NEW.agent, NEW.rail, NEW.counted_at, NEW.amount + NEW.fee, 1);
END;

INSERT INTO sums (scope, width, start, amount, payments, x402, mpp)
SELECT scope, width, at - at % width, sum(cost), count(*), sum(cost * (rail = 'x402')), sum(cost * (rail = 'mpp')) FROM (
    SELECT 'wallet' AS scope, counted_at AS at, rail, amount + fee AS cost, standing FROM payments
    UNION ALL SELECT 'model:' || model, counted_at, rail, amount + fee, standing FROM payments
    UNION ALL SELECT 'agent:' || agent, counted_at, rail, amount + fee, standing FROM payments
), (SELECT 60000 AS width UNION ALL SELECT 600000 UNION ALL SELECT 7200000 UNION ALL SELECT 86400000)
WHERE standing IN ('claimed', 'ended') GROUP BY scope, width, at - at % width;
