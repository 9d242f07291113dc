"""Statements on the seller's jobs, their clips, and uploaded images."""

from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.states import ClipJob, Purchase, State, Upload
from seedance_mcp.ledger.views import as_job, find

WATCH = 30_000
"""Milliseconds for which one watcher has a job to itself."""


def add(tx: Transaction, purchase_id: str, job_id: str, now: int) -> bool:
    """Give a purchase its job. False when the purchase has one, or the job belongs to another purchase."""
    return tx.do(
        """INSERT INTO jobs (id, purchase, status, found_at, updated_at) VALUES (:id, :purchase, 'pending', :now, :now)
           ON CONFLICT DO NOTHING""",
        id=job_id,
        purchase=purchase_id,
        now=now,
    ) == 1  # fmt: skip


def known(tx: Transaction, job_id: str) -> bool:
    return tx.one("SELECT 1 FROM jobs WHERE id = :id", id=job_id) is not None


def update(
    tx: Transaction,
    job_id: str,
    *,
    status: str,
    progress: int | None,
    video_url: str | None,
    thumbnail_url: str | None,
    links_die_at: int | None,
    error: str | None,
    now: int,
) -> None:
    """Write down what the seller said of a job. The first death of the links that was seen is kept."""
    tx.do(
        """UPDATE jobs SET status = :status, progress = :progress, video_url = coalesce(:video_url, video_url),
                  thumbnail_url = coalesce(:thumbnail_url, thumbnail_url),
                  links_die_at = coalesce(links_die_at, :links_die_at), error = :error, updated_at = :now
           WHERE id = :id AND video_path IS NULL AND lost = 0""",
        id=job_id,
        status=status,
        progress=progress,
        video_url=video_url,
        thumbnail_url=thumbnail_url,
        links_die_at=links_die_at,
        error=error,
        now=now,
    )
    _close(tx, job_id)


def save_clip(tx: Transaction, job_id: str, path: str, now: int) -> None:
    tx.do(
        "UPDATE jobs SET video_path = :path, status = 'complete', error = NULL, updated_at = :now WHERE id = :id",
        id=job_id,
        path=path,
        now=now,
    )
    _close(tx, job_id)


def note_error(tx: Transaction, job_id: str, error: str, lost: bool, now: int) -> None:
    """The clip could not be saved this time, or (``lost``) never will be."""
    tx.do(
        "UPDATE jobs SET error = :error, lost = :lost, updated_at = :now WHERE id = :id AND video_path IS NULL",
        id=job_id,
        error=error,
        lost=int(lost),
        now=now,
    )
    _close(tx, job_id)


def watch(tx: Transaction, watcher: str, now: int) -> list[ClipJob]:
    """Unfinished jobs that no other watcher has, oldest first; they are ``watcher``'s for a while."""
    rows = tx.all(
        """SELECT * FROM jobs WHERE video_path IS NULL AND lost = 0 AND status <> 'failed'
           AND (watcher IS NULL OR watcher = :watcher OR watched_until <= :now) ORDER BY found_at LIMIT 50""",
        watcher=watcher,
        now=now,
    )
    for row in rows:
        tx.do(
            "UPDATE jobs SET watcher = :watcher, watched_until = :until WHERE id = :id",
            watcher=watcher,
            until=now + WATCH,
            id=row["id"],
        )
    return [as_job(row) for row in rows]


def unfinished(tx: Transaction) -> int:
    """How many jobs still wait for their clip."""
    row = tx.one("SELECT count(*) AS n FROM jobs WHERE video_path IS NULL AND lost = 0 AND status <> 'failed'")
    return int(row["n"]) if row else 0


def of(tx: Transaction, job_id: str) -> Purchase | None:
    """The purchase that a job belongs to."""
    row = tx.one("SELECT purchase FROM jobs WHERE id = :id", id=job_id)
    return find(tx, row["purchase"]) if row else None


def pending(tx: Transaction, agent: str) -> list[Purchase]:
    """An agent's clip purchases that are not finished: unknown payments, paid ones without a job, running jobs."""
    return _purchases(
        tx,
        """SELECT id FROM purchases WHERE closed = 0 AND agent = :agent AND model <> 'upload'
           ORDER BY created_at""",
        agent=agent,
    )


def without_job(tx: Transaction) -> list[Purchase]:
    """Clip purchases that were sent and have no job: the seller's job list may know it."""
    sent = (State.SENT, State.UNKNOWN, State.CLAIMED, State.SETTLED)
    found = _purchases(tx, "SELECT id FROM purchases WHERE closed = 0 AND model <> 'upload' ORDER BY created_at")
    return [purchase for purchase in found if purchase.job is None and purchase.payment.state in sent]


def _purchases(tx: Transaction, sql: str, **values: object) -> list[Purchase]:
    return [purchase for row in tx.all(sql, **values) if (purchase := find(tx, row["id"])) is not None]


def _close(tx: Transaction, job_id: str) -> None:
    """Nothing more is to be delivered once the clip is saved or lost, or the job failed."""
    tx.do(
        """UPDATE purchases SET closed = 1 WHERE id = (SELECT purchase FROM jobs WHERE id = :id
           AND (video_path IS NOT NULL OR lost = 1 OR status = 'failed'))""",
        id=job_id,
    )


def keep_ticket(tx: Transaction, purchase: Purchase, ticket: bytes, dies_at: int | None) -> None:
    """A paid upload's ticket (sealed), so that the bytes can be put again after a crash."""
    tx.do(
        """INSERT INTO uploads (purchase, sha256, width, height, ticket, ticket_dies_at)
           VALUES (:purchase, :sha256, :width, :height, :ticket, :dies_at) ON CONFLICT DO NOTHING""",
        purchase=purchase.id,
        sha256=purchase.request["sha256"],
        width=purchase.request["width"],
        height=purchase.request["height"],
        ticket=ticket,
        dies_at=dies_at,
    )


def finish_upload(tx: Transaction, purchase_id: str, url: str) -> None:
    tx.do("UPDATE uploads SET url = :url, ticket = NULL WHERE purchase = :purchase", purchase=purchase_id, url=url)
    tx.do("UPDATE purchases SET closed = 1 WHERE id = :id", id=purchase_id)


def upload_of(tx: Transaction, agent: str, url: str) -> Upload | None:
    """The upload of ``agent`` that an image URL came from."""
    row = tx.one(
        """SELECT uploads.* FROM uploads JOIN purchases ON purchases.id = uploads.purchase
           WHERE uploads.url = :url AND purchases.agent = :agent""",
        url=url,
        agent=agent,
    )
    return Upload(**row) if row else None
