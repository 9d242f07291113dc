"""Whether alerts reach the operator."""

from urllib.parse import urlsplit

from seedance_mcp.alerts.signing import read_secret
from seedance_mcp.checkup.finding import Finding, ok, warning
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.ledger.alerts import Post
from seedance_mcp.settings import Settings


def check_alerts(settings: Settings, post: Post) -> Finding:
    """Nothing is sent for this. Of the URL only the host is told: the rest may be a secret."""
    if settings.alert_url is None:
        return ok("alerts", "said on the server's stderr; SEEDANCE_ALERT_URL can name a webhook", configured=False)
    facts = {"configured": True, "waiting": post.waiting, "lost": post.lost}
    host = urlsplit(settings.alert_url).hostname
    try:
        read_secret(settings.alert_secret_file)
    except InvalidSettings as error:
        return warning("alerts", f"{error.what}, so that none is sent to {host}", error.next, **facts)
    what = f"signed and sent to {host}; {post.waiting} waiting"
    if post.lost:
        todo = "Look at what answers at SEEDANCE_ALERT_URL; `seedance-mcp spend` and `jobs` tell what they were about."
        return warning("alerts", f"{what}, {post.lost} of the last week never taken", todo, **facts)
    return ok("alerts", what, **facts)
