"""swarm among other clients: {aria2, libtorrent} x {they seed, they fetch} x {single file, folder} x {opentracker, swarm tracker}.

Through opentracker the torrent is mktorrent's; through `swarm tracker` it is the one that swarm made, fetched from the catalogue
by HTTP as any client would. Prints a table; every cell is run and counted. SWARM_CLIENTS names other clients (transmission-cli,
rtorrent), separated by commas, or `all`."""
import os
import urllib.parse

import clients
import case
import content
import hosts
from case import MIB, check, say
from clients import Opentracker, http_get, mktorrent, scrape
from swarm import TRACKER_PORT, Get, Seed, Tracker

SHAPES = ('file', 'folder')
TRACKERS = ('opentracker', 'swarm tracker')
DIRECTIONS = ('swarm seeds', 'swarm fetches')


def main(work):
    others = clients.chosen()
    for o in others:
        if o.available():
            raise case.Skip(o.available())
    sources = {'file': single_file(work), 'folder': folder(work)}
    cells = {}
    with hosts.Lan(2 + len(others), mbit=400) as lan:
        for tracker_kind in TRACKERS:
            for shape in SHAPES:
                scene = Scene(work, lan, tracker_kind, shape, sources[shape])
                cells.update(scene.swarm_seeds(others))
                for o, host in zip(others, lan[2:]):
                    cells.update(scene.swarm_fetches(o, host))
                scene.close()
    table(cells)
    expected = len(TRACKERS) * len(SHAPES) * len(DIRECTIONS) * len(others)
    check(len(cells) == expected, '%d cells ran, %d expected' % (len(cells), expected))
    check(all(not v.startswith('FAILED') for v in cells.values()), 'not every cell is identical')


def single_file(work):
    path = os.path.join(work, 'source', 'sample file.bin')
    content.random_file(path, 24 * MIB)
    return path


def folder(work):
    path = os.path.join(work, 'source', 'a folder')
    for i, name in enumerate(('empty', 'one byte', 'two words', 'café', '日本語', 'deep/er/and deeper/file', 'deep/other', 'last')):
        content.random_file(os.path.join(path, name), (0, 1, 300_000, 262_144, 5, 3 * MIB, 16384, 4 * MIB + 1)[i])
    return path


class Scene:
    """One tracker and one torrent; host 0 tracks, host 1 is swarm's, each other client has its own."""

    def __init__(self, work, lan, tracker_kind, shape, source):
        self.kind, self.shape, self.source = tracker_kind, shape, source
        self.lan, self.work = lan, os.path.join(work, tracker_kind.replace(' ', '-') + '-' + shape)
        os.makedirs(self.work)
        os.chmod(self.work, 0o755)
        self.torrent = os.path.join(self.work, 'content.torrent')
        self.truth = contents(source)
        self.saved = 0
        self.announce = 'http://%s:%d/announce' % (lan[0].ip4, TRACKER_PORT)
        self.tracker = None
        if tracker_kind == 'opentracker':
            mktorrent(source, self.torrent, self.announce)

    def new_tracker(self):
        """A tracker that remembers no peer of the cell before; swarm's keeps its catalogue."""
        self.close()
        if self.kind == 'opentracker':
            self.tracker = Opentracker(self.lan[0], self.work, [clients.infohash(self.torrent)], TRACKER_PORT)
            return {}
        self.tracker = Tracker(self.lan[0], self.work)
        return {'tracker': self.tracker}

    def swarm_seeds(self, others):
        """All the other clients fetch at once."""
        where = self.new_tracker()
        serve_as = ['--torrent', self.torrent] if self.kind == 'opentracker' else []
        seed = Seed(self.lan[1], self.work, self.source, *serve_as, **where)
        if self.kind == 'swarm tracker':
            self.take_torrent(self.tracker.knows(os.path.basename(self.source))['torrent_url'])
        check(clients.infohash(self.torrent).hex() == seed.infohash, 'libtorrent reads another info-hash from the torrent')
        self.seeded()
        gets = [(o, self.folder(), host) for o, host in zip(others, self.lan[2:])]
        gets = [(o, folder, o.get(host, self.work, self.torrent, folder)) for o, folder, host in gets]
        cells = {self.cell('swarm seeds', o): self.result(get, folder) for o, folder, get in gets}
        seed.send(2)
        seed.ends(130)
        return cells

    def swarm_fetches(self, other, host):
        where = self.new_tracker()
        seed = other.seed(host, self.work, self.torrent, os.path.dirname(self.source))
        self.seeded()
        folder = self.folder()
        get = Get(self.lan[1], self.work, self.torrent, folder=folder, **where)
        cells = {self.cell('swarm fetches', other): self.result(get, folder)}
        seed.kill()
        return cells

    def close(self):
        if self.tracker:
            self.tracker.kill()

    def take_torrent(self, url):
        """The .torrent from the catalogue, as a browser would fetch it."""
        parts = urllib.parse.urlsplit(url)
        with open(self.torrent, 'wb') as f:
            f.write(http_get(self.lan[2], (parts.hostname, parts.port), parts.path))

    def seeded(self):
        case.until(self.complete, 'a seed at the tracker', 20)

    def complete(self):
        return scrape(self.lan[0], self.announce, clients.infohash(self.torrent))[0]

    def folder(self):
        self.saved += 1
        path = os.path.join(self.work, 'got-%d' % self.saved)
        os.makedirs(path)
        return path

    def cell(self, direction, other):
        return self.kind, self.shape, direction, other.name

    def result(self, get, folder):
        """'1.9 s', or what went wrong; one wrong cell does not keep the others from being run."""
        try:
            code = get.wait(60)
        except case.Failure as e:
            print(get.last_words())
            get.kill()
            return 'FAILED: %s' % e
        differences = content.same_tree(self.truth, contents(os.path.join(folder, os.path.basename(self.source))))
        if differences or code not in (0, -15):
            print(get.last_words())
            return 'FAILED: exit %d, %s' % (code, '; '.join(differences) or 'identical')
        return '%.1f s' % get.took


def contents(path):
    """tree() of a folder, or the same for one file."""
    return content.tree(path) if os.path.isdir(path) else {b'': content.sha256(path)} if os.path.exists(path) else {}


def table(cells):
    columns = [(s, d) for s in SHAPES for d in DIRECTIONS]
    print('%-14s %-17s' % ('tracker', 'client') + ''.join('%-24s' % ('%s, %s' % c) for c in columns))
    for tracker in TRACKERS:
        for name in [c.name for c in clients.chosen()]:
            row = [cells.get((tracker, s, d, name), 'not run') for s, d in columns]
            print('%-14s %-17s' % (tracker, name) + ''.join('%-24s' % r for r in row))
    say('%d cells' % len(cells))


if __name__ == '__main__':
    case.run(main, bytes_needed=900 * MIB)
