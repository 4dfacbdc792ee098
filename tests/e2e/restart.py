"""SIGKILL and restart the seed: it serves again at once, without hashing again. SIGKILL and restart the tracker: the transfer
goes on, nodes and catalogue are back."""
import os
import time

import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from swarm import PEER_PORT, Get, Seed, Tracker
from wire_peer import WireReader

SIZE, PIECE = 256 * MIB, 512 << 10


def main(work):
    with hosts.Lan(3, mbit=200) as lan:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(lan[0], work)
        seed = restart_seed(work, lan, data, tracker)
        restart_tracker(work, lan, tracker, seed, digest)
        changed_seed(work, lan, data, seed)


def restart_seed(work, lan, data, tracker):
    seed = Seed(lan[1], work, data, tracker=tracker)
    torrent = Torrent(data, PIECE)
    check(seed.infohash == torrent.infohash.hex(), 'the info-hash differs from a torrent made by bencode.py')
    seed.kill()
    reader = WireReader(lan[2], torrent, (lan[1].ip4, PEER_PORT))
    seed = seed.again()
    case.until(lambda: reader.verified, 'a piece from the restarted seed', 10)
    took, read = time.monotonic() - seed.started, seed.bytes_read()
    reader.close()
    check(not reader.wrong and seed.infohash == torrent.infohash.hex(), 'another torrent after the restart')
    check(took <= 1 * case.PATIENCE, 'serving again only after %.2f s' % took)
    check(read < SIZE / 4, 'the restarted seed read %d MiB: it hashes again' % (read // MIB))
    say('seed killed: a verified piece %.2f s after its restart, %.1f MiB read' % (took, read / MIB))
    return seed


def restart_tracker(work, lan, tracker, seed, digest):
    tracker.knows('big.bin')
    get = Get(lan[2], work, 'big.bin', tracker=tracker)
    get.has_pieces(40)
    tracker.kill()
    get.has_pieces(40, besides=get.good_pieces())        # the transfer goes on without it
    tracker = tracker.again()
    case.until(lambda: everything_back(tracker.status(), lan), 'nodes and catalogue after the tracker\'s restart', 5, every=0.1)
    back = time.monotonic() - tracker.started
    check(get.running, 'the transfer ended before the tracker was back: nothing was proved')
    get.ends(0, 60)
    check(content.sha256(get.path('big.bin')) == digest, 'not identical')
    say('tracker killed: the transfer went on, nodes and catalogue back %.1f s after its restart' % back)


def everything_back(status, lan):
    nodes = {n['addr'].rpartition(':')[0] for n in status['nodes']}
    return nodes >= {lan[1].ip4, lan[2].ip4} and [f['name'] for f in status['files']] == ['big.bin']


def changed_seed(work, lan, data, seed):
    """The cache of piece hashes must not outlive the bytes that it describes."""
    seed.kill()
    with open(data, 'r+b') as f:
        f.seek(SIZE // 2)
        byte = f.read(1)
        f.seek(SIZE // 2)
        f.write(bytes([byte[0] ^ 1]))
    seed = seed.again('--replace')  # other content under the same name: only on the person's word
    check(seed.infohash == Torrent(data, PIECE).infohash.hex(), 'a changed file is served under its old hashes')
    say('a file changed while its seed was away: hashed again')


if __name__ == '__main__':
    case.run(main, bytes_needed=2 * SIZE + 64 * MIB)
