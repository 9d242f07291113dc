-- What a human was asked before a payment: the terms are in the payment, which is 'intended' until the answer is used.

CREATE TABLE approvals (
    purchase      TEXT PRIMARY KEY REFERENCES purchases (id),
    question      TEXT NOT NULL,
    asked_at      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,      -- without an answer by then it is no; a yes has to be used by then
    answer        TEXT CHECK (answer IN ('approved', 'denied')),
    answered_at   INTEGER,
    answered_by   TEXT,
    used_at       INTEGER
) STRICT;
CREATE INDEX approvals_waiting ON approvals (expires_at) WHERE answer IS NULL;
