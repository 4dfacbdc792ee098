"""Other people's BitTorrent software on test hosts: each client can seed(…) and get(…), opentracker tracks.

Every client is told the same: listen on this address and port, no DHT, no local discovery, no peer exchange (unless it is what is
tried), no uTP, plain connections. `get` ends by itself when the torrent is whole, with 0 or by the signal that it sends itself."""
import json
import os
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import bencode
import case
from process import Process, clean_environment

PORT = 6881
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = '/usr/bin/python3'


class Place:
    """Where a client listens, whether it exchanges peers and speaks to a UDP tracker."""

    def __init__(self, ip, six=False, port=PORT, pex=False, udp=False):
        self.ip, self.six, self.port, self.pex, self.udp = ip, six, port, pex, udp


class Client:
    """A client by name. `data` is the folder that holds the torrent's content, `folder` where content is saved, `torrent` a .torrent
    or a magnet link; `six`: on the host's IPv6 address only."""
    name = tool = None
    makes_empty_files = True
    tells_peers_after = 15      # s after it met somebody, by peer exchange

    def available(self):
        """Why it cannot run here, or nothing."""
        return None if shutil.which(self.tool) else self.tool + ' is not installed'

    def seed(self, host, work, torrent, data, **where):
        return self._start(host, work, 'seed', torrent, data, **where)

    def get(self, host, work, torrent, folder, **where):
        os.makedirs(folder, exist_ok=True)
        return self._start(host, work, 'get', torrent, folder, **where)

    def _start(self, host, work, mode, torrent, folder, six=False, **how):
        own = os.path.join(work, '%s-%s-%s' % (self.name, mode, host.name))
        shutil.rmtree(own, ignore_errors=True)  # a client's memory of an earlier torrent is no part of this one
        clean = clean_environment(own)
        argv = self.argv(Place(host.ip6 if six else host.ip4, six, **how), own, mode, torrent, folder)
        return Process(host, argv, name='%s %s' % (self.name, mode), env=clean, cwd=own)


class Aria2(Client):
    name, tool = 'aria2', 'aria2c'
    tells_peers_after = 60

    def argv(self, at, own, mode, torrent, folder):
        return ['aria2c', '--no-conf', '-d', folder, '--listen-port=%d' % at.port, '--interface=' + at.ip, '--bt-external-ip=' + at.ip,
                '--disable-ipv6=' + yes(not at.six), '--enable-dht=' + yes(at.udp), '--enable-dht6=false', '--bt-enable-lpd=false',
                '--dht-listen-port=%d' % at.port, '--dht-file-path=' + os.path.join(own, 'dht.dat'),   # its UDP tracker needs a DHT, which knows nobody
                '--enable-peer-exchange=' + yes(at.pex), '--bt-tracker-interval=2',
                '--bt-tracker-timeout=5', '--bt-tracker-connect-timeout=5', '--file-allocation=none', '--summary-interval=0',
                '--show-console-readout=false', '--console-log-level=notice', '--seed-ratio=0.0',
                *(['--bt-seed-unverified=true'] if mode == 'seed' else ['--seed-time=0']), torrent]


class Libtorrent(Client):
    name = 'libtorrent'

    def available(self):
        return None if subprocess.run([PYTHON, '-c', 'import libtorrent'], capture_output=True).returncode == 0 else 'python3-libtorrent is not installed'

    def seed_to(self, host, work, torrent, data, peer):
        """A seed that connects to this (address, port) by itself, and exchanges no peers."""
        own = os.path.join(work, 'libtorrent-seed-to-' + host.name)
        argv = self.argv(Place(host.ip4, pex=True), own, 'seed', torrent, data)
        return Process(host, [*argv, peer[0], str(peer[1])], name='libtorrent seed', env=clean_environment(own), cwd=own)

    def argv(self, at, own, mode, torrent, folder):
        return [PYTHON, os.path.join(HERE, 'libtorrent_client.py'), mode, torrent, folder, at.ip, str(at.port)]


class Transmission(Client):
    name = tool = 'transmission-cli'
    makes_empty_files = False  # 3.00 opens a file when its first byte comes
    tells_peers_after = 90

    def argv(self, at, own, mode, torrent, folder):
        finished = os.path.join(own, 'finished.sh')
        with open(finished, 'w') as f:
            f.write('#!/bin/sh\nkill -TERM $PPID\n')
        os.chmod(finished, 0o755)
        off = ('dht', 'lpd', 'utp', 'port-forwarding', 'rpc', *(() if at.pex else ('pex',)))
        settings = {'bind-address-ipv6' if at.six else 'bind-address-ipv4': at.ip, 'peer-port': at.port, 'encryption': 0, 'preallocation': 0, **{name + '-enabled': False for name in off}}
        with open(os.path.join(own, 'settings.json'), 'w') as f:
            json.dump(settings, f)
        return ['transmission-cli', '-g', own, '-w', folder, '-p', str(at.port), torrent, *(['-f', finished] if mode == 'get' else [])]


class Rtorrent(Client):
    name = tool = 'rtorrent'
    tells_peers_after = 240

    def argv(self, at, own, mode, torrent, folder):
        # It refuses to be bound to an IPv6 address, but uses both families while it is bound to none.
        lines = ['system.daemon.set = true', 'directory.default.set = "%s"' % folder, 'session.path.set = ' + own,
                 'network.port_range.set = %d-%d' % (at.port, at.port), *([] if at.six else ['network.bind_address.set = ' + at.ip]),
                 'dht.mode.set = off', 'protocol.pex.set = ' + ('yes' if at.pex else 'no'), 'trackers.use_udp.set = yes', 'load.start = "%s"' % torrent]
        if mode == 'get':
            lines.append('method.set_key = event.download.finished, quit, "execute.nothrow = sh, -c, (cat,\\"kill \\",(system.pid))"')
        with open(os.path.join(own, 'rc'), 'w') as f:
            f.write('\n'.join(lines) + '\n')
        return ['rtorrent', '-n', '-o', 'import=' + os.path.join(own, 'rc')]


CLIENTS = {c.name: c for c in (Aria2(), Libtorrent(), Transmission(), Rtorrent())}


def yes(value):
    return 'true' if value else 'false'


def chosen(default='aria2,libtorrent'):
    """The clients that SWARM_CLIENTS names, separated by commas, or `all`."""
    names = os.environ.get('SWARM_CLIENTS', default)
    return list(CLIENTS.values()) if names == 'all' else [CLIENTS[n] for n in names.split(',')]


class Opentracker:
    """opentracker on a host, for these info-hashes only (Debian's build refuses all others); listening once constructed."""

    def __init__(self, host, work, infohashes, port=6969):
        if not shutil.which('opentracker'):
            raise case.Skip('opentracker is not installed')
        own = os.path.join(work, 'opentracker-' + host.name)
        root = os.path.join(own, 'root')
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, 'whitelist'), 'w') as f:
            f.write(''.join(h.hex() + '\n' for h in infohashes))
        with open(os.path.join(own, 'conf'), 'w') as f:
            f.write('access.whitelist /whitelist\ntracker.rootdir %s\n' % root)
        self.host, self.announce = host, 'http://%s:%d/announce' % (host.ip4, port)
        self.process = Process(host, ['opentracker', '-i', host.ip4, '-p', str(port), '-P', str(port), '-f', os.path.join(own, 'conf')], name='opentracker')
        case.until(self.listening, 'opentracker listens', 5)

    def listening(self):
        try:
            scrape(self.host, self.announce, bytes(20))
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()


def opentracker_says(*options):
    """What opentracker prints when it is started with options that it refuses."""
    return subprocess.run(['opentracker', *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5).stdout


def scrape(host, announce, infohash):
    """(complete, incomplete) of one torrent at any HTTP tracker, asked from a host; (0, 0) when it knows nothing."""
    url = urllib.parse.urlsplit(announce)
    query = urllib.parse.quote_from_bytes(infohash, safe='')
    body = http_get(host, (url.hostname, url.port), '/scrape?info_hash=' + query)
    row = bencode.decode(body).get(b'files', {}).get(infohash, {}) if body.startswith(b'd') else {}
    return row.get(b'complete', 0), row.get(b'incomplete', 0)


def http_get(host, address, path):
    """The body of a GET, by a socket of that host."""
    with host.connect(address, timeout=5) as s:
        s.sendall(b'GET %s HTTP/1.0\r\nHost: %s:%d\r\n\r\n' % (path.encode(), address[0].encode(), address[1]))
        reply = b''
        while piece := s.recv(65536):
            reply += piece
    head, _, body = reply.partition(b'\r\n\r\n')
    return body


def mktorrent(path, into, announce, piece_bits=18):
    """A .torrent of a file or folder, made by mktorrent."""
    if not shutil.which('mktorrent'):
        raise case.Skip('mktorrent is not installed')
    subprocess.run(['mktorrent', '-l', str(piece_bits), '-a', announce, '-o', into, path], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return into


def transmission_create(path, into, announce, piece_kib=256):
    """A .torrent made by transmission-create."""
    if not shutil.which('transmission-create'):
        raise case.Skip('transmission-create is not installed')
    subprocess.run(['transmission-create', '-s', str(piece_kib), '-t', announce, '-o', into, path], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return into


def libtorrent_create(path, into, announce, piece_bytes=256 << 10):
    """A .torrent made by libtorrent, with the padding files of BEP 47 between the files."""
    code = """if True:
        import libtorrent as lt, os, sys
        path, into, announce, piece_bytes = sys.argv[1:]
        files = lt.file_storage()
        lt.add_files(files, path)
        made = lt.create_torrent(files, int(piece_bytes), flags=lt.create_torrent.v1_only | lt.create_torrent.canonical_files)
        made.add_tracker(announce)
        lt.set_piece_hashes(made, os.path.dirname(path))
        open(into, 'wb').write(lt.bencode(made.generate()))"""
    subprocess.run([PYTHON, '-c', code, path, into, announce, str(piece_bytes)], check=True)
    with open(into, 'rb') as f:
        case.check(os.path.isfile(path) or b'4:.pad' in f.read(), 'libtorrent made no padding files')
    return into


def infohashes(torrent):
    """{tool: info-hash} of a .torrent, by everybody who tells it."""
    found = {'libtorrent': infohash(torrent).hex()}
    for tool, argv, label in (('aria2', ['aria2c', '-S', torrent], 'Info Hash:'), ('transmission', ['transmission-show', torrent], 'Hash:')):
        if shutil.which(argv[0]):
            said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
            found[tool] = next(l.split(':')[1].strip() for l in said.splitlines() if l.strip().startswith(label))
    return found


def opened_by_rtorrent(host, work, torrents, seconds=20):
    """The info-hashes under which rTorrent keeps these .torrent files in its session, once it has opened them all."""
    own = os.path.join(work, 'rtorrent-opens')
    env = clean_environment(own)
    with open(os.path.join(own, 'rc'), 'w') as f:
        f.write('\n'.join(['system.daemon.set = true', 'session.path.set = ' + own, 'network.port_open.set = no', 'dht.mode.set = off',
                           'trackers.enable = 0', *('load.normal = "%s"' % t for t in torrents)]) + '\n')
    process = Process(host, ['rtorrent', '-n', '-o', 'import=' + os.path.join(own, 'rc')], name='rtorrent', env=env, cwd=own)
    kept = lambda: {name[:40].lower() for name in os.listdir(own) if name.endswith('.torrent')}
    try:
        case.until(lambda: len(kept()) == len(torrents) or not process.running, 'rTorrent has opened %d torrents' % len(torrents), seconds)
        return kept()
    finally:
        process.kill()


def infohash(torrent):
    """The info-hash of a .torrent by libtorrent's reckoning."""
    code = 'import libtorrent, sys; print(libtorrent.torrent_info(sys.argv[1]).info_hash())'
    return bytes.fromhex(subprocess.run([PYTHON, '-c', code, torrent], check=True, capture_output=True, text=True).stdout.strip())
