"""Bencoding (BEP 3) and the torrents that the tests make themselves, independent of the code under test."""
import hashlib
import os


def encode(value):
    if isinstance(value, int):
        return b'i%de' % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b'%d:%s' % (len(value), value)
    if isinstance(value, list):
        return b'l' + b''.join(map(encode, value)) + b'e'
    pairs = sorted((k.encode() if isinstance(k, str) else k, v) for k, v in value.items())
    return b'd' + b''.join(encode(k) + encode(v) for k, v in pairs) + b'e'


def decode(data):
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError('%d bytes after the end' % (len(data) - end))
    return value


def _decode(data, at):
    kind = data[at:at + 1]
    if kind == b'i':
        end = data.index(b'e', at)
        return int(data[at + 1:end]), end + 1
    if kind in (b'l', b'd'):
        items, at = [], at + 1
        while data[at:at + 1] != b'e':
            item, at = _decode(data, at)
            items.append(item)
        return (items if kind == b'l' else dict(zip(items[::2], items[1::2]))), at + 1
    colon = data.index(b':', at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end], end


class Torrent:
    """The torrent of one file's bytes: its pieces, its info-hash, its bytes as a .torrent. `info` adds or replaces keys of the info
    dictionary (None removes one), so that the same bytes can be offered under any name or as any list of files."""

    def __init__(self, path, piece_bytes, announce=None, **info):
        self.path, self.piece_bytes, self.size = path, piece_bytes, os.path.getsize(path)
        with open(path, 'rb') as f:
            hashes = [hashlib.sha1(f.read(piece_bytes)).digest() for _ in range(0, self.size, piece_bytes)]
        self.hashes = hashes
        info = {'length': self.size, 'name': os.path.basename(path), 'piece length': piece_bytes, 'pieces': b''.join(hashes), **info}
        info = {k: v for k, v in info.items() if v is not None}
        self.infohash = hashlib.sha1(encode(info)).digest()
        self.metainfo = encode({'info': info, **({'announce': announce} if announce else {})})

    def save(self, path):
        with open(path, 'wb') as f:
            f.write(self.metainfo)
        return path

    def pieces(self):
        return range(len(self.hashes))

    def piece_size(self, piece):
        return min(self.piece_bytes, self.size - piece * self.piece_bytes)

    def read(self, piece, begin=0, length=None):
        """The true bytes."""
        with open(self.path, 'rb') as f:
            f.seek(piece * self.piece_bytes + begin)
            return f.read(self.piece_size(piece) - begin if length is None else length)
