"""Statements on the seller's jobs, their clips, and uploaded images."""

from collections.abc import Mapping

from seedance_mcp.ledger.audit import canonical
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.ledger.payments import close_or_open
from seedance_mcp.ledger.states import ClipJob, Purchase, Upload
from seedance_mcp.ledger.views import as_job, find, must

UNFINISHED = "video_path IS NULL AND lost = 0 AND status <> 'failed'"
"""SQL: word for word the condition of the index over the jobs whose clip may still come."""
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


def deliver(tx: Transaction, purchase_id: str, job_id: str, now: int) -> None:
    """The job that the seller names in its answer to a payment; it takes the place of one that was only found."""
    taken = tx.do(
        """UPDATE jobs SET id = :id, status = 'pending', progress = NULL, error = NULL, lost = 0, video_url = NULL,
                  thumbnail_url = NULL, links_die_at = NULL, watcher = NULL, updated_at = :now
           WHERE purchase = :purchase AND id <> :id AND video_path IS NULL
             AND NOT EXISTS (SELECT 1 FROM jobs other WHERE other.id = :id)""",
        id=job_id,
        purchase=purchase_id,
        now=now,
    )
    if not taken:
        add(tx, purchase_id, job_id, now)


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


def keep_findings(tx: Transaction, job_id: str, findings: Mapping[str, object]) -> None:
    """What was seen of the saved clip; the first look counts."""
    tx.do(
        "UPDATE jobs SET findings = :findings WHERE id = :id AND findings IS NULL",
        id=job_id,
        findings=canonical(findings),
    )


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
    """Unfinished jobs that no other living watcher has, longest unseen first; they are ``watcher``'s for a while."""
    unfinished = tx.all(f"SELECT * FROM jobs WHERE {UNFINISHED} ORDER BY updated_at")
    rows = [
        row
        for row in unfinished
        if row["watcher"] in (None, watcher) or row["watched_until"] <= now or tx.is_gone(row["watcher"])
    ][:50]
    for row in rows:
        tx.do(
            "UPDATE jobs SET watcher = :watcher, watched_until = :until WHERE id = :id",
            watcher=watcher,
            until=now + WATCH,
            id=row["id"],
        )
    return [as_job(row) for row in rows]


def leave(tx: Transaction, watcher: str) -> None:
    """``watcher`` looks at no job any more."""
    tx.do(f"UPDATE jobs SET watcher = NULL WHERE watcher = :watcher AND {UNFINISHED}", watcher=watcher)


def unfinished(tx: Transaction) -> int:
    """How many jobs still wait for their clip."""
    row = tx.one(f"SELECT count(*) AS n FROM jobs WHERE {UNFINISHED}")
    return int(row["n"]) if row else 0


def left(tx: Transaction) -> tuple[int, int]:
    """How many clips can still come, and when the seller was last heard of one (epoch ms)."""
    clips = must(tx.one("SELECT count(*) AS n FROM purchases WHERE closed = 0 AND model <> 'upload'"))
    heard = must(tx.one(
        f"SELECT coalesce(max(updated_at), 0) AS at FROM jobs WHERE {UNFINISHED} AND error IS NULL"))  # fmt: skip
    return clips["n"], heard["at"]


def of(tx: Transaction, job_id: str) -> Purchase | None:
    """The purchase that a job belongs to."""
    row = tx.one("SELECT purchase FROM jobs WHERE id = :id", id=job_id)
    return find(tx, row["purchase"]) if row else None


def pending(tx: Transaction, agent: str, now: int) -> list[Purchase]:
    """An agent's clip purchases that are not finished: questions to a human, unknown payments, paid ones without a
    job, running jobs."""
    found = _purchases(
        tx,
        """SELECT id FROM purchases WHERE closed = 0 AND agent = :agent AND model <> 'upload'
           UNION
           SELECT id FROM purchases WHERE agent = :agent AND model <> 'upload' AND id IN (
               SELECT purchase FROM approvals
               WHERE used_at IS NULL AND expires_at > :now AND answer IS NOT 'denied')""",
        agent=agent,
        now=now,
    )
    return sorted(found, key=lambda purchase: purchase.created_at)


def without_job(tx: Transaction) -> list[Purchase]:
    """Clip purchases that were paid and have no job: the seller's job list may know it.

    An unpaid one gets none: a seller makes the job before it settles, and that job may never run.
    """
    found = _purchases(tx, "SELECT id FROM purchases WHERE closed = 0 AND model <> 'upload' ORDER BY created_at")
    return [purchase for purchase in found if purchase.job is None and purchase.paid]


def _purchases(tx: Transaction, sql: str, **values: object) -> list[Purchase]:
    return [purchase for row in tx.all(sql, **values) if (purchase := find(tx, row["id"])) is not None]


def _close(tx: Transaction, job_id: str) -> None:
    row = tx.one("SELECT purchase FROM jobs WHERE id = :id", id=job_id)
    if row is not None:
        close_or_open(tx, row["purchase"])


def keep_ticket(tx: Transaction, purchase: Purchase, ticket: bytes, dies_at: int | None) -> None:
    """A paid upload's ticket (sealed), so that the bytes can be put again after a crash."""
    tx.do(
        """INSERT INTO uploads (purchase, sha256, width, height, ticket, ticket_dies_at)
           VALUES (:purchase, :sha256, :width, :height, :ticket, :dies_at)
           ON CONFLICT (purchase) DO UPDATE SET ticket = excluded.ticket, ticket_dies_at = excluded.ticket_dies_at
           WHERE url IS NULL""",
        purchase=purchase.id,
        sha256=purchase.request["sha256"],
        width=purchase.request["width"],
        height=purchase.request["height"],
        ticket=ticket,
        dies_at=dies_at,
    )


def keep_blob(tx: Transaction, purchase_id: str, blob_url: str) -> None:
    """The bytes of an upload are stored: what is left is to confirm them."""
    tx.do("UPDATE uploads SET blob_url = :url WHERE purchase = :purchase", purchase=purchase_id, url=blob_url)


def finish_upload(tx: Transaction, purchase_id: str, url: str) -> None:
    tx.do("UPDATE uploads SET url = :url, ticket = NULL WHERE purchase = :purchase", purchase=purchase_id, url=url)
    close_or_open(tx, purchase_id)


def upload_of(tx: Transaction, agent: str, url: str) -> Upload | None:
    """The upload of ``agent`` that an image URL came from."""
    row = tx.one(
        """SELECT uploads.* FROM uploads JOIN purchases ON purchases.id = uploads.purchase
           WHERE uploads.url = :url AND purchases.agent = :agent""",
        url=url,
        agent=agent,
    )
    return Upload(**row) if row else None
