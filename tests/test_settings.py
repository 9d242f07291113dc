import os
from pathlib import Path

import pytest

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.settings import STUDIO_URL, Settings

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with no folder named by the environment."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "SEEDANCE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def read(**variables: str) -> Settings:
    return Settings.from_env({f"SEEDANCE_{name}": value for name, value in variables.items()})


def refused(**variables: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        read(**variables)
    return caught.value.what


def test_an_empty_environment_means_the_real_seller_and_the_user_s_own_folders(home: Path) -> None:
    settings = read()
    assert settings.studio_url == STUDIO_URL == "https://stablestudio.dev"
    assert settings.blob_url == "https://vercel.com/api/blob/"
    assert settings.agent == "default"
    assert len(settings.base_rpc_urls) == 2
    assert (settings.policy_named, settings.ledger_named) == (False, False)
    assert (settings.private_key, settings.keystore_password_file, settings.image_roots) == (None, None, ())
    for path in (
        settings.policy,
        settings.keystore,
        settings.output_dir,
        Path(settings.ledger.removeprefix("sqlite:")),
    ):
        assert path.is_relative_to(home)
    assert settings.output_dir.name == "seedance"
    assert settings.policy.name == "policy.toml"


def test_an_empty_variable_is_an_absent_one() -> None:
    empty = dict.fromkeys(("STUDIO_URL", "POLICY", "LEDGER", "OUTPUT_DIR", "AGENT", "PRIVATE_KEY", "IMAGE_ROOTS"), " ")
    assert read(**empty | {"PRIVATE_KEY": ""}) == read()


def test_what_is_named_is_used(home: Path) -> None:
    (home / "images").mkdir()
    (home / "more").mkdir()
    settings = read(
        STUDIO_URL="https://studio.example/",
        POLICY=str(home / "policy.toml"),
        LEDGER="sqlite:/data/ledger.db",
        KEYSTORE_PASSWORD_FILE=str(home / "password"),
        OUTPUT_DIR=str(home / "clips"),
        IMAGE_ROOTS=os.pathsep.join([str(home / "images"), "", f" {home / 'more'} "]),
        BASE_RPC_URL="https://one.example/key, https://two.example",
        AGENT="storyboard-2.b_c",
    )
    assert settings.studio_url == "https://studio.example"
    assert (settings.policy, settings.policy_named) == (home / "policy.toml", True)
    assert (settings.ledger, settings.ledger_named) == ("sqlite:/data/ledger.db", True)
    assert settings.image_roots == ((home / "images").resolve(), (home / "more").resolve())
    assert settings.base_rpc_urls == ("https://one.example/key", "https://two.example")
    assert (settings.agent, settings.output_dir) == ("storyboard-2.b_c", home / "clips")


def test_a_tilde_is_the_home_and_a_relative_path_is_made_absolute(home: Path) -> None:
    (home / "images").mkdir()
    settings = read(OUTPUT_DIR="~/clips", POLICY="policy.toml", IMAGE_ROOTS="~/images")
    assert settings.output_dir == home / "clips"
    assert settings.policy == Path.cwd() / "policy.toml"
    assert settings.image_roots == ((home / "images").resolve(),)


def test_a_tilde_of_nobody_is_refused() -> None:
    assert refused(OUTPUT_DIR="~nobody-of-this-name/clips").startswith("SEEDANCE_OUTPUT_DIR names")
    assert refused(IMAGE_ROOTS="~nobody-of-this-name").startswith("SEEDANCE_IMAGE_ROOTS names")


def test_the_private_key_is_taken_out_of_the_environment_and_never_shown() -> None:
    environ = {"SEEDANCE_PRIVATE_KEY": KEY, "SEEDANCE_AGENT": "ada"}
    settings = Settings.from_env(environ)
    assert settings.private_key == KEY
    assert environ == {"SEEDANCE_AGENT": "ada"}
    assert KEY[2:] not in repr(settings)


def test_the_private_key_leaves_the_environment_even_where_another_setting_is_wrong() -> None:
    environ = {"SEEDANCE_PRIVATE_KEY": KEY, "SEEDANCE_AGENT": "a b"}
    with pytest.raises(InvalidSettings):
        Settings.from_env(environ)
    assert "SEEDANCE_PRIVATE_KEY" not in environ


@pytest.mark.parametrize("value", ["${STUDIO}", "https://<host>/", "<your url>", "your-studio-url", "YOUR_URL"])
def test_a_placeholder_is_no_value(value: str) -> None:
    assert refused(STUDIO_URL=value) == f"SEEDANCE_STUDIO_URL still holds the placeholder {value!r}"


@pytest.mark.parametrize("value", ["${PRIVATE_KEY}", "<key>", "your-key"])
def test_a_placeholder_for_the_key_is_refused_without_repeating_it(value: str) -> None:
    assert refused(PRIVATE_KEY=value) == "SEEDANCE_PRIVATE_KEY still holds a placeholder"


@pytest.mark.parametrize("name", ["STUDIO_URL", "BLOB_URL", "BASE_RPC_URL", "TEMPO_RPC_URL"])
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://studio.example", " is plain http to studio.example: only https is allowed, or http to this machine"),
        ("http://127.0.0.1.example", " is plain http to 127.0.0.1.example"),
        ("ftp://studio.example", " is not an https URL"),
        ("studio.example", " is not an https URL"),
        ("https://", " is not an https URL"),
        ("https://[::1", " is not a URL"),
        ("https://studio.example:port", " is not a URL"),
        ("https://ada:secret@studio.example", " must not hold a user name or password"),
    ],
)
def test_every_url_is_https_without_a_password(name: str, url: str, problem: str) -> None:
    told = refused(**{name: url})
    assert told.startswith(f"SEEDANCE_{name}{problem}")
    assert "secret" not in told


def test_one_bad_rpc_url_among_good_ones_is_refused() -> None:
    assert "plain http" in refused(BASE_RPC_URL="https://one.example,http://two.example")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4021", "http://localhost:4021", "http://[::1]:4021"])
def test_plain_http_may_stay_on_this_machine(url: str) -> None:
    assert read(STUDIO_URL=url).studio_url == url


@pytest.mark.parametrize("agent", ["a b", "-a", "a" * 65, "a:b", "ä", "a/b", "a\nb"])
def test_an_agent_has_a_plain_name(agent: str) -> None:
    assert refused(AGENT=agent).startswith("SEEDANCE_AGENT is ")


def test_an_image_root_must_be_a_folder(home: Path) -> None:
    (home / "file").write_text("")
    assert refused(IMAGE_ROOTS=str(home / "file")).endswith("which is not a folder")
    assert refused(IMAGE_ROOTS=str(home / "nowhere")).endswith("which is not a folder")


def test_the_sandbox_looks_at_no_key_and_no_url(home: Path) -> None:
    environ = {
        "SEEDANCE_PRIVATE_KEY": KEY,
        "SEEDANCE_STUDIO_URL": "not a url",
        "SEEDANCE_BLOB_URL": "${BLOB}",
        "SEEDANCE_BASE_RPC_URL": "http://elsewhere.example",
        "SEEDANCE_TEMPO_RPC_URL": "http://elsewhere.example",
        "SEEDANCE_KEYSTORE": "/keys/main.json",
        "SEEDANCE_KEYSTORE_PASSWORD_FILE": "/keys/password",
        "SEEDANCE_OUTPUT_DIR": str(home / "clips"),
        "SEEDANCE_LEDGER": f"sqlite:{home}/ledger.db",
    }
    settings = Settings.for_sandbox(environ)
    assert (settings.private_key, settings.keystore_password_file) == (None, None)
    assert settings.keystore != Path("/keys/main.json")
    assert settings.studio_url == STUDIO_URL
    assert (settings.output_dir, settings.ledger) == (home / "clips", f"sqlite:{home}/ledger.db")
    assert "SEEDANCE_PRIVATE_KEY" not in environ


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hooks.example/alerts", " is plain http to hooks.example"),
        ("hooks.example", " is not an https URL"),
        ("https://ada:secret@hooks.example", " must not hold a user name or password"),
        ("https://<host>/alerts", " still holds the placeholder"),
    ],
)
def test_alerts_go_to_an_https_url(url: str, problem: str) -> None:
    assert refused(ALERT_URL=url, ALERT_SECRET_FILE="secret").startswith(f"SEEDANCE_ALERT_URL{problem}")


def test_alerts_have_a_secret_and_a_missing_one_stops_nothing(home: Path) -> None:
    settings = read(ALERT_URL="https://hooks.example/token")
    assert (settings.alert_url, settings.alert_secret_file) == ("https://hooks.example/token", None)
    assert refused(ALERT_URL="https://hooks.example", ALERT_SECRET_FILE="<file>").startswith(
        "SEEDANCE_ALERT_SECRET_FILE still holds the placeholder"
    )
    settings = read(ALERT_URL="https://hooks.example/token", ALERT_SECRET_FILE="~/secret")
    assert (settings.alert_url, settings.alert_secret_file) == ("https://hooks.example/token", home / "secret")
    assert "token" not in repr(settings)
    assert read().alert_url is None


def test_the_sandbox_and_a_seller_of_ones_own_send_no_alerts() -> None:
    named = {"ALERT_URL": "https://hooks.example", "ALERT_SECRET_FILE": "secret"}
    assert Settings.for_sandbox({f"SEEDANCE_{name}": value for name, value in named.items()}).alert_url is None
    assert Settings.for_sandbox({"SEEDANCE_ALERT_URL": "not a url"}).alert_url is None
    assert read(**named).at("http://127.0.0.1:4021", "sqlite:/play/ledger.db").alert_url is None


def test_settings_can_be_pointed_at_a_seller_that_serves_everything() -> None:
    settings = read(AGENT="ada").at("http://127.0.0.1:4021", "sqlite:/play/ledger.db")
    assert settings.studio_url == "http://127.0.0.1:4021"
    assert settings.blob_url == "http://127.0.0.1:4021/blob/"
    assert settings.base_rpc_urls == ("http://127.0.0.1:4021/rpc",)
    assert (settings.ledger, settings.agent) == ("sqlite:/play/ledger.db", "ada")


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("POLCY", "POLICY"),
        ("IMAGE_ROOT", "IMAGE_ROOTS"),
        ("KEYSTORE_PASSWORD", "KEYSTORE_PASSWORD_FILE"),
        ("PRIVATE_KEYS", "PRIVATE_KEY"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_an_error_and_is_not_shown(slip: str, meant: str) -> None:
    assert refused(**{slip: "a value"}) == f"SEEDANCE_{slip} is no setting: did you mean SEEDANCE_{meant}?"


def test_a_variable_without_effect_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert read(DEBUG="a value") == read()
    assert caplog.messages == ["SEEDANCE_DEBUG is no setting of this program, and has no effect"]
