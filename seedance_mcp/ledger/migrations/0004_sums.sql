-- What ended up counting, summed per span of time, so that no decision has to add up a long history. Kept by the
-- database itself, like the totals. Payments whose outcome is open are not in it: they are in every window.

CREATE TABLE sums (
    scope         TEXT NOT NULL,
    width         INTEGER NOT NULL,      -- of the span: 10 minutes, 2 hours or a day
    start         INTEGER NOT NULL,      -- a multiple of the width
    rail          TEXT NOT NULL,
    amount        INTEGER NOT NULL,
    payments      INTEGER NOT NULL,
    PRIMARY KEY (scope, width, start, rail)
) STRICT, WITHOUT ROWID;

CREATE VIEW counted AS
    SELECT NULL AS model, NULL AS agent, NULL AS rail, NULL AS at, NULL AS amount, NULL AS payments WHERE 0;
CREATE TRIGGER sums_change INSTEAD OF INSERT ON counted BEGIN
    INSERT INTO sums (scope, width, start, rail, amount, payments)
    SELECT scopes.column1, widths.column1, NEW.at - NEW.at % widths.column1, NEW.rail, NEW.amount, NEW.payments
    FROM (VALUES ('wallet'), ('model:' || NEW.model), ('agent:' || NEW.agent)) AS scopes,
         (VALUES (600000), (7200000), (86400000)) AS widths
    WHERE true
    ON CONFLICT (scope, width, start, rail) DO UPDATE
    SET amount = amount + excluded.amount, payments = payments + excluded.payments;
END;
CREATE TRIGGER sums_insert AFTER INSERT ON payments WHEN NEW.state IN ('claimed', 'settled', 'written_off') BEGIN
    INSERT INTO counted VALUES (NEW.model, NEW.agent, NEW.rail, NEW.counted_at, NEW.amount + NEW.fee, 1);
END;
CREATE TRIGGER sums_leave AFTER UPDATE OF state, amount, fee, counted_at ON payments
WHEN OLD.state IN ('claimed', 'settled', 'written_off') BEGIN
    INSERT INTO counted VALUES (OLD.model, OLD.agent, OLD.rail, OLD.counted_at, -OLD.amount - OLD.fee, -1);
END;
CREATE TRIGGER sums_enter AFTER UPDATE OF state, amount, fee, counted_at ON payments
WHEN NEW.state IN ('claimed', 'settled', 'written_off') BEGIN
    INSERT INTO counted VALUES (NEW.model, NEW.agent, NEW.rail, NEW.counted_at, NEW.amount + NEW.fee, 1);
END;

INSERT INTO counted
SELECT model, agent, rail, counted_at, amount + fee, 1 FROM payments
WHERE state IN ('claimed', 'settled', 'written_off');
