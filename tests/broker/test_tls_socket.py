"""Encryption in memory: pieces are read whole, what is sent arrives, and who lies is not heard."""

import socket
import ssl
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client.gathered import GatheredSocket
from broker.security.certificates import Authority
from broker.tls_socket import TlsSocket


class Server:
    """The other end: encrypts and decrypts in memory, so that a test says how its bytes travel."""

    def __init__(self, folder, host="localhost"):
        made = Authority.create()
        issued = Authority(made.certificate, made.key).server([host], 1)
        for name, text in (
            ("ca.crt", made.certificate),
            ("it.crt", issued.certificate),
            ("it.key", issued.key),
        ):
            (folder / name).write_bytes(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "it.crt", folder / "it.key")
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.authority = folder / "ca.crt"
        self.refusal = None

    def agree(self, theirs):
        """Its part of the handshake."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                theirs.sendall(self.outgoing.read())
                if not (came := theirs.recv(2**16)):
                    break
                self.incoming.write(came)
            except ssl.SSLError as error:
                self.refusal = error
                break
        theirs.sendall(self.outgoing.read())

    def sealed(self, *packets):
        """Bytes of packets, each in records of its own."""
        for packet in packets:
            sent = 0
            while sent < len(packet):
                sent += self.tls.write(packet[sent:])
        return self.outgoing.read()

    def opened(self, came):
        self.incoming.write(came)
        plain = b""
        with suppress(ssl.SSLWantReadError):
            while True:
                plain += self.tls.read(2**14)
        return plain


def connected(server, authority=None, host="localhost"):
    """A client's end after the handshake, and the bare socket of the server's."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.settimeout(5.0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority or server.authority)
    client = TlsSocket(ours, context, host)
    answering = threading.Thread(target=server.agree, args=(theirs,))
    answering.start()
    try:
        client.do_handshake()
    except BaseException:
        answering.join()
        ours.close()
        theirs.close()
        raise
    answering.join()
    client.setblocking(False)
    return client, theirs


@pytest.fixture
def ends(tmp_path):
    server = Server(tmp_path)
    client, theirs = connected(server)
    yield client, theirs, server
    client.close()
    theirs.close()


def test_records_that_came_together_are_read_together(ends):
    client, theirs, server = ends
    with pytest.raises(BlockingIOError):
        client.recv(100)
    theirs.sendall(server.sealed(b"one", b"two", b"three" * 10_000))
    assert client.recv(4) == b"onet"
    assert client.pending() > 0
    gathered = GatheredSocket(client)
    assert gathered.recv(2) == b"wo"
    assert gathered.pending() > 0
    rest = b""
    while len(rest) < 50_000:
        rest += gathered.recv(2**16)
    assert rest == b"three" * 10_000
    assert gathered.pending() == 0


def test_a_record_that_is_cut_waits_for_its_rest_without_more_to_read(ends):
    client, theirs, server = ends
    sealed = server.sealed(b"whole", b"rest")
    theirs.sendall(sealed[:-3])
    assert client.recv(100) == b"whole"
    # Whoever loops while something is pending would loop for ever.
    assert client.pending() == 0
    with pytest.raises(BlockingIOError):
        client.recv(100)
    theirs.sendall(sealed[-3:])
    assert client.recv(100) == b"rest"


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 30_000), max_size=8),
    most=st.integers(100, 70_000),
)
def test_whatever_way_bytes_travel_the_same_arrive(tmp_path_factory, sizes, cuts, most):
    cuts = [*cuts, 20_000]
    server = Server(tmp_path_factory.mktemp("server"))
    client, theirs = connected(server)
    packets = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    sealed, received, turn = server.sealed(*packets), b"", 0
    while sealed:
        cut = cuts[turn % len(cuts)]
        theirs.sendall(sealed[:cut])
        sealed, turn = sealed[cut:], turn + 1
        with suppress(BlockingIOError):
            while True:
                received += client.recv(most)
    assert received == b"".join(packets)
    client.close()
    theirs.close()


def test_what_the_system_does_not_take_is_encrypted_once(ends):
    client, theirs, server = ends
    body = bytes(range(256)) * 8192
    gathered = GatheredSocket(client)
    gathered.send(body)
    gathered.flush()
    assert gathered.is_blocked
    gathered.send(b"end")
    received = b""
    while len(received) < len(body) + 3:
        received += server.opened(theirs.recv(2**16))
        gathered.flush()
    assert received == body + b"end"
    assert not gathered.is_blocked


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_an_end_is_an_end(ends, says_goodbye):
    client, theirs, server = ends
    if says_goodbye:
        with suppress(ssl.SSLError):
            server.tls.unwrap()
    theirs.sendall(server.sealed(b"last") if not says_goodbye else server.outgoing.read())
    theirs.close()
    if not says_goodbye:
        assert client.recv(100) == b"last"
    assert client.recv(100) == b""
    assert client.recv(100) == b""


def test_a_second_handshake_does_nothing_even_on_a_broken_connection(ends):
    client, theirs, _ = ends
    theirs.close()
    client.do_handshake()


def test_a_changed_record_is_an_error(ends):
    client, theirs, server = ends
    sealed = bytearray(server.sealed(b"a price"))
    sealed[-1] ^= 1
    theirs.sendall(sealed)
    with pytest.raises(ssl.SSLError):
        client.recv(100)


def test_who_is_not_vouched_for_is_refused_and_hears_why(tmp_path):
    (tmp_path / "other").mkdir()
    server, other = Server(tmp_path), Server(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        connected(server, other.authority)
    assert "UNKNOWN_CA" in str(server.refusal)


def test_a_certificate_for_another_host_is_refused(tmp_path):
    server = Server(tmp_path, host="broker.lab")
    with pytest.raises(ssl.SSLCertVerificationError):
        connected(server)
    assert server.refusal is not None
