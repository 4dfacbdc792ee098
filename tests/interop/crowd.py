"""Machines of both kinds that start together: a swarm seed, three swarm and three libtorrent downloads, 100 Mbit/s each. All end whole,
all pass on what they have, so that the seed sends less than half of what they take; and swarm nodes, who cooperate with each other and
bargain with strangers, are not left behind by these."""
import os

import clients
import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from swarm import Get, Seed, Tracker

SIZE, PIECE, EACH = 32 * MIB, 256 << 10, 3


def main(work):
    libtorrent = clients.CLIENTS['libtorrent']
    if libtorrent.available():
        raise case.Skip(libtorrent.available())
    data = os.path.join(work, 'source', 'crowd.bin')
    digest = content.random_file(data, SIZE)
    with hosts.Lan(1 + 2 * EACH, mbit=100) as lan:
        tracker = Tracker(lan[0], work)
        torrent = Torrent(data, PIECE, tracker.announce).save(os.path.join(work, 'crowd.torrent'))
        seed = Seed(lan[0], work, data, '--torrent', torrent)
        case.until(lambda: clients.scrape(lan[0], tracker.announce, bytes.fromhex(seed.infohash))[0], 'the seed at the tracker', 15)
        before = lan[0].sent()
        folder = lambda i: os.path.join(work, 'got-%d' % i)
        gets = [Get(h, work, torrent, folder=folder(i)) if i % 2 else libtorrent.get(h, work, torrent, folder(i)) for i, h in enumerate(lan[1:])]
        codes = [g.wait(90) for g in gets]
        copies = (lan[0].sent() - before) / SIZE
        for i, code in enumerate(codes):
            check(code == 0 and content.sha256(os.path.join(folder(i), 'crowd.bin')) == digest, '%s is not whole' % gets[i].name, code, gets[i].last_words())
        seed.kill(), tracker.kill()
    theirs, ours = ([g.event('done') for g in gets[kind::2]] for kind in (0, 1))
    up = lambda group: sum(d['bytes_up'] for d in group) / SIZE / EACH
    say('the seed sent %.2f copies, a swarm node %.2f, a libtorrent node %.2f' % (copies, up(ours), up(theirs)))
    check(copies < EACH, 'the seed sent %.2f copies to %d' % (copies, 2 * EACH))
    check(min(up(ours), up(theirs)) > 0.2, 'one kind passes nothing on')
    # When each was whole: a client that ends late of its own accord does not count. Not under a sanitizer, whose pace is not a line's.
    last_ours, last_theirs = (max(d['at'] for d in group) for group in (ours, theirs))
    slowest = max(g.started for g in gets)
    say('whole after %.1f s (swarm) and %.1f s (libtorrent)' % (last_ours - slowest, last_theirs - slowest))
    if case.PATIENCE == 1:
        check(last_ours - slowest < 1.3 * (last_theirs - slowest), 'the swarm nodes were left behind')


if __name__ == '__main__':
    case.run(main, bytes_needed=9 * SIZE)
