"""swarm among other clients: who x which tracker x who seeds x what x how the torrent is given x IPv4 or IPv6.

Through opentracker the torrents are other people's: transmission-create's for the single file (it leaves empty files out),
mktorrent's for the folder, libtorrent's, with padding files (BEP 47), for the padded folder. What swarm seeds through `swarm tracker`
is fetched from the catalogue by HTTP as any client would, swarm's own torrent or, padded, libtorrent's, and everybody must read the
same info-hash from it.

A cell is one transfer, judged by sha256 of every file. All the cells of a scene (one tracker, one shape, one family, one way in) run
at once, and several scenes at once, each on hosts of its own. Beside the product stands peer exchange alone, in both directions: the
tracker is gone after the first contact. Prints a table; every cell of the product either ran, or cannot be and says why, or was left
to SWARM_BIG=1 (by default magnet links and UDP are tried with the single file), and the three are counted apart. SWARM_CLIENTS names
the clients (aria2, libtorrent, transmission-cli, rtorrent), separated by commas."""
import contextlib
import itertools
import os
import re
import shutil
import subprocess
import threading
import urllib.parse

import clients     # first: it knows where the modules of ../e2e are
import bencode
import case
import content
import hosts
from case import BIG, MIB, check, say
from clients import Opentracker, http_get, libtorrent_create, mktorrent, scrape, transmission_create
from swarm import TRACKER_PORT, Get, Seed, Tracker

TRACKERS = ('opentracker', 'opentracker udp', 'swarm tracker')
SHAPES = ('file', 'folder', 'padded')
FAMILIES = ('ipv4', 'ipv6')
ENTRIES = ('torrent', 'magnet')
DIRECTIONS = ('swarm seeds', 'swarm fetches')
PEX_DIRECTIONS = ('swarm tells', 'swarm is told')
PEX = ('pex', 'file', 'ipv4', 'torrent')
LANES = 8
LOCK = threading.Lock()     # what is not a cell's own: the witnesses, the table


def main(work):
    others = clients.chosen('all')
    for o in others:
        if o.available():
            raise case.Skip(o.available())
    scenes = [s for s in itertools.product(TRACKERS, SHAPES, FAMILIES, ENTRIES) if BIG or is_usual(*s)]
    product = {(*s, d, o.name) for s in itertools.product(TRACKERS, SHAPES, FAMILIES, ENTRIES) for d in DIRECTIONS for o in others}
    product |= {(*PEX, d, o.name) for d in PEX_DIRECTIONS for o in others}
    impossible = {cell: why for cell in product if (why := cannot(*cell))}
    left = {c for c in product - impossible.keys() if c[:4] != PEX and c[:4] not in scenes} | {c for c in product if is_slow(*c) and not BIG}
    waiting = [cell for cell in sorted(product - left - impossible.keys()) if cell[:4] == PEX] + [s for s in scenes if not all(c in impossible for c in product if c[:4] == s)]
    cells, width = {}, max(4, 2 + len(others))  # peer exchange alone needs four hosts
    with hosts.Lan(LANES * width) as lan:
        lanes = [threading.Thread(target=run_lane, args=(work, lan[i * width:(i + 1) * width], others, waiting, cells)) for i in range(LANES)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    table({**{cell: 'cannot' for cell in impossible}, **cells})
    for why in sorted(set(impossible.values())):
        print('cannot: %s (%d of the cells)' % (why, list(impossible.values()).count(why)))
    say('%d cells of %d ran, %d cannot be, %d are left to SWARM_BIG=1' % (len(cells), len(product), len(impossible), len(left)))
    check(cells.keys() == product - impossible.keys() - left, 'other cells ran than were expected', cells.keys() ^ (product - impossible.keys() - left))
    failed = sorted(k for k, v in cells.items() if v.startswith('FAILED'))
    check(not failed, '%d of %d cells failed' % (len(failed), len(cells)), *failed)
    claims_hold(impossible)


def cannot(tracker, shape, family, entry, direction, client):
    """Why there can be no such cell, or nothing."""
    if tracker.startswith('opentracker') and family == 'ipv6':
        return OPENTRACKER_V4


OPENTRACKER_V4 = 'opentracker is built for IPv4 only'


def claims_hold(impossible):
    """Asks the programs of which cannot() claims something: opentracker refuses an IPv6 address with these words."""
    if OPENTRACKER_V4 in impossible.values():
        check(clients.opentracker_says('-i', '::1').count('V4 only'), 'this opentracker may speak IPv6: cannot() has to let it')


def is_usual(tracker, shape, family, entry):
    """The other ways in and to the tracker with one shape."""
    return shape == 'file' or (entry == 'torrent' and tracker != 'opentracker udp')


def is_slow(tracker, shape, family, entry, direction, client):
    """A minute or more passes before most clients exchange peers."""
    return direction == 'swarm is told' and clients.CLIENTS[client].tells_peers_after >= 60


def run_lane(work, lan, others, waiting, cells):
    while True:
        with LOCK:
            if not waiting:
                return
            next = waiting.pop(0)
        if next[:4] == PEX:
            found = {next: pex_only(work, lan, clients.CLIENTS[next[5]], next[4])}
        else:
            with Scene(work, lan, *next, others) as s:
                found = {(*next, *k): v for k, v in s.run().items()}
        with LOCK:
            cells.update(found)


def single_file(path):
    content.random_file(path, 6 * MIB + 77)


def folder(path):
    """Sizes of which no two leave the same padding: libtorrent names it by its length, and rTorrent takes no name twice."""
    for i, name in enumerate(('empty', 'one byte', 'two words', 'café', '日本語', 'deep/er/and deeper/file', 'deep/other', 'deep/nothing', 'last')):
        content.random_file(os.path.join(path, name), (0, 1, 300_000, 262_144, 5, 2 * MIB, 16384, 0, 2 * MIB + 7)[i])


class Scene:
    """One tracker. Everybody fetches what swarm seeds, while swarm fetches from each of them what that one alone seeds. Host 0
    tracks, host 1 is swarm's, each other client has its own."""

    def __init__(self, work, lan, tracker, shape, family, entry, others):
        self.kind, self.shape, self.six, self.entry, self.others = tracker, shape, family == 'ipv6', entry, others
        self.lan, self.work = lan, os.path.join(work, '-'.join((tracker, shape, family, entry)).replace(' ', '-'))
        os.makedirs(self.work)
        os.chmod(self.work, 0o755)
        ip = lan[0].ip6 if self.six else lan[0].ip4
        self.http = 'http://%s/announce' % (('[%s]:%d' if self.six else '%s:%d') % (ip, TRACKER_PORT))
        self.announce = self.http.replace('http:', 'udp:') if tracker == 'opentracker udp' else self.http
        self.running = []
        self.sources = {name: self.source(name) for name in ['ours', *(o.name for o in others)]}
        self.torrents = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self.running):
            p.kill()
        if not os.environ.get('SWARM_KEEP'):
            shutil.rmtree(self.work, ignore_errors=True)    # the whole product's content would fill the memory

    def source(self, name):
        path = os.path.join(self.work, 'source', name + ('.bin' if self.shape == 'file' else ' (folder)'))
        (single_file if self.shape == 'file' else folder)(path)
        return path

    def started(self, process):
        self.running.append(process)
        return process

    def run(self):
        keys = [(d, o.name) for d in DIRECTIONS for o in self.others]
        try:
            return self.transfers()
        except Exception as e:      # of what all cells stand on: none of them is well
            with LOCK:
                print('\n'.join(p.last_words() for p in self.running[-3:]))
            return {k: 'FAILED: %s' % str(e).splitlines()[0] for k in keys}

    def transfers(self):
        self.tracker = self.make_torrents()
        serve_as = ['--torrent', self.torrents['ours']] if 'ours' in self.torrents else []
        where = {'tracker': self.tracker} if self.kind == 'swarm tracker' else {}
        ip = self.lan[1].ip6 if self.six else self.lan[1].ip4
        how = {'six': self.six, 'udp': self.kind == 'opentracker udp'}
        seed = self.started(Seed(self.lan[1], self.work, self.sources['ours'], *serve_as, ip=ip, **where))
        if self.kind == 'swarm tracker':
            self.take_torrent(self.tracker.knows(os.path.basename(self.sources['ours']))['torrent_url'])
        said = clients.infohashes(self.torrents['ours'])
        check(set(said.values()) == {seed.infohash}, 'not everybody reads the info-hash %s' % seed.infohash, said)
        for o, host in zip(self.others, self.lan[2:]):
            self.started(o.seed(host, self.work, self.torrents[o.name], os.path.dirname(self.sources[o.name]), port=clients.PORT + 1, **how))
        self.seeded('ours')
        gets = {}
        for o, host in zip(self.others, self.lan[2:]):
            to = self.folder('%s-got' % o.name)
            gets['swarm seeds', o.name] = o, 'ours', to, self.started(o.get(host, self.work, self.way_in('ours'), to, **how))
        for o in self.others:
            self.seeded(o.name)
            to = self.folder('swarm-got-%s' % o.name)
            gets['swarm fetches', o.name] = None, o.name, to, self.started(
                Get(self.lan[1], self.work, self.way_in(o.name), ip=ip, port=0, folder=to, **where))
        cells = {}
        waiters = [threading.Thread(target=lambda cell=cell, get=get: cells.update({cell: self.result(*get)})) for cell, get in gets.items()]
        for w in waiters:
            w.start()
        for w in waiters:
            w.join()
        return cells

    def make_torrents(self):
        """Of the others' content, and of ours where swarm does not make it (it makes no padding); then the tracker that knows them."""
        make = {'file': transmission_create, 'folder': mktorrent, 'padded': libtorrent_create}[self.shape]
        for name, source in self.sources.items():
            if name != 'ours' or self.kind != 'swarm tracker' or self.shape == 'padded':
                self.torrents[name] = make(source, os.path.join(self.work, name + '.torrent'), self.announce)
                if self.shape == 'padded' and name != 'ours':
                    write_padding(self.torrents[name], source)
        if self.kind == 'swarm tracker':
            return self.started(Tracker(self.lan[0], self.work, ip=self.lan[0].ip6 if self.six else self.lan[0].ip4))
        return self.started(Opentracker(self.lan[0], self.work, [clients.infohash(t) for t in self.torrents.values()], TRACKER_PORT).process)

    def take_torrent(self, url):
        """The .torrent from the catalogue, as a browser would fetch it."""
        parts = urllib.parse.urlsplit(url)
        self.torrents['ours'] = os.path.join(self.work, 'ours.torrent')
        with open(self.torrents['ours'], 'wb') as f:
            f.write(http_get(self.lan[2], (parts.hostname, parts.port), parts.path))

    def way_in(self, name):
        torrent = self.torrents[name]
        if self.entry == 'torrent':
            return torrent
        return 'magnet:?xt=urn:btih:%s&tr=%s' % (clients.infohash(torrent).hex(), urllib.parse.quote(self.announce, safe=''))

    def seeded(self, name):
        hash = clients.infohash(self.torrents[name])
        case.until(lambda: scrape(self.lan[0], self.http, hash)[0], 'a seed of %s at the tracker' % name, 30)

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path)
        return path

    def result(self, client, name, folder, get):
        """'1.9 s', or what went wrong; one wrong cell does not keep the others from being run."""
        try:
            code = get.wait(90)
        except case.Failure as e:
            with LOCK:
                print(get.last_words())
            get.kill()
            return 'FAILED: %s' % e
        truth = contents(self.sources[name])
        if client and not client.makes_empty_files:
            truth = {path: digest for path, digest in truth.items() if digest != EMPTY}
        differences = content.same_tree(truth, contents(os.path.join(folder, os.path.basename(self.sources[name]))))
        if differences or code not in (0, -15):
            with LOCK:
                print(get.last_words())
            return 'FAILED: exit %d, %s' % (code, '; '.join(differences) or 'identical')
        return '%.1f s' % get.took


def pex_only(work, lan, other, direction):
    """The tracker goes once swarm and a client have met there. Then a seed that no tracker knows, and that exchanges no peers itself,
    connects to one of them, whose link is too slow to take the content or to pass it on in time: the other ends soon enough only
    if it is told of the seed by peer exchange (BEP 11)."""
    tracker_host, mine, theirs, third = lan[:4]
    told = direction == 'swarm is told'
    seconds = other.tells_peers_after + 60 if told else 75      # the slow link needs more than twice that
    here = os.path.join(work, ('%s %s' % (direction, other.name)).replace(' ', '-'))
    source = os.path.join(here, 'source', 'pex.bin')
    content.random_file(source, 24 * MIB)
    os.chmod(here, 0o755)
    announce = 'http://%s:%d/announce' % (tracker_host.ip4, TRACKER_PORT)
    torrent = mktorrent(source, os.path.join(here, 'pex.torrent'), announce)
    tracker = Opentracker(tracker_host, here, [clients.infohash(torrent)], TRACKER_PORT)
    to = os.path.join(here, 'got')
    with contextlib.ExitStack() as ends:
        try:
            rate = 'tbf rate %dkbit burst 32k latency 50ms' % (80_000 // seconds)
            for namespace, device in ((theirs.name, 'v0'), (theirs.lan.switch, theirs.port)):
                hosts.run('tc', '-n', namespace, *('qdisc add dev %s root %s' % (device, rate)).split())
                ends.callback(hosts.run, 'tc', '-n', namespace, *('qdisc del dev %s root' % device).split())
            swarm = lambda host, folder: Get(host, here, torrent, '--wait', '%ds' % seconds, folder=folder)
            their = lambda host, folder: other.get(host, here, torrent, folder, pex=True)
            middle = (their if told else swarm)(theirs, os.path.join(here, 'middle'))
            ends.callback(middle.kill)
            case.until(lambda: scrape(tracker_host, announce, clients.infohash(torrent))[1] >= 1, 'who tells at the tracker', 20)
            get = (swarm if told else their)(mine, to)
            ends.callback(get.kill)
            case.until(lambda: scrape(tracker_host, announce, clients.infohash(torrent))[1] >= 2, 'both at the tracker', 20)
            case.until(lambda: are_connected(mine, theirs), 'they have met', 20)
            tracker.kill()
            seed = clients.CLIENTS['libtorrent'].seed_to(third, here, torrent, os.path.dirname(source), (theirs.ip4, clients.PORT))
            ends.callback(seed.kill)
            code = get.wait(seconds)
        except case.Failure as e:
            return 'FAILED: %s' % e
        finally:
            tracker.kill()
        return '%.1f s' % get.took if code in (0, -15) and contents(source) == contents(os.path.join(to, 'pex.bin')) else 'FAILED: exit %d' % code


def are_connected(one, other):
    """Is there an established TCP connection between two hosts? Of a dual-stack socket, ss writes [::ffff:10.77.0.3]:6881."""
    said = subprocess.run(one.command(['ss', '-Htn', 'state', 'established']), capture_output=True, text=True).stdout
    return re.search(re.escape(other.ip4) + r'\]?:', said)


def write_padding(torrent, source):
    """Most clients know nothing of BEP 47: padding is files to them, which a seed must have."""
    with open(torrent, 'rb') as f:
        files = bencode.decode(f.read())[b'info'][b'files']
    for f in files:
        if f[b'path'][0] == b'.pad':
            path = os.path.join(os.fsencode(source), *f[b'path'])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as pad:
                pad.truncate(f[b'length'])


def contents(path):
    """tree() of a folder, without padding, or the same for one file."""
    if os.path.isdir(path):
        return {name: digest for name, digest in content.tree(path).items() if not name.startswith(b'.pad/')}
    return {b'': content.sha256(path)} if os.path.exists(path) else {}


EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'  # sha256 of nothing


def table(cells):
    rows = sorted({k[:4] for k in cells})
    names = sorted({k[5] for k in cells})
    ways = lambda row: PEX_DIRECTIONS if row == PEX else DIRECTIONS
    print('%-38s %-14s' % ('scene', 'direction') + ''.join('%-18s' % n for n in names))
    for row in rows:
        for d in ways(row):
            print('%-38s %-14s' % (', '.join(row), d) + ''.join('%-18s' % cells.get((*row, d, n), '-')[:40] for n in names))


if __name__ == '__main__':
    case.run(main, bytes_needed=900 * MIB)
