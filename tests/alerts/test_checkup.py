"""What ``doctor`` says about alerts."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from seedance_mcp.alerts import happenings
from seedance_mcp.checkup.alerts import check_alerts
from seedance_mcp.checkup.finding import Status
from seedance_mcp.ledger.alerts import Post
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now
from tests.alerts.receiver import SECRET, secret_file
from tests.e2e.home import make_home


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    named = {"ALERT_URL": "https://hooks.example/token", "ALERT_SECRET_FILE": str(secret_file(tmp_path))}
    return Settings.from_env({f"SEEDANCE_{name}": value for name, value in named.items()})


def test_without_a_webhook_it_is_said_where_alerts_are() -> None:
    found = check_alerts(Settings.from_env({}), Post(waiting=3))
    assert (found.status, found.facts) == (Status.OK, {"configured": False})
    assert "stderr" in found.what


def test_what_waits_is_counted_and_what_is_lost_is_a_warning(settings: Settings) -> None:
    found = check_alerts(settings, Post(waiting=2))
    assert (found.status, found.what) == (Status.OK, "signed and sent to hooks.example; 2 waiting")
    found = check_alerts(settings, Post(waiting=2, lost=1))
    assert (found.status, found.facts) == (Status.WARNING, {"configured": True, "waiting": 2, "lost": 1})
    assert found.todo


def test_a_secret_that_cannot_be_used_is_a_warning_with_the_way_to_mend_it(settings: Settings) -> None:
    assert settings.alert_secret_file is not None
    settings.alert_secret_file.write_text("too short")
    found = check_alerts(settings, Post())
    assert found.status is Status.WARNING
    assert found.what.endswith("so that none is sent to hooks.example")
    assert "openssl" in found.todo


def test_a_url_without_a_secret_is_a_warning_too(settings: Settings) -> None:
    found = check_alerts(replace(settings, alert_secret_file=None), Post(waiting=1))
    assert found.status is Status.WARNING
    assert found.what == (
        "SEEDANCE_ALERT_URL is set without SEEDANCE_ALERT_SECRET_FILE, so that none is sent to hooks.example"
    )
    assert "openssl rand -base64 32" in found.todo


async def test_doctor_has_a_line_for_them(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    named = {"ALERT_URL": f"{nobody}/token", "ALERT_SECRET_FILE": str(secret_file(tmp_path))}
    home = make_home(tmp_path / "home", STUDIO_URL=nobody, **named)
    database = await SQLite.open(home.ledger, "real")
    await database.write(happenings.freeze, "a leak", now())
    await database.close()
    ran = await anyio.run_process([sys.executable, "-m", "seedance_mcp", "doctor", "--json"], env=home.env, check=False)
    (line,) = [line for line in json.loads(ran.stdout)["checks"] if line["check"] == "alerts"]
    assert (line["status"], line["found"]) == ("ok", "signed and sent to 127.0.0.1; 1 waiting")
    for secret in (SECRET, "token"):
        assert secret.encode() not in ran.stdout + ran.stderr
