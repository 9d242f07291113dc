-- What the operator is told, kept until the webhook has it. While an alert stands there is no second one of the same
-- happening; one that can come again, such as a cap that is nearly used up, ceases to stand when it is over.
CREATE TABLE alerts (
    id            INTEGER PRIMARY KEY,
    message_id    TEXT NOT NULL UNIQUE,        -- the same in every attempt to send it
    happening     TEXT NOT NULL,
    stands        INTEGER NOT NULL DEFAULT 1,
    message       TEXT NOT NULL,               -- one line for a person
    body          TEXT NOT NULL,               -- what is signed and sent, as JSON
    raised_at     INTEGER NOT NULL,
    told          INTEGER NOT NULL DEFAULT 0,  -- 1: some process has said it on its stderr
    status        TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'unwanted', 'dropped')),
    attempts      INTEGER NOT NULL DEFAULT 0,
    next_at       INTEGER NOT NULL             -- nobody sends it before: a pause after a failure, or a sender's lease
) STRICT;
CREATE UNIQUE INDEX alerts_standing ON alerts (happening) WHERE stands = 1;
CREATE INDEX alerts_untold ON alerts (id) WHERE told = 0;
CREATE INDEX alerts_waiting ON alerts (next_at, raised_at) WHERE status = 'waiting';
