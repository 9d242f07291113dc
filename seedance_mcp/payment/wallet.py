"""The only holder of the private key. It leaves as signatures and derived keys, never as itself."""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self, cast

from Crypto.Cipher import AES
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_keys.datatypes import PrivateKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from seedance_mcp.errors import InvalidSettings

if TYPE_CHECKING:
    from Crypto.Cipher._mode_gcm import GcmMode

_HEX_KEY = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1: a key is a number from 1 to this, less one."""

KEY_PART = 40
"""Characters of a spelled key that nobody writes by accident."""
_NONCE, _TAG = 12, 16
_MAX_KEYSTORE = 64 * 1024


class Wallet:
    """A key and what it can do. Make one with ``from_hex``, ``create`` or ``from_keystore``.

    ``address`` is checksummed. Signatures are 65 bytes, r, s and v (27 or 28), deterministic and with a low s.
    """

    __slots__ = ("_key", "address")

    def __init__(self, key: bytes) -> None:
        if len(key) != 32 or not 0 < int.from_bytes(key, "big") < _ORDER:
            raise ValueError("a private key is 32 bytes, not zero, and below the order of secp256k1")
        self._key = PrivateKey(key)
        self.address: str = self._key.public_key.to_checksum_address()

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """A key as 64 hex digits, with or without ``0x``. Raises ValueError, which never repeats ``text``."""
        match = _HEX_KEY.fullmatch(text)
        if match is None:
            raise ValueError("a private key is 64 hexadecimal digits, with or without 0x before them")
        return cls(bytes.fromhex(match[1]))

    @classmethod
    def create(cls) -> Self:
        """A new key from the system's randomness."""
        return cls((1 + secrets.randbelow(_ORDER - 1)).to_bytes(32, "big"))

    @classmethod
    def from_keystore(cls, path: Path, password: str) -> Self:
        """The key of a Web3 Secret Storage v3 file. Raises InvalidSettings."""
        document = _read_private(path)
        try:
            wallet = cls(decode_keyfile_json(document, _secret(password)))
        except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
            # The cause may quote the file or the derived key, so it is not chained.
            raise InvalidSettings(f"{path} is not opened by this password, or is not a version 3 keystore") from None
        named = document.get("address")
        if named is not None and str(named).lower().removeprefix("0x") != wallet.address[2:].lower():
            raise InvalidSettings(f"{path} names another address than its key has")
        return wallet

    def to_keystore(self, password: str, path: Path) -> None:
        """Write a new Web3 Secret Storage v3 file (scrypt), readable by its owner alone.

        Takes about a second. Raises InvalidSettings when ``path`` exists: a key is never overwritten.
        """
        if not password:
            raise InvalidSettings("A keystore needs a password")
        document = create_keyfile_json(self._key.to_bytes(), _secret(password), version=3, kdf="scrypt")
        _write_new(path, json.dumps(document))

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are; what they stand for is the caller's care."""
        if len(digest) != 32:
            raise ValueError("a digest is 32 bytes")
        signature = self._key.sign_msg_hash(digest).to_bytes()
        return signature[:64] + bytes([27 + signature[64]])

    def sign_message(self, text: str) -> bytes:
        """Sign text as an EIP-191 personal message (version 0x45), which no transaction or typed data can equal."""
        message = text.encode()
        return self.sign_digest(keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message))

    def derive(self, label: bytes) -> bytes:
        """32 bytes that only this key gives for ``label``; the same in every version of this program."""
        return hmac.digest(self._key.to_bytes(), b"seedance-mcp derived key: " + label, hashlib.sha256)

    def appears_in(self, text: str) -> bool:
        """Whether somebody wrote this key into ``text``, in hex or base64: it must not leave the machine in there.

        A part of it that a name or a path may have cut off counts too.
        """
        key = self._key.to_bytes()
        spelled = (base64.b64encode(key), base64.urlsafe_b64encode(key))
        return key.hex()[:KEY_PART] in text.lower() or any(one.decode()[:KEY_PART] in text for one in spelled)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt to oneself with AES-256-GCM; ``context`` is bound, not hidden. Twelve bytes of nonce come first."""
        cipher = self._cipher(secrets.token_bytes(_NONCE), context)
        ciphertext, tag = cipher.encrypt_and_digest(plaintext)
        return bytes(cipher.nonce) + tag + ciphertext

    def unseal(self, blob: bytes, context: bytes) -> bytes:
        """What ``seal`` was given. Raises ValueError when the bytes, the context or the wallet are other ones."""
        if len(blob) < _NONCE + _TAG:
            raise ValueError("the sealed bytes are too short")
        nonce, tag, ciphertext = blob[:_NONCE], blob[_NONCE : _NONCE + _TAG], blob[_NONCE + _TAG :]
        try:
            return self._cipher(nonce, context).decrypt_and_verify(ciphertext, tag)
        except ValueError:
            raise ValueError("the sealed bytes were changed, or belong to another wallet or context") from None

    def _cipher(self, nonce: bytes, context: bytes) -> "GcmMode":
        cipher = AES.new(self.derive(b"seal"), AES.MODE_GCM, nonce=nonce, mac_len=_TAG)
        cipher.update(context)
        return cipher

    def __repr__(self) -> str:
        return f"<Wallet {self.address}>"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a wallet is neither copied nor pickled")


def _secret(password: str) -> str:
    # eth_keyfile asks for a str, but hashes one as Latin-1 or not at all; every other tool takes UTF-8.
    return cast("str", password.encode())


def keystore_address(path: Path) -> str:
    """The checksummed address that a keystore names, read without its password. Raises InvalidSettings."""
    named = _read_private(path).get("address")
    try:
        return to_checksum_address(str(named))
    except ValueError:
        raise InvalidSettings(f"{path} does not name its address") from None


def _read_private(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_KEYSTORE + 1)
    except OSError as error:
        raise InvalidSettings(f"The keystore {path} cannot be read ({error.strerror})") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InvalidSettings(
            f"The keystore {path} can be opened by other users", next=f"Run `chmod 600 {path}`, if only you had access."
        )
    try:
        document = json.loads(data) if len(data) <= _MAX_KEYSTORE else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidSettings(f"{path} is not a keystore")
    return document


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidSettings(f"{path} exists already; a key is never overwritten") from None
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InvalidSettings(f"{path} cannot be written ({error.strerror})") from None
