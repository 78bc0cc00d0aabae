"""Holds the framing however the network cuts it, and the client against real sockets that misbehave."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import Transient, Unknown
from integrations.hl7.mllp import Deframer, FrameTooLong, MllpClient, frame

PATIENT_S, SHORT_S = 5.0, 0.3  # short only where an answer does not come in time
BODY = b"MSH|^~\\&|LIS\rOBX|1\r"
PART = st.binary(max_size=12)
STREAM = st.lists(
    st.one_of(PART, PART.map(frame), st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"\x0bMSH|"])), max_size=8
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def feed_all(deframer: Deframer, pieces: list[bytes]) -> list[bytes]:
    return [found for piece in pieces for found in deframer.feed(piece)]


@given(STREAM, st.lists(st.integers(min_value=0), max_size=20))
def test_the_frames_are_the_same_however_the_stream_is_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    whole, pieces = Deframer(), Deframer()
    expected = whole.feed(stream)
    assert feed_all(pieces, cut(stream, places)) == expected
    assert (pieces.pending, pieces.skipped) == (whole.pending, whole.skipped)


@given(st.lists(st.binary().filter(lambda body: not set(body) & {0x0B, 0x1C}), max_size=5))
def test_what_is_framed_comes_out_again(bodies: list[bytes]) -> None:
    assert Deframer().feed(b"".join(frame(body) for body in bodies)) == bodies


def test_bytes_between_frames_are_dropped_and_counted() -> None:
    deframer = Deframer()
    assert deframer.feed(b"hello\r\n" + frame(BODY) + b"\r\n" + frame(BODY)) == [BODY, BODY]
    assert deframer.skipped == len(b"hello")
    assert not deframer.pending


def test_a_message_that_broke_off_is_dropped_when_the_sender_begins_again() -> None:
    deframer = Deframer()
    assert deframer.feed(b"\x0bMSH|^~\\&|broken" + frame(BODY)) == [BODY]
    assert deframer.skipped == len(b"\x0bMSH|^~\\&|broken")


def test_the_control_characters_inside_a_text_are_kept() -> None:
    body = b"MSH|^~\\&|LIS\rOBX|1|TX|a\x0bb\x1cc|\r"
    assert Deframer().feed(frame(body)) == [body]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_message_up_to_the_limit_is_taken_and_one_byte_more_is_not(size: int) -> None:
    body = b"x" * 100
    pieces = [frame(body)[start : start + size] for start in range(0, 103, size)]
    fits, too_small = Deframer(100), Deframer(99)
    assert feed_all(fits, pieces) == [body]
    with pytest.raises(FrameTooLong):
        feed_all(too_small, pieces)


def test_an_endless_message_is_refused_before_it_fills_the_memory() -> None:
    deframer = Deframer(1000)
    deframer.feed(b"\x0b" + b"x" * 900)
    with pytest.raises(FrameTooLong):
        deframer.feed(b"x" * 900)


def test_messages_before_one_that_is_too_long_still_come() -> None:
    deframer = Deframer(100)
    assert deframer.feed(frame(BODY) + b"\x0b" + b"x" * 200) == [BODY]
    with pytest.raises(FrameTooLong):
        deframer.feed(b"")


def test_a_large_message_in_small_pieces_takes_linear_time() -> None:
    deframer, body = Deframer(), b"x" * 2_000_000
    data = frame(body)
    found = [done for start in range(0, len(data), 500) for done in deframer.feed(data[start : start + 500])]
    assert found == [body]


Behaviour = Callable[[socket.socket], None]


class Peer(socketserver.ThreadingTCPServer):
    """Treats each connection as `behaviour` says."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.accepted = 0
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self.accepted += 1
        self.behaviour(request)


@pytest.fixture
def peers() -> Iterator[Callable[[Behaviour], Peer]]:
    running: list[Peer] = []

    def start(behaviour: Behaviour) -> Peer:
        peer = Peer(behaviour)
        threading.Thread(target=peer.serve_forever, args=(0.02,), daemon=True).start()
        running.append(peer)
        return peer

    yield start
    for peer in running:
        peer.shutdown()
        peer.server_close()


def client(peer: Peer, timeout_s: float = PATIENT_S) -> MllpClient:
    return MllpClient("127.0.0.1", peer.server_address[1], timeout_s=timeout_s)


def answer_each(connection: socket.socket) -> None:
    """Acknowledge every message by its length, in two pieces."""
    deframer = Deframer()
    while data := connection.recv(65_536):
        for body in deframer.feed(data):
            answer = frame(b"ACK %d" % len(body))
            connection.sendall(answer[:3])
            connection.sendall(answer[3:])


def test_each_message_gets_its_own_answer_over_one_connection(peers: Callable[[Behaviour], Peer]) -> None:
    peer = peers(answer_each)
    with client(peer) as sender:
        assert [sender.send(b"x" * size) for size in (1, 200_000, 3)] == [b"ACK 1", b"ACK 200000", b"ACK 3"]
    assert peer.accepted == 1


@pytest.mark.parametrize("host", ["lab..example", ".example", "x" * 64 + ".example", "lab\0"])
def test_a_name_that_no_host_can_have_is_transient(host: str) -> None:
    with pytest.raises(Transient), MllpClient(host, 9) as sender:
        sender.send(BODY)


def test_a_peer_that_is_not_there_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Transient) as raised:
            MllpClient("127.0.0.1", taken.getsockname()[1], timeout_s=1.0).send(BODY)
    assert raised.value.code == "mllp:unreached"


def hang(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def hang_up(connection: socket.socket) -> None:
    connection.recv(65_536)


def trickle(connection: socket.socket) -> None:
    connection.recv(65_536)
    for _ in range(400):
        connection.sendall(b"\x0bnever ending")
        threading.Event().wait(0.05)


@pytest.mark.parametrize(
    ("behaviour", "code", "timeout_s"),
    [(hang, "timeout", SHORT_S), (hang_up, "lost", PATIENT_S), (trickle, "timeout", SHORT_S)],
)
def test_a_message_without_an_answer_is_unknown(
    peers: Callable[[Behaviour], Peer], behaviour: Behaviour, code: str, timeout_s: float
) -> None:
    with client(peers(behaviour), timeout_s) as sender, pytest.raises(Unknown) as raised:
        sender.send(BODY)
    assert raised.value.code == f"mllp:{code}"


def answer_once(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(frame(b"ACK"))


def test_a_connection_that_the_peer_closed_is_opened_anew(peers: Callable[[Behaviour], Peer]) -> None:
    peer = peers(answer_once)
    with client(peer) as sender:
        assert sender.send(BODY) == b"ACK"
        assert select.select([sender._connection], [], [], 10)[0], "the peer has hung up"
        assert sender.send(BODY) == b"ACK"
    assert peer.accepted == 2


def test_a_late_answer_is_never_taken_for_the_next_messages(peers: Callable[[Behaviour], Peer]) -> None:
    given_up, said = threading.Event(), threading.Event()

    def late_then_right(connection: socket.socket) -> None:
        connection.recv(65_536)
        if not said.is_set():
            given_up.wait(10)
            with suppress(OSError):  # nobody listens any more
                connection.sendall(frame(b"ACK of the first"))
            said.set()
            connection.recv(65_536)
        connection.sendall(frame(b"ACK of the second"))

    with client(peers(late_then_right), SHORT_S) as sender:
        with pytest.raises(Unknown):
            sender.send(BODY)
        given_up.set()
        assert said.wait(10)
        sender._timeout_s = PATIENT_S
        assert sender.send(BODY) == b"ACK of the second"


def test_tls_with_a_peer_that_speaks_plain_is_transient(peers: Callable[[Behaviour], Peer]) -> None:
    peer = peers(lambda connection: connection.sendall(b"plain text, no handshake\r\n"))
    context = ssl.create_default_context()
    with pytest.raises(Transient):
        MllpClient("127.0.0.1", peer.server_address[1], timeout_s=1.0, tls=context).send(BODY)
