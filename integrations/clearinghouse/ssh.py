"""Opens SSH connections to partners whose host key is pinned; without it a library's defaults would trust anybody."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from types import MappingProxyType
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from paramiko.ssh_exception import IncompatiblePeer

from integrations import egress
from integrations.clearinghouse import host_keys
from integrations.errors import Misconfigured, Transient

PARTNER = "sftp"
KEY_KINDS: Mapping[type, type[paramiko.PKey]] = MappingProxyType(
    {Ed25519PrivateKey: paramiko.Ed25519Key, EllipticCurvePrivateKey: paramiko.ECDSAKey, RSAPrivateKey: paramiko.RSAKey}
)
LOST = (OSError, EOFError, UnicodeDecodeError, paramiko.SSHException, paramiko.SFTPError)
UNREADABLE_KEY = (ValueError, TypeError, StopIteration, UnsupportedAlgorithm, paramiko.SSHException)
WINDOW = 8 * 1024 * 1024  # bytes a server may send before it waits for us
PACKET = 32 * 1024

logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # it would write file names and the server's own words


@dataclass(frozen=True, slots=True)
class Account:
    """Where a partner is and who we are there.

    host_key: see `host_keys.pins`. private_key: the text of an Ed25519, ECDSA or RSA key, of OpenSSH or PEM;
    key_file: where it stands instead. password: instead of a key, or after it where a server wants both.
    drop_folder: where our files go. pickup_folder: where the answers are.
    """

    host: str
    username: str
    host_key: str
    drop_folder: str
    pickup_folder: str
    port: int = 22
    private_key: str = field(default="", repr=False)
    key_file: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for TCP; for the first words and keys, each; for the login; for each answer; for one whole call."""

    connect_s: float = 10.0
    handshake_s: float = 15.0
    login_s: float = 20.0
    answer_s: float = 30.0
    call_s: float = 120.0  # so that an upload and its rename end before the lease of their row does
    keepalive_s: int = 15


def connect(account: Account, patience: Patience) -> paramiko.Transport:
    """Return a connection that is logged in, to the server whose key is pinned and no other.

    Raises:
        Misconfigured: codes "sftp:host_key", "sftp:pin", "sftp:key", "sftp:auth", "sftp:algorithms",
            "sftp:egress".
        Transient: codes "sftp:unreached", "sftp:handshake".
    """
    pins, key = _pins(account.host_key), _private_key(account)
    transport = paramiko.Transport(
        _socket(account, patience), default_window_size=WINDOW, default_max_packet_size=PACKET
    )
    try:
        _shake_hands(transport, pins, patience)
        _log_in(transport, account, key, patience)
    except BaseException:
        hang_up(transport)
        raise
    transport.set_keepalive(patience.keepalive_s)
    return transport


def hang_up(transport: paramiko.Transport) -> None:
    """End a connection at once: the library alone would wait until its thread looks up, a tenth of a second."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def _socket(account: Account, patience: Patience) -> socket.socket:
    try:
        return egress.connected((account.host.strip("[]"), account.port), patience.connect_s)
    except egress.Forbidden as error:
        raise Misconfigured(str(error), code=f"{PARTNER}:egress") from None
    except (OSError, ValueError, OverflowError):
        raise Transient("not reached", code=f"{PARTNER}:unreached") from None


def _shake_hands(transport: paramiko.Transport, pins: list[host_keys.Pin], patience: Patience) -> None:
    transport.banner_timeout = transport.handshake_timeout = patience.handshake_s
    transport.auth_timeout, transport.channel_timeout = patience.login_s, patience.answer_s
    transport.clear_to_send_timeout = patience.answer_s
    try:
        if wanted := host_keys.algorithms(pins):
            transport.get_security_options().key_types = wanted
        transport.start_client(timeout=2 * patience.handshake_s)
        shown = transport.get_remote_server_key().asbytes()
    except IncompatiblePeer:
        raise Misconfigured(
            "no host key of the pinned type, or no common cipher", code=f"{PARTNER}:algorithms"
        ) from None
    except ValueError:  # a type the library does not know
        raise _wrong_pin() from None
    except LOST:
        raise Transient("reached, but it does not speak SSH with us", code=f"{PARTNER}:handshake") from None
    if not any(pin.fits(shown) for pin in pins):
        raise Misconfigured("the server shows another host key than the pinned one", code=f"{PARTNER}:host_key")


def _log_in(transport: paramiko.Transport, account: Account, key: paramiko.PKey | None, patience: Patience) -> None:
    until_s = time.monotonic() + patience.login_s
    steps: list[Callable[[], list[str]]] = []
    if key is not None:
        steps.append(lambda: transport.auth_publickey(account.username, key))
    if account.password:
        steps.append(lambda: transport.auth_password(account.username, account.password))
    try:
        for step in steps:
            if transport.is_authenticated():
                return
            step()
    except paramiko.AuthenticationException:  # the library's word for a server that hangs up or says nothing, too
        if not transport.is_active() or time.monotonic() >= until_s:
            raise _not_logged_in() from None
        raise Misconfigured("the login was refused", code=f"{PARTNER}:auth") from None
    except LOST:
        raise _not_logged_in() from None
    if not transport.is_authenticated():
        raise Misconfigured("the login needs a key or a password more", code=f"{PARTNER}:auth")


def _not_logged_in() -> Transient:
    return Transient("no answer to the login", code=f"{PARTNER}:handshake")


def _pins(text: str) -> list[host_keys.Pin]:
    try:
        return host_keys.pins(text)
    except ValueError:
        raise _wrong_pin() from None


def _wrong_pin() -> Misconfigured:
    return Misconfigured("no host key is pinned, or one that cannot be read", code=f"{PARTNER}:pin")


def _private_key(account: Account) -> paramiko.PKey | None:
    """Return our own key, None: we have a password only."""
    try:
        text = account.private_key or _text_of(account.key_file)
    except (OSError, ValueError):
        raise _wrong_key() from None
    return _read_key(text, account.passphrase) if text else None


def _read_key(text: str, passphrase: str) -> paramiko.PKey:
    """Read it with the library that knows all formats, since paramiko reads PKCS#8 in none."""
    load = load_ssh_private_key if "OPENSSH" in text else load_pem_private_key
    for secret in (passphrase.encode(), None):  # a passphrase that the key does not need harms nobody
        with suppress(*UNREADABLE_KEY):
            key: Any = load(text.encode(), secret or None)
            plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
            kind = next(ours for theirs, ours in KEY_KINDS.items() if isinstance(key, theirs))
            return kind.from_private_key(StringIO(plain))
    raise _wrong_key()


def _text_of(path: str) -> str:
    if not path:
        return ""
    with open(path, encoding="ascii") as file:
        return file.read()


def _wrong_key() -> Misconfigured:
    return Misconfigured("our own key cannot be read with this passphrase", code=f"{PARTNER}:key")
