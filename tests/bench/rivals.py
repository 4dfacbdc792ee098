"""Who is measured: swarm, the floor, and other people's clients set for speed. Each seeds and gets as a process on a test host."""
import os
import re
import subprocess

import clients
from clients import PYTHON, PORT
from process import Process
from swarm import Get, Seed

HERE = os.path.dirname(os.path.abspath(__file__))


class SwarmClient:
    name = 'swarm'
    options = ()

    def available(self):
        return None

    def seed(self, host, work, torrent, data):
        return Seed(host, work, data, '--torrent', torrent, *self.options)

    def get(self, host, work, torrent, folder, prefix=()):
        return Get(host, work, torrent, *self.options, folder=folder, prefix=prefix)


class WithoutSyncs(SwarmClient):
    """swarm whose downloads take every sync for done (no_syncs.cc)."""
    WORDS = {'d': 'fdatasync', 'f': 'fsync', 's': 'syncfs', 'r': 'sync_file_range'}

    def __init__(self, programs, work):
        self.library, self.log = os.path.join(programs, 'no_syncs.so'), os.path.join(work, 'syncs-left-out')

    def get(self, host, work, torrent, folder):
        open(self.log, 'w').close()
        return super().get(host, work, torrent, folder, prefix=('env', 'LD_PRELOAD=' + self.library, 'NO_SYNCS_LOG=' + self.log))

    def left_out(self):
        """What the last download asked for in vain, in words; nothing when its calls go another way."""
        with open(self.log) as f:
            letters = f.read()
        return ', '.join('%d %s' % (letters.count(l), word) for l, word in self.WORDS.items() if l in letters)


class Floor:
    """No protocol: floor.cc. One downloader, which must know where the seed is."""
    name = 'floor'

    def __init__(self, programs):
        self.program = os.path.join(programs, 'floor')

    def available(self):
        return None

    def seed(self, host, work, torrent, data):
        self.at, self.data = host.ip4, data
        seed = Process(host, [self.program, 'send', host.ip4, str(PORT), data], name='floor send')
        seed.line('listening')
        return seed

    def get(self, host, work, torrent, folder):
        os.makedirs(folder, exist_ok=True)
        path, size = os.path.join(folder, os.path.basename(self.data)), os.path.getsize(self.data)
        return Process(host, [self.program, 'get', self.at, str(PORT), path, str(size)], name='floor get')


class Rival:
    """A client of tests/interop with its own words for speed."""

    def seed(self, host, work, torrent, data):
        return super().seed(host, work, torrent, os.path.dirname(data))


class Libtorrent(Rival, clients.Libtorrent):
    name = 'lt'

    def argv(self, at, own, mode, torrent, folder):
        return [PYTHON, os.path.join(HERE, 'tuned_libtorrent.py'), mode, torrent, folder, at.ip, str(at.port)]


class Aria2(Rival, clients.Aria2):
    def argv(self, at, own, mode, torrent, folder):
        words = super().argv(at, own, mode, torrent, folder)
        return [*words[:-1], '--bt-max-peers=0', '--bt-request-peer-speed-limit=1000M', '--disk-cache=64M', '--quiet', words[-1]]


class Rtorrent(Rival, clients.Rtorrent):
    def argv(self, at, own, mode, torrent, folder):
        words = super().argv(at, own, mode, torrent, folder)
        rc = os.path.join(own, 'rc')
        with open(rc) as f:
            ordinary = f.read()
        with open(rc, 'w') as f:
            f.write('throttle.max_uploads.set = 100\npieces.memory.max.set = 8G\nnetwork.send_buffer.size.set = 4M\n'
                    'network.receive_buffer.size.set = 4M\npieces.hash.on_completion.set = no\n' + ordinary)
        return words


class Transmission(Rival, clients.Transmission):
    name = 'transmission'


def everyone(programs):
    """By name, the ones that are measured when they are installed first."""
    return {c.name: c for c in (Floor(programs), SwarmClient(), Libtorrent(), Aria2(), Rtorrent(), Transmission())}


VERSION = {'lt': [PYTHON, '-c', 'import libtorrent; print(libtorrent.__version__)'], 'opentracker': ['dpkg-query', '-W', 'opentracker'],
           'mktorrent': ['mktorrent', '-h'], 'rtorrent': ['rtorrent', '-h'], 'transmission': ['transmission-cli', '--version'],
           **{name: [program, '--version'] for name, program in (('aria2', 'aria2c'), ('iperf3', 'iperf3'), ('dd', 'dd'))}}


def versions(rows):
    """What those in these rows say of themselves, {name: version}."""
    found = {}
    for name in sorted({n for r in rows for n in r['who'].split(' to ')} & set(VERSION)):
        said = subprocess.run(VERSION[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL).stdout
        number = re.search(r'\d+\.\d[\w.~+-]*', said)
        found[name] = number[0].rstrip('.') if number else '?'
    return found
