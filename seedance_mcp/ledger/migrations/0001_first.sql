-- Times are milliseconds since 1970 unless a name says seconds; amounts are micro-USD.

CREATE TABLE ledger (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    id            TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('real', 'sandbox')),
    created_at    INTEGER NOT NULL,
    clock         INTEGER NOT NULL,
    frozen        TEXT,
    generation    INTEGER,               -- of the seller's API, at the last payment
    policy_seen   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE purchases (
    id            TEXT PRIMARY KEY,
    key           BLOB NOT NULL,
    subject       BLOB NOT NULL,
    agent         TEXT NOT NULL,
    model         TEXT NOT NULL,
    take          INTEGER NOT NULL,
    generation    INTEGER,
    request       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- 1: nothing more is to be delivered. What is open is found without looking through the history.
    closed        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX purchases_by_key ON purchases (key, created_at);
CREATE INDEX purchases_by_subject ON purchases (subject);
CREATE INDEX purchases_open ON purchases (agent, created_at) WHERE closed = 0;

CREATE TABLE payments (
    id            INTEGER PRIMARY KEY,
    purchase      TEXT NOT NULL REFERENCES purchases (id),
    attempt       INTEGER NOT NULL CHECK (attempt >= 1),
    serial        INTEGER NOT NULL CHECK (serial >= 0),
    state         TEXT NOT NULL CHECK (state IN
                  ('intended', 'reserved', 'released', 'signed', 'sent', 'unknown', 'claimed', 'settled', 'expired')),
    owner         TEXT NOT NULL,
    agent         TEXT NOT NULL,
    model         TEXT NOT NULL,
    rail          TEXT NOT NULL,
    network       TEXT NOT NULL,
    token         TEXT NOT NULL,
    origin        TEXT NOT NULL,
    payer         TEXT NOT NULL,
    pay_to        TEXT NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    fee           INTEGER NOT NULL CHECK (fee >= 0),
    policy        TEXT NOT NULL,
    nonce         BLOB,
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
    UNIQUE (purchase, attempt)
) STRICT;
CREATE UNIQUE INDEX payments_live_nonce ON payments (network, token, nonce)
    WHERE nonce IS NOT NULL AND state NOT IN ('released', 'expired');
CREATE INDEX payments_counted ON payments (counted_at, model, agent, amount, fee, state)
    WHERE state NOT IN ('released', 'expired');
CREATE INDEX payments_open ON payments (state, agent, model, owner, amount, fee, rail)
    WHERE state IN ('reserved', 'signed', 'sent', 'unknown', 'claimed');

-- Sums over all time, kept by the database itself, so that they cannot be forgotten.
CREATE TABLE totals (
    scope         TEXT PRIMARY KEY,
    amount        INTEGER NOT NULL,
    payments      INTEGER NOT NULL
) STRICT;
CREATE VIEW changes AS SELECT NULL AS model, NULL AS agent, NULL AS amount, NULL AS payments WHERE 0;
CREATE TRIGGER totals_change INSTEAD OF INSERT ON changes BEGIN
    INSERT INTO totals (scope, amount, payments)
    VALUES ('wallet', NEW.amount, NEW.payments),
           ('model:' || NEW.model, NEW.amount, NEW.payments),
           ('agent:' || NEW.agent, NEW.amount, NEW.payments)
    ON CONFLICT (scope) DO UPDATE
    SET amount = amount + excluded.amount, payments = payments + excluded.payments;
END;
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

CREATE TABLE owners (
    token         TEXT PRIMARY KEY,
    lease_until   INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    id            TEXT PRIMARY KEY,
    purchase      TEXT NOT NULL UNIQUE REFERENCES purchases (id),
    status        TEXT NOT NULL,
    progress      INTEGER,
    video_url     TEXT,
    thumbnail_url TEXT,
    links_die_at  INTEGER,
    video_path    TEXT,
    error         TEXT,
    lost          INTEGER NOT NULL DEFAULT 0,   -- 1: the clip cannot be had any more
    found_at      INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    watcher       TEXT,
    watched_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_unfinished ON jobs (found_at) WHERE video_path IS NULL AND lost = 0 AND status <> 'failed';

CREATE TABLE uploads (
    purchase      TEXT PRIMARY KEY REFERENCES purchases (id),
    sha256        TEXT NOT NULL,
    width         INTEGER NOT NULL,
    height        INTEGER NOT NULL,
    ticket        BLOB,                  -- sealed: the seller's upload token, until the image is there
    ticket_dies_at INTEGER,
    blob_url      TEXT,                  -- the bytes are stored there, and only have to be confirmed
    url           TEXT
) STRICT;
CREATE INDEX uploads_by_url ON uploads (url);

CREATE TABLE quotes (
    id            TEXT PRIMARY KEY,
    agent         TEXT NOT NULL,
    terms         TEXT NOT NULL,
    price         INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE pins (
    origin        TEXT NOT NULL,
    rail          TEXT NOT NULL,
    token         TEXT NOT NULL,
    pay_to        TEXT NOT NULL,
    trusted_at    INTEGER NOT NULL,
    PRIMARY KEY (origin, rail, token)
) STRICT;

CREATE TABLE audit (
    seq           INTEGER PRIMARY KEY,
    entry         TEXT NOT NULL,
    previous      BLOB NOT NULL,
    hash          BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit is append-only'); END;
