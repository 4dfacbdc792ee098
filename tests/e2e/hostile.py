"""Input meant to harm: torrents, peer messages, announces and JSON bodies. Each gives a clear error or a closed connection; the
process lives on, its memory stays bounded, and nothing is written outside the save folder."""
import json
import os
import resource
import struct
from concurrent.futures import ThreadPoolExecutor

import case
import content
import hosts
from bencode import Torrent, encode
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker
from wire_peer import BITFIELD, HAVE, INTERESTED, PIECE, REQUEST, Closed, Wire, WireReader, WireSeed

GROWTH = 32 * MIB * case.PATIENCE      # what hostile input may cost a process


def main(work):
    with hosts.Local(3) as local:
        bad_torrents(local[0], work)
        escaping_names(local, work)
        planted_links(local, work)
        peer_messages(local, work)
        tracker_requests(local, work)


# Torrents.

def info(**changes):
    base = {'length': 40, 'name': 'a', 'piece length': 16384, 'pieces': bytes(20), **changes}
    return encode({'info': {k: v for k, v in base.items() if v is not None}})


def two_files(a, b):
    return info(length=None, files=[{'length': a, 'path': ['a']}, {'length': b, 'path': ['b']}])


BAD_TORRENTS = {
    'nothing': b'',
    'a list ten million deep': b'l' * 10_000_000,
    'dictionaries without end': b'd1:a' * 200_000,
    'a string of 2^63 bytes': b'9223372036854775808:',
    'a string longer than the file': b'd4:info99999999:abcdef',
    'a number without end': b'd4:infoi' + b'9' * 100_000,
    'a negative length of a string': b'd4:info-5:abcdee',
    'no info': b'd8:announce3:abce',
    'info is a list': b'd4:infolee',
    'piece length 0': info(**{'piece length': 0}),
    'piece length -16384': info(**{'piece length': -16384}),
    'piece length 2^62': info(**{'piece length': 1 << 62}),
    'length -1': info(length=-1),
    'length 2^64': info(length=1 << 64),
    'sizes that overflow 2^63': two_files((1 << 63) - 1, (1 << 63) - 1),
    'a negative size among others': two_files(80, -40),
    'more pieces than bytes': info(pieces=bytes(200)),
    'fewer pieces than bytes': info(length=16384 * 3),
    'a hash cut short': info(pieces=bytes(19)),
    'pieces is a number': info(pieces=7),
    'name is a list': info(name=['a']),
    'a file without a path': info(length=None, files=[{'length': 40}]),
    'files is empty': info(length=None, files=[]),
}


def bad_torrents(host, work):
    ran = 0
    for what, bytes_ in BAD_TORRENTS.items():
        path = os.path.join(work, 'bad.torrent')
        with open(path, 'wb') as f:
            f.write(bytes_)
        got = os.path.join(work, 'bad')
        s = Swarm(host, ['get', path, '-d', got, '--wait', '1s', '--port', '0'], work=work, json_lines=False)
        case.check(s.wait(10) == 6, '%s: exit %s instead of 6' % (what, s._p.returncode), s.err[-500:])
        check('bad.torrent' in s.err and not s.stdout, '%s: the message does not name the file' % what, s.err)
        check(s.took < 5 * case.PATIENCE, '%s took %.1f s' % (what, s.took))
        case.witnesses.remove(s)
        ran += 1
    check(ran == 23, '%d bad torrents ran' % ran)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    check(peak < 160 * MIB * case.PATIENCE, 'a bad torrent cost %d MiB' % (peak // MIB))
    say('%d bad torrents refused, the dearest at %d MiB' % (ran, peak // MIB))


def escaping_names(local, work):
    """Names that try to leave the save folder: the content arrives whole, inside."""
    data = os.path.join(work, 'source', 'payload.bin')
    content.random_file(data, 200_000)
    with open(data, 'rb') as f:
        payload = f.read()
    half = len(payload) // 2
    split = lambda a, b: {'length': None, 'name': 'folder', 'files': [{'length': half, 'path': a}, {'length': len(payload) - half, 'path': b}]}
    names = [{'name': n} for n in ('../../escape', '/escape', '..', '.', '', 'a/b/../../../../escape', 'nul\0nul', b'\xff\xfe\x80', 'evil\u202egpj.exe', 'x' * 300)]
    names += [split(a, b) for a, b in ((['..', '..', 'escape'], ['ok']), (['/', 'escape'], ['ok']), (['a', '', 'b'], ['.', 'c']),
                                       (['same'], ['same']), (['a'], ['a', 'b']), (['../escape'], ['..\\..\\escape']), (['\x1b[2Jscreen'], ['x' * 300 + '.txt']))]
    ran = 0
    for i, name in enumerate(names):
        arena = os.path.join(work, 'arena-%d' % i)
        folder = os.path.join(arena, 'a', 'b', 'save')
        os.makedirs(folder)
        content.random_file(os.path.join(arena, 'canary'), 10)
        before = content.tree(arena)
        torrent = Torrent(data, 16384, **name)
        file = torrent.save(os.path.join(work, 'escape-%d.torrent' % i))
        seed = WireSeed(local[1], torrent, 0)
        get = Get(local[0], work, file, '--peer', seed.name, '--wait', '10s', folder=folder, port=0)
        code = get.wait(20)
        check(code in (0, 6), '%r: exit %d' % (name, code), get.err[-500:])
        inside = content.tree(folder)
        after = {p: d for p, d in content.tree(arena).items() if not p.startswith(b'a/b/save/')}
        check(after == before and not os.path.lexists('/escape'), '%r wrote outside the save folder' % name, after.keys())
        check(code == 6 or len(inside) == (2 if 'files' in name else 1), '%r arrived as' % name, inside.keys())
        check('\x1b' not in get.err and '\u202e' not in get.err, '%r printed raw' % name)
        seed.close()
        case.witnesses.remove(get)
        ran += 1
    check(ran == 17, '%d names ran' % ran)
    say('%d escaping names: nothing outside the save folder' % ran)


def planted_links(local, work):
    """A link waits in the save folder where the download would write."""
    data = os.path.join(work, 'source', 'linked.bin')
    digest = content.random_file(data, 200_000)
    torrent = Torrent(data, 16384)
    file = torrent.save(os.path.join(work, 'linked.torrent'))
    victim = os.path.join(work, 'victim')
    for link in ('linked.bin.part', 'linked.bin.progress.json', 'linked.bin'):
        folder = os.path.join(work, 'links-' + link)
        os.makedirs(folder)
        before = content.random_file(victim, 5000)
        os.symlink(victim, os.path.join(folder, link))
        seed = WireSeed(local[1], torrent, 0)
        get = Get(local[0], work, file, '--peer', seed.name, '--wait', '10s', folder=folder, port=0)
        code = get.wait(20)
        check(code in (0, 7), 'a planted %s: exit %d' % (link, code), get.err[-500:])
        check(content.sha256(victim) == before, 'a download followed the planted link ' + link)
        check(code != 0 or content.sha256(get.path('linked.bin')) == digest, 'exit 0 without the file')
        seed.close()
    say('planted links: not followed')


# Peers.

def peer_messages(local, work):
    data = os.path.join(work, 'source', 'served.bin')
    content.random_file(data, 4 * MIB)
    torrent = Torrent(data, 65536)
    file = torrent.save(os.path.join(work, 'served.torrent'))
    tracker = Tracker(local[0], work, port=0)
    seed = Seed(local[0], work, data, '--torrent', file, tracker=tracker, port=0)
    address = (local[0].ip4, seed.start['port'])
    before = seed.memory('VmRSS')
    n = len(torrent.hashes)
    attacks = {
        'noise instead of a handshake': ('raw', bytes(range(256)) * 8),
        'a handshake for an unknown torrent': ('raw', b'\x13BitTorrent protocol' + bytes(8) + b'x' * 20 + b'-PY0001-abcdefabcdef'),
        'a prefix of 4 GiB': ('flood', b'\xff\xff\xff\xff'),
        'a prefix of 256 MiB': ('flood', b'\x10\0\0\0\x07'),
        'a bitfield too long': ('message', BITFIELD, bytes((n + 7) // 8 + 1)),
        'a bitfield too short': ('message', BITFIELD, bytes((n + 7) // 8 - 1)),
        'have of a piece that is not': ('message', HAVE, struct.pack('>I', n)),
        'have cut short': ('message', HAVE, b'\0\0'),
        'a request that overflows': ('message', REQUEST, struct.pack('>III', 0, 0xfffffff0, 0x20)),
        'a request past the end': ('message', REQUEST, struct.pack('>III', n - 1, 65536, 16384)),
        'a request of 2 GiB': ('message', REQUEST, struct.pack('>III', 0, 0, 1 << 31)),
        'a request of an unknown piece': ('message', REQUEST, struct.pack('>III', n, 0, 16384)),
        'a piece nobody asked for': ('message', PIECE, struct.pack('>II', 0, 0) + bytes(16384)),
    }
    tolerated = {'a piece nobody asked for'}       # discarded, not punished
    with ThreadPoolExecutor(len(attacks)) as all_at_once:
        closed = dict(zip(attacks, all_at_once.map(lambda a: attack(local[1], address, torrent, *a), attacks.values())))
    for what in attacks:
        check(closed[what] or what in tolerated or 'request' in what, '%s: the connection stays open' % what)
    check(seed.running, 'the seed died')
    storm(local[1], address, torrent)
    grown = seed.memory('VmRSS') - before
    check(grown < GROWTH, 'hostile peers cost %d MiB' % (grown // MIB))
    reader = WireReader(local[2], torrent, address)
    case.until(lambda: len(reader.verified) == n, 'an honest peer is served after %d attacks' % len(attacks), 20)
    reader.close()
    check(not reader.wrong, 'wrong bytes after the attacks')
    seed.send(2)
    seed.ends(130)
    say('%d hostile peers: seed alive, %.1f MiB more, an honest peer served' % (len(attacks) + 1, grown / MIB))


def attack(host, address, torrent, kind, *body):
    """Whether the seed closed the connection within a few seconds."""
    sock = host.connect(address, timeout=3 * case.PATIENCE)
    wire = Wire(sock, torrent.infohash)
    try:
        if kind == 'raw':
            sock.sendall(body[0])
        else:
            wire.send_handshake()
            wire.read_handshake()
            if kind == 'flood':
                sock.sendall(body[0])
                for _ in range(64):
                    sock.sendall(bytes(MIB))
            else:
                wire.send(INTERESTED)
                wire.send(*body)
        while True:
            wire.next()
    except Closed as e:
        return 'timed out' not in str(e)
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        sock.close()


def storm(host, address, torrent):
    """Requests without ever reading an answer: queues must be bounded."""
    sock = host.connect(address, timeout=2)
    wire = Wire(sock, torrent.infohash)
    try:
        wire.send_handshake()
        wire.read_handshake()
        wire.send(INTERESTED)
        request = struct.pack('>IBIII', 13, REQUEST, 0, 0, 16384)
        for _ in range(200):
            sock.sendall(request * 1000)
    except (Closed, OSError):
        pass          # refused or held back: both are an answer
    finally:
        sock.close()


# Tracker.

def http(method, path, body=b'', headers=b''):
    return b'%s %s HTTP/1.1\r\nHost: tracker\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s' % (method, path, len(body), headers, body)


def announce(query):
    return http(b'GET', b'/announce?' + query)


HASH = b'info_hash=' + b'%aa' * 20
ID = b'&peer_id=-PY0001-abcdefabcdef'
ANNOUNCE_API = b'/api/v1/announce'
REQUESTS = {
    'noise': bytes(range(256)) * 40,
    'a line without end': b'GET /' + b'a' * 200_000,
    'headers without end': b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 50_000,
    'two lengths': b'POST /api/v1/announce HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n{}',
    'length and chunks': b'POST /api/v1/announce HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a negative length': b'POST /api/v1/announce HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n{}',
    'a length of 2^64': b'POST /api/v1/announce HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n{}',
    'a body of a gigabyte promised': b'POST /api/v1/announce HTTP/1.1\r\nHost: t\r\nContent-Length: 1073741824\r\n\r\n' + b'x' * MIB,
    'no JSON': http(b'POST', ANNOUNCE_API, b'<html>'),
    'half of a JSON': http(b'POST', ANNOUNCE_API, b'{"v":1,'),
    'JSON 60,000 deep': http(b'POST', ANNOUNCE_API, b'[' * 60_000),
    'JSON of the wrong kind': http(b'POST', ANNOUNCE_API, b'[1,2,3]'),
    'JSON with odd values': http(b'POST', ANNOUNCE_API, json.dumps({'node': -1, 'name': {}, 'port': 1e300, 'torrents': [None, 'x', {'infohash': 'zz'}]}).encode()),
    'JSON that is no UTF-8': http(b'POST', ANNOUNCE_API, b'{"name":"\xff\xfe"}'),
    'an unknown call': http(b'GET', b'/api/v1/nothing'),
    'an unknown method': http(b'BREW', b'/api/v1/hello'),
    'a file that climbs': http(b'GET', b'/t/..%2f..%2f..%2fetc%2fpasswd'),
    'a put that climbs': http(b'PUT', b'/api/v1/files/..%2f..%2fescape', b'd4:infodee'),
    'a put of no torrent': http(b'PUT', b'/api/v1/files/x', b'<html>'),
    'a put of a hostile torrent': http(b'PUT', b'/api/v1/files/x', b'l' * MIB),
    'no info-hash': announce(b'port=1' + ID),
    'an info-hash of 19 bytes': announce(b'info_hash=' + b'%aa' * 19 + ID + b'&port=1&left=0'),
    'port 0': announce(HASH + ID + b'&port=0&left=0'),
    'port 70000': announce(HASH + ID + b'&port=70000&left=0'),
    'a broken escape': announce(b'info_hash=%zz%'),
    'a query of 100 KB': announce(HASH + ID + b'&port=1&left=0&x=' + b'y' * 100_000),
}
REFUSED = (b' 400', b' 401', b' 403', b' 404', b' 405', b' 411', b' 413', b' 414', b' 415', b' 422', b' 431', b' 501', b'failure reason')


def tracker_requests(local, work):
    tracker = Tracker(local[0], os.path.join(work, 'hostile'), port=0)
    address = (tracker.ip, tracker.port)
    before = tracker.memory('VmRSS')
    for what, request in REQUESTS.items():
        reply = ask(local[1], address, request)
        head = reply[:200]
        check(not reply or any(r in head.split(b'\r\n')[0] or r in reply for r in REFUSED), '%s: answered with' % what, head)
        check(b'root:' not in reply and tracker.running, '%s: the tracker died or leaked a file' % what)
        hello = ask(local[2], address, http(b'GET', b'/api/v1/hello'))
        check(b' 200' in hello.split(b'\r\n')[0], 'after %s the tracker does not answer' % what, hello[:200])
    check(tracker.status()['files'] == [], 'something hostile is in the catalogue')
    check(not os.path.exists(os.path.join(work, 'escape')), 'the tracker wrote outside its state folder')
    grown = tracker.memory('VmRSS') - before
    check(grown < GROWTH, 'hostile requests cost %d MiB' % (grown // MIB))
    tracker.send(15)
    tracker.ends(143)
    say('%d hostile requests: tracker alive, %.1f MiB more' % (len(REQUESTS), grown / MIB))


def ask(host, address, request):
    """The whole reply, empty when the tracker only closed or waits for more."""
    reply = b''
    with host.connect(address, timeout=1) as s:
        try:
            s.sendall(request)
            while piece := s.recv(65536):
                reply += piece
        except OSError:
            pass
    return reply


if __name__ == '__main__':
    case.run(main)
