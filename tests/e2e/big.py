"""A sparse file of 64 GiB (or what the disk has room for): seeded at once, fetched for a while, killed, resumed without fetching
anything twice, stopped cleanly and resumed again. With SWARM_BIG=1 to its end, compared byte by byte."""
import os
import subprocess

import case
import hosts
from case import BIG, MIB, check, say
from swarm import Get, Seed, Tracker

GIB = 1 << 30
PIECE = 16 * MIB
FETCHED = 24    # pieces before the kill


def main(work):
    disk = os.statvfs(work)
    size = min(64 * GIB, disk.f_bavail * disk.f_frsize * 9 // 10) // PIECE * PIECE - 12345
    with hosts.Local(2) as local:
        data = os.path.join(work, 'source', 'huge.img')
        sparse(data, size)
        tracker = Tracker(local[0], work, port=0)
        seed = Seed(local[0], work, data, '--piece-size', '16M', tracker=tracker, port=0)
        check(seed.start['bytes_total'] == size and seed.start['pieces_total'] == -(-size // PIECE), 'the seed tells other sizes', seed.start)
        said = seed.start['at'] - seed.started
        check(said < 10 * case.PATIENCE, 'the holes of a sparse file were read: %.1f s' % said)
        say('%d GiB in %d pieces seeded after %.1f s' % (size // GIB, seed.start['pieces_total'], said))
        get = Get(local[1], work, 'huge.img', tracker=tracker, port=0)
        get.has_pieces(FETCHED, seconds=60)
        get.kill()
        first = get.good_pieces()

        get = get.again()
        get.has_pieces(FETCHED, besides=first, seconds=60)
        found = {i for e in get.all('piece') if e['ok'] and not e.get('from') for i in range(e['index'], e['index'] + e.get('count', 1))}
        get.send(2)
        get.ends(130, 10)
        check(get.event('start')['pieces_have'] >= len(first), 'the kill cost pieces', get.event('start'), len(first))
        say('killed at %d pieces, resumed with %d, went on to %d' % (len(first), get.event('start')['pieces_have'], len(found | first)))

        get = get.again()
        have = get.event('start', 10)
        check(have['pieces_have'] >= 2 * FETCHED, 'the clean stop cost pieces', have)
        check(have['at'] - get.started < 3 * case.PATIENCE, 'a clean stop is resumed at once, not after %.1f s' % (have['at'] - get.started))
        if BIG:
            get.ends(0, 1800)
            check(subprocess.run(['cmp', data, get.path('huge.img')]).returncode == 0, 'not identical')
            say('whole after %.0f s' % get.took)
        else:
            get.send(15)
            get.ends(143, 10)
        check(seed.running, 'the seed has gone')
        check(max(seed.memory(), get.memory()) < 300 * MIB, 'memory grew with the file: %d MiB' % (seed.memory() // MIB))


def sparse(path, size):
    """Holes, with a little data at both ends and around 4 GiB."""
    os.makedirs(os.path.dirname(path))
    with open(path, 'wb') as f:
        for at in (0, 4 * GIB - 500_000, size - 1_000_000):
            f.seek(at)
            f.write(os.urandom(1_000_000))


if __name__ == '__main__':
    case.run(main, bytes_needed=24 * GIB)   # not in memory
