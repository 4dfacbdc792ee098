"""A BitTorrent peer (BEP 3, nothing more) in two roles, written from the specification and not from the code under test.

    WireSeed(host, torrent, lie=…)      offers the file and answers requests, with wrong bytes where `lie` says so
    WireReader(host, torrent, address)  asks a peer for each piece that it claims and compares with the truth

Both run in threads of this process, on the test host's sockets. `lie(piece, begin, block)` returns the block to send."""
import hashlib
import os
import socket
import struct
import threading
import time

from case import check

CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE, BITFIELD, REQUEST, PIECE, CANCEL = range(9)
PROTOCOL = b'\x13BitTorrent protocol'
BLOCK = 16384


class Closed(Exception):
    """The other side ended the connection."""


class Wire:
    """Messages over one connection."""

    def __init__(self, sock, infohash):
        self.sock, self.infohash, self.peer_id = sock, infohash, b'-PY0001-' + os.urandom(6).hex().encode()
        self._buffer = bytearray()

    def send_handshake(self):
        self.sock.sendall(PROTOCOL + bytes(8) + self.infohash + self.peer_id)

    def read_handshake(self):
        """The 20 bytes of the other side's peer id."""
        head = self._take(68)
        check(head[:20] == PROTOCOL, 'not a BitTorrent handshake', head[:20])
        check(head[28:48] == self.infohash, 'a handshake for another torrent')
        return head[48:68]

    def send(self, kind, body=b''):
        self.sock.sendall(struct.pack('>IB', 1 + len(body), kind) + body)

    def next(self):
        """(kind, body) of the next message; keep-alives are passed over."""
        while True:
            length = struct.unpack('>I', self._take(4))[0]
            check(length <= 1 << 20, 'a message of %d bytes' % length)
            if length:
                message = self._take(length)
                return message[0], message[1:]

    def _take(self, count):
        while len(self._buffer) < count:
            try:
                received = self.sock.recv(65536)
            except OSError as e:
                raise Closed(str(e))
            if not received:
                raise Closed('end of stream')
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class WireSeed:
    def __init__(self, host, torrent, port=6881, lie=lambda piece, begin, block: block):
        self.torrent, self.lie, self.served = torrent, lie, []   # served: (peer ip, piece, begin)
        self._listener = host.listen(port)
        self.address = self._listener.getsockname()
        self.name = '%s:%d' % self.address
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, peer[0]), daemon=True).start()

    def _serve(self, sock, peer):
        wire = Wire(sock, self.torrent.infohash)
        try:
            wire.read_handshake()
            wire.send_handshake()
            wire.send(BITFIELD, bitfield(len(self.torrent.hashes)))
            while True:
                kind, body = wire.next()
                if kind == INTERESTED:
                    wire.send(UNCHOKE)
                elif kind == REQUEST:
                    piece, begin, length = struct.unpack('>III', body)
                    block = self.lie(piece, begin, self.torrent.read(piece, begin, length))
                    self.served.append((peer, piece, begin))
                    wire.send(PIECE, body[:8] + block)
        except (Closed, OSError, AssertionError):
            pass
        finally:
            sock.close()


class WireReader:
    """Fetches what a peer claims, as it claims it, until closed. `verified` grows; `wrong` must stay empty."""

    def __init__(self, host, torrent, address, first=()):
        self.torrent, self.first = torrent, list(first)     # pieces to ask for before all others
        self.claimed, self.verified, self.wrong = set(), set(), []
        self.unchoked, self.ended = False, None
        self._stop = False
        self._host, self._address = host, address
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop = True
        self._thread.join(5)

    def _run(self):
        while not self._stop:
            try:
                self._session(Wire(self._host.connect(self._address, timeout=1), self.torrent.infohash))
            except (Closed, OSError, AssertionError) as e:
                self.ended = str(e)
                time.sleep(0.05)     # nobody tells when a port begins to listen

    def _session(self, wire):
        asked, blocks, self.unchoked = None, {}, False
        try:
            wire.send_handshake()
            wire.read_handshake()
            wire.send(INTERESTED)
            while not self._stop:
                try:
                    kind, body = wire.next()
                except Closed as e:
                    if 'timed out' in str(e):
                        continue
                    raise
                if kind == BITFIELD:
                    self.claimed |= {i for i in self.torrent.pieces() if body[i // 8] >> (7 - i % 8) & 1}
                elif kind == HAVE:
                    self.claimed.add(struct.unpack('>I', body)[0])
                elif kind == CHOKE:
                    self.unchoked, asked = False, None
                elif kind == UNCHOKE:
                    self.unchoked = True
                elif kind == PIECE:
                    piece, begin = struct.unpack('>II', body[:8])
                    blocks[begin] = body[8:]
                    if piece == asked and sum(map(len, blocks.values())) == self.torrent.piece_size(piece):
                        self._judge(piece, b''.join(blocks[b] for b in sorted(blocks)))
                        asked = None
                if asked is None and self.unchoked:
                    asked = self._next_piece()
                    if asked is not None:
                        blocks = {}
                        size = self.torrent.piece_size(asked)
                        for begin in range(0, size, BLOCK):
                            wire.send(REQUEST, struct.pack('>III', asked, begin, min(BLOCK, size - begin)))
        finally:
            wire.sock.close()

    def _next_piece(self):
        left = self.claimed - self.verified - set(self.wrong)
        return next((p for p in self.first if p in left), None) if left & set(self.first) else min(left, default=None)

    def _judge(self, piece, data):
        right = hashlib.sha1(data).digest() == self.torrent.hashes[piece]
        (self.verified.add if right else self.wrong.append)(piece)


def bitfield(count):
    """All pieces, spare bits zero."""
    bits = (1 << count) - 1
    width = (count + 7) // 8
    return (bits << (width * 8 - count)).to_bytes(width, 'big')
