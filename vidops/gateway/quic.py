"""QUIC on one UDP socket: which connection a datagram is of, and which may begin (RFC 9000).

Hypercorn's UDP server feeds all connections from one queue, such that one slow application holds up all of them, and
ends with the first mistake in one; its HTTP/3 bounds nothing that is sent. So sockets and connections are ours, on
aioquic's protocol machines; requests are Hypercorn's streams as over TCP. Imported where `http3` is on, and only there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from aioquic.buffer import Buffer  # type: ignore[attr-defined] # it is the one they document
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import Context
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from vidops.gateway import datagrams
from vidops.gateway.bounded import BoundedQuic, settings
from vidops.gateway.datagrams import Address, Local

IDLE_TIMEOUT = 60.0
"""Seconds without a sign of the client after which it has gone."""
OPENING_LIMIT = 64
"""Handshakes at once, beyond which a client has to show that its address is its own before it costs anything."""


def configuration(chain: bytes, key: bytes) -> QuicConfiguration:
    """What new connections are made with, of a certificate's chain and its key in PEM. Raises `ValueError`."""
    # It warns of what peers do wrong; they can do that as often as they like.
    for name in ("quic", "http3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    made = settings(alpn_protocols=H3_ALPN, idle_timeout=IDLE_TIMEOUT)
    # Not by aioquic's reader: it is particular about what stands between certificates.
    made.certificate, *made.certificate_chain = load_pem_x509_certificates(chain)
    probe = Context(is_client=False)
    with contextlib.suppress(UnsupportedAlgorithm):
        private: Any = load_pem_private_key(key, password=None)
        made.private_key = probe.certificate_private_key = private
    if not probe._signature_algorithms_for_private_key():
        raise ValueError("HTTP/3 is served with keys of RSA, P-256, P-384 and Ed25519 alone")
    return made


class Call(Protocol):
    """A connection, seen from its socket."""

    def received(self, data: bytes, address: Address) -> None: ...


class Link:
    """A connection's way to its socket."""

    def __init__(self, endpoint: Endpoint, client: Address, local: Local | None) -> None:
        self.client = (client[0], client[1])
        self.server: tuple[str, int] = (datagrams.host_of(local) or endpoint.host, endpoint.port)
        self._endpoint = endpoint
        self._local = local
        self.routes: set[bytes] = set()

    def send(self, data: bytes, address: Any) -> None:
        self._endpoint.send(data, address, self._local)

    def route(self, name: bytes, call: Call) -> None:
        self._endpoint.route(name, call, self)

    def forget_route(self, name: bytes) -> None:
        self._endpoint.forget_route(name, self)

    def established(self) -> None:
        """The handshake is over."""
        self._endpoint.opening.discard(self)

    def close(self) -> None:
        self._endpoint.forget(self)


Accept = Callable[[BoundedQuic, Link], Call]


class Endpoint:
    """Serves with `configuration`, which may be exchanged; without one, nothing new begins.

    Connections share its socket: after `retire` it is open until the last of them has ended.
    """

    def __init__(self, sock: socket.socket, accept: Accept) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.configuration: QuicConfiguration | None = None
        self.opening: set[Link] = set()
        self.closed = False
        self.sock = sock
        self._accept = accept
        self._calls: dict[bytes, tuple[Call, Link]] = {}
        self._retry = QuicRetryTokenHandler()
        self._on_closed: Callable[[Endpoint], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    def retire(self, closed: Callable[[Endpoint], None]) -> None:
        """Begin nothing more, and call back once the last connection has ended."""
        self.configuration = None
        self._on_closed = closed
        self._close_if_unused()

    def revive(self) -> None:
        """Its address is wanted again. With a configuration, it serves."""
        self._on_closed = None

    def send(self, data: bytes, address: Address, local: Local | None) -> None:
        if not self.closed:
            datagrams.send(self.sock, data, address, local)

    def route(self, name: bytes, call: Call, link: Link) -> None:
        """Datagrams to this connection ID are of that connection."""
        self._calls[name] = call, link
        link.routes.add(name)

    def forget_route(self, name: bytes, link: Link) -> None:
        link.routes.discard(name)
        self._calls.pop(name, None)

    def forget(self, link: Link) -> None:
        """The connection is over."""
        for name in list(link.routes):
            self.forget_route(name, link)
        self.opening.discard(link)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._on_closed is not None and not self._calls and not self.closed:
            self.closed = True
            self._loop.remove_reader(self.sock)
            self.sock.close()
            self._on_closed(self)

    def _read(self) -> None:
        for data, address, local in datagrams.received(self.sock):
            self._datagram(data, address, local)
            if self.closed:
                return

    def _datagram(self, data: bytes, address: Address, local: Local | None) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        except ValueError:
            return  # not QUIC
        found = self._calls.get(header.destination_cid)
        if found is not None:
            found[0].received(data, address)
        elif self.configuration is not None and len(data) >= SMALLEST_MAX_DATAGRAM_SIZE:
            # A client's first datagram is so large that no answer of ours makes more of what it cost its sender.
            self._first(self.configuration, header, data, address, local)

    def _first(
        self, configuration: QuicConfiguration, header: QuicHeader, data: bytes, address: Address, local: Local | None
    ) -> None:
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION or header.version is None:
            return
        if header.version not in configuration.supported_versions:
            versions = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=configuration.supported_versions,
            )
            self.send(versions, address, local)
            return
        if header.packet_type != QuicPacketType.INITIAL:
            return
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=address, destination_cid=header.destination_cid, token=header.token, now=self._loop.time()
                )
            except ValueError:
                return
            retried = header.destination_cid
        elif len(self.opening) >= OPENING_LIMIT:
            self.send(self._try_again(header, address), address, local)
            return
        quic = BoundedQuic(
            configuration=configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        link = Link(self, address, local)
        call = self._accept(quic, link)
        self.opening.add(link)
        for name in (header.destination_cid, quic.host_cid):
            self.route(name, call, link)
        call.received(data, address)

    def _try_again(self, header: QuicHeader, address: Address) -> bytes:
        """A Retry, whose token is good for this address (RFC 9000, 8.1.2)."""
        source = os.urandom(8)
        token = self._retry.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self._loop.time(),
        )
        return encode_quic_retry(
            version=header.version or 0,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
