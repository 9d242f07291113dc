-- The seconds of a clip stand with the payment that bought it once it is on disk, so that a report reads one table.

ALTER TABLE payments ADD COLUMN seconds INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER jobs_saved AFTER UPDATE OF video_path ON jobs WHEN NEW.video_path IS NOT NULL BEGIN
    UPDATE payments
    SET seconds = coalesce((SELECT request ->> '$.duration' FROM purchases WHERE id = NEW.purchase), 0)
    WHERE purchase = NEW.purchase;
END;

UPDATE payments
SET seconds = coalesce((SELECT request ->> '$.duration' FROM purchases WHERE id = payments.purchase), 0)
WHERE purchase IN (SELECT purchase FROM jobs WHERE video_path IS NOT NULL);
