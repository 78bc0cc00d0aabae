"""`carerelay send`: an MLLP client; without it nobody could try the listener by hand."""

import argparse
import re
import socket
import ssl
from pathlib import Path

from integrations.hl7.mllp import Deframer, FrameTooLong, frame
from workers.cli import console, files, state
from workers.cli.errors import Refused

CHUNK = 65_536
TLS_PORT = 2576
ACCEPTED = ("AA", "CA")
MESSAGE_START = re.compile(rb"(?=^MSH)", re.MULTILINE)


def run(words: list[str]) -> int:
    options = parser().parse_args(words)
    messages = read_messages(files.existing(options.file))
    port = options.port or default_port(tls=options.tls)
    refused = 0
    with connect(options, port) as connection:
        connection.settimeout(options.timeout)
        deframer = Deframer()
        for message in messages:
            code, text = describe(exchange(connection, deframer, message))
            console.say(f"{code} {text}".rstrip())
            refused += code not in ACCEPTED
    return 1 if refused else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carerelay send",
        description="Send every message of an HL7 v2 file over MLLP and print each acknowledgement. "
        "Exit code 1 when one was not accepted (AE, AR) or not answered.",
    )
    parser.add_argument("file", metavar="FILE.hl7")
    parser.add_argument("--host", default=state.HOST, help="default 127.0.0.1")
    parser.add_argument(
        "--port", type=int, metavar="N", help="default: the listener running here, else 2575 (TLS 2576)"
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS and check the server's certificate")
    parser.add_argument("--ca", metavar="FILE", help="with --tls: trust this certificate instead of the machine's")
    parser.add_argument("--cert", metavar="FILE", help="with --tls: show this certificate of our own")
    parser.add_argument("--key", metavar="FILE", help="with --cert: its private key, where it is not in the same file")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="default 30")
    return parser


def default_port(*, tls: bool) -> int:
    if tls:
        return TLS_PORT
    running = state.read_running(state.state_folder())
    return (running.ports if running else state.chosen_ports(state.settings_of_caller())).mllp


def read_messages(path: Path) -> list[bytes]:
    """Split a file into messages, each with carriage returns between its segments as HL7 wants them."""
    if path.is_dir():
        raise Refused(f"{path} is a folder; `carerelay ingest` takes folders.")
    content = path.read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(b"\x0b\x1c\r")
    parts = MESSAGE_START.split(content.replace(b"\r", b"\n"))
    messages = [part.strip(b"\n\x0b\x1c").replace(b"\n", b"\r") + b"\r" for part in parts if part.startswith(b"MSH")]
    if not messages:
        raise Refused(f"{path.name} holds no HL7 message: no segment starts with MSH.")
    return messages


def connect(options: argparse.Namespace, port: int) -> socket.socket:
    try:
        plain = socket.create_connection((options.host, port), timeout=options.timeout)
        if not options.tls:
            return plain
        trust = ssl.create_default_context(cafile=options.ca and files.existing(options.ca))
        if options.cert:
            trust.load_cert_chain(files.existing(options.cert), options.key and files.existing(options.key))
        return trust.wrap_socket(plain, server_hostname=options.host)
    except ssl.SSLError as error:
        raise Refused(f"{options.host}:{port} was reached, but TLS failed: {error.reason or error}.") from error
    except OSError as error:
        raise Refused(f"Nothing listens at {options.host}:{port}: {error.strerror or error}.") from error


def exchange(connection: socket.socket, deframer: Deframer, message: bytes) -> bytes:
    """Send one message and return the bytes of its acknowledgement."""
    try:
        connection.sendall(frame(message))
        while True:
            chunk = connection.recv(CHUNK)
            if not chunk:
                raise Refused("The listener closed the connection without an acknowledgement.")
            for answer in deframer.feed(chunk):
                return answer
    except FrameTooLong as error:
        raise Refused(f"The answer is no acknowledgement: {error}.") from error
    except TimeoutError as error:
        raise Refused(
            "No acknowledgement in time. Whether the message was stored is unknown; send it again."
        ) from error
    except OSError as error:
        raise Refused(f"The connection broke before the acknowledgement: {error.strerror or error}.") from error


def describe(answer: bytes) -> tuple[str, str]:
    """Return the code of the MSA segment and the rest of it: whose message this answers and the text."""
    for line in answer.replace(b"\n", b"\r").split(b"\r"):
        fields = line.decode("utf-8", "replace").split("|")
        if fields[0] == "MSA" and len(fields) > 1:
            return fields[1], " ".join(field for field in fields[2:4] if field)
    return "no MSA segment in the answer", ""
