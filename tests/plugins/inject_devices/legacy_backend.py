"""A backend as it was written before: it lists devices of its own over HTTP and a WebSocket, and has none here.

legacy_backend.py SOCKET      with the standard library alone; in a container, it sees no camera and no network
"""

import base64
import gzip
import hashlib
import json
import os
import socketserver
import sys
import time

DEVICES = [{"serial": "A1", "label": "front door"}, {"id": "printer", "label": "a printer"}]


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            path = head.split()[1].decode()
            fields = {
                n.strip().lower(): v.strip()
                for n, _, v in (line.partition(":") for line in head.decode().split("\r\n")[1:])
            }
            if fields.get("upgrade") == "websocket":
                self.websocket(fields)
                return
            self.answer(path, fields)

    def answer(self, path, fields):
        body = json.dumps({"devices": DEVICES, "network": os.listdir("/sys/class/net")}).encode()
        more = ""
        if path == "/api/packed":
            body, more = gzip.compress(body), "Content-Encoding: gzip\r\n"
        kind = "text/plain" if path == "/api/text" else "application/json"
        if path == "/api/large":
            body = json.dumps({"devices": DEVICES, "x": "x" * 3_000_000}).encode()
        head = (
            f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nETag: "backend"\r\n{more}\r\n'
        )
        self.wfile.write(head.encode() + body)

    def websocket(self, fields):
        proof = base64.b64encode(
            hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        )
        self.wfile.write(
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + proof
            + b"\r\n\r\n"
        )
        for message in ({"type": "hello"}, {"type": "devices", "payload": {"devices": DEVICES}}):
            data = json.dumps(message).encode()
            assert len(data) < 65536
            length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
            self.wfile.write(b"\x81" + length + data)
        time.sleep(60)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


Server(sys.argv[1], Handler).serve_forever()
