"""The environment, read once into ``Settings``. Nothing else in the package looks at ``os.environ`` for settings."""

import logging
import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from seedance_mcp.errors import InvalidSettings

logger = logging.getLogger(__name__)

PREFIX = "SEEDANCE_"
_APP = "seedance-mcp"
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|<[^>]*>|\byour[-_ ]", re.IGNORECASE)
_ALIKE = 0.8
"""From this likeness on, an unknown variable is taken for a known one with a slip in it."""
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NOT_IN_SANDBOX = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "STUDIO_URL",
        "BLOB_URL",
        "KEYSTORE",
        "KEYSTORE_PASSWORD_FILE",
        "BASE_RPC_URL",
        "TEMPO_RPC_URL",
        "ALERT_URL",
        "ALERT_SECRET_FILE",
    )
)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

STUDIO_URL = "https://stablestudio.dev"
BLOB_URL = "https://vercel.com/api/blob/"
BASE_RPC = "https://mainnet.base.org,https://base-rpc.publicnode.com"
TEMPO_RPC = "https://rpc.tempo.xyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator set. ``sandbox`` is the embedded seller's generation, or None for the real one."""

    studio_url: str
    blob_url: str
    policy: Path
    policy_named: bool
    """The operator named the file, so it must be there."""
    ledger: str
    ledger_named: bool
    keystore: Path
    keystore_password_file: Path | None
    private_key: str | None = field(repr=False)
    output_dir: Path
    image_roots: tuple[Path, ...]
    base_rpc_urls: tuple[str, ...]
    tempo_rpc_urls: tuple[str, ...]
    agent: str
    alert_url: str | None = field(repr=False)
    """Whoever has a webhook's URL can often write to it: it is not shown."""
    alert_secret_file: Path | None
    """Without it nothing is sent to ``alert_url``, and that alone is no reason to stop a server or a freeze."""

    @classmethod
    def from_env(cls, environ: MutableMapping[str, str] | None = None) -> "Settings":
        """Read the environment and take the private key out of it. Raises InvalidSettings naming the variable."""
        environ = os.environ if environ is None else environ
        private_key = environ.pop("SEEDANCE_PRIVATE_KEY", None) or None
        read = _Reader(environ)
        data = Path(platformdirs.user_data_dir(_APP, appauthor=False))
        config = Path(platformdirs.user_config_dir(_APP, appauthor=False))
        policy = read.path("POLICY", config / "policy.toml")
        # Where `seedance-mcp init` puts it.
        password = policy.with_name("password")
        alert_url, alert_secret_file = read.webhook("ALERT_URL", "ALERT_SECRET_FILE")
        settings = cls(
            studio_url=read.url("STUDIO_URL", STUDIO_URL).rstrip("/"),
            blob_url=read.url("BLOB_URL", BLOB_URL).rstrip("/") + "/",
            policy=policy,
            policy_named=bool(read.text("POLICY")),
            ledger=read.text("LEDGER") or f"sqlite:{data / 'ledger.db'}",
            ledger_named=bool(read.text("LEDGER")),
            keystore=read.path("KEYSTORE", data / "keystore.json"),
            keystore_password_file=read.path("KEYSTORE_PASSWORD_FILE", password if password.exists() else None),
            private_key=_key(private_key),
            output_dir=read.path("OUTPUT_DIR", Path(platformdirs.user_videos_dir()) / "seedance"),
            image_roots=read.folders("IMAGE_ROOTS"),
            base_rpc_urls=read.urls("BASE_RPC_URL", BASE_RPC),
            tempo_rpc_urls=read.urls("TEMPO_RPC_URL", TEMPO_RPC),
            agent=read.agent("AGENT"),
            alert_url=alert_url,
            alert_secret_file=alert_secret_file,
        )
        read.require_no_slip()
        return settings

    @classmethod
    def for_sandbox(cls, environ: MutableMapping[str, str] | None = None) -> "Settings":
        """The same for the embedded seller: keys, keystores and URLs of the operator are not even looked at."""
        environ = os.environ if environ is None else environ
        environ.pop("SEEDANCE_PRIVATE_KEY", None)
        return cls.from_env({name: value for name, value in environ.items() if name not in _NOT_IN_SANDBOX})

    def at(self, origin: str, ledger: str) -> "Settings":
        """The same, pointed at a seller at ``origin`` that serves everything itself, with another ledger."""
        return replace(
            self,
            studio_url=origin,
            blob_url=f"{origin}/blob/",
            base_rpc_urls=(f"{origin}/rpc",),
            tempo_rpc_urls=(f"{origin}/rpc/tempo",),
            ledger=ledger,
            alert_url=None,
            alert_secret_file=None,
        )


class _Reader:
    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._known = ["PRIVATE_KEY"]

    def require_no_slip(self) -> None:
        """Raises InvalidSettings for a variable that is nearly one of those that were read: a policy that is named
        under a wrong name would silently be none."""
        given = {name.removeprefix(PREFIX) for name in self._environ if name.startswith(PREFIX)}
        for name in sorted(given.difference(self._known)):
            for near in get_close_matches(name, self._known, 1, _ALIKE):
                raise InvalidSettings(
                    f"{PREFIX}{name} is no setting: did you mean {PREFIX}{near}?",
                    next="Mend the name in the client's config, or take the line out.",
                )
            logger.warning("%s%s is no setting of this program, and has no effect", PREFIX, name)

    def text(self, name: str) -> str:
        self._known.append(name)
        value = self._environ.get(PREFIX + name, "").strip()
        if _PLACEHOLDER.search(value):
            raise InvalidSettings(
                f"{PREFIX}{name} still holds the placeholder {value!r}",
                next="Put the real value into the client's config, or take the line out.",
            )
        return value

    def path(self, name: str, default: Path | None) -> Path:
        value = self.text(name)
        return expanded(value, PREFIX + name).absolute() if value else default  # type: ignore[return-value]

    def folders(self, name: str) -> tuple[Path, ...]:
        parts = [part.strip() for part in self.text(name).split(os.pathsep)]
        folders = tuple(expanded(part, PREFIX + name) for part in parts if part)
        for folder in folders:
            if not folder.is_dir():
                raise InvalidSettings(f"{PREFIX}{name} names {str(folder)!r}, which is not a folder")
        return tuple(folder.resolve() for folder in folders)

    def url(self, name: str, default: str) -> str:
        return checked_url(self.text(name) or default, PREFIX + name)

    def urls(self, name: str, default: str) -> tuple[str, ...]:
        value = self.text(name) or default
        return tuple(checked_url(part.strip(), PREFIX + name) for part in value.split(",") if part.strip())

    def webhook(self, name: str, secret_file: str) -> tuple[str | None, Path | None]:
        """A URL with the file of the secret that signs what is sent there, if one is named; or neither."""
        value, secret = self.text(name), self.path(secret_file, None)
        return (checked_url(value, PREFIX + name), secret) if value else (None, None)

    def agent(self, name: str) -> str:
        value = self.text(name) or "default"
        if not _AGENT.fullmatch(value):
            raise InvalidSettings(
                f"{PREFIX}{name} is {value!r}: use up to 64 letters, digits, dots, dashes and underscores"
            )
        return value


def expanded(path: str, name: str) -> Path:
    """``path`` with ``~`` resolved: a client's config is read by no shell. Raises InvalidSettings."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidSettings(f"{name} names {path!r}, and there is no such user") from None


def checked_url(url: str, name: str) -> str:
    """``url`` if it is https, or http to loopback. Raises InvalidSettings; the error leaves out any password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidSettings(f"{name} is not a URL") from None
    if parts.username or parts.password:
        raise InvalidSettings(f"{name} must not hold a user name or password")
    if not host or parts.scheme not in {"https", "http"}:
        raise InvalidSettings(f"{name} is not an https URL")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise InvalidSettings(f"{name} is plain http to {host}: only https is allowed, or http to this machine")
    return url


def _key(text: str | None) -> str | None:
    if text is not None and _PLACEHOLDER.search(text):
        raise InvalidSettings(
            "SEEDANCE_PRIVATE_KEY still holds a placeholder", next="Put the key into the client's config."
        )
    return text
