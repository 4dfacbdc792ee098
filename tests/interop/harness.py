"""The harness tried on what is known to work, so that a red test elsewhere speaks of swarm: other clients with libtorrent through
opentracker, the Python peer in both roles against libtorrent, and a liar that both must notice. SWARM_CLIENTS as in matrix.py."""
import os
from urllib.parse import quote_from_bytes

import clients
import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from clients import CLIENTS, Opentracker, scrape
from wire_peer import WireReader, WireSeed


def main(work):
    libtorrent = CLIENTS['libtorrent']
    for c in {libtorrent, *clients.chosen()}:
        if c.available():
            raise case.Skip(c.available())
    pairs = [(c, libtorrent) for c in clients.chosen()] + [(libtorrent, c) for c in clients.chosen() if c is not libtorrent]
    with hosts.Lan(3, mbit=400) as lan:
        tracker_host, left, right = lan
        data = os.path.join(work, 'source', 'sample.bin')
        digest = content.random_file(data, 8 * MIB)
        announce = 'http://%s:6969/announce' % tracker_host.ip4
        torrent = Torrent(data, 256 << 10, announce)
        file = torrent.save(os.path.join(work, 'sample.torrent'))
        check(clients.infohash(file) == torrent.infohash, 'libtorrent and bencode.py disagree about the info-hash')
        for seeder, getter in pairs:
            tracker = Opentracker(tracker_host, work, [torrent.infohash])
            seed = seeder.seed(left, work, file, os.path.dirname(data))
            case.until(lambda: scrape(tracker_host, announce, torrent.infohash)[0], 'the seed at the tracker', 15)
            folder = os.path.join(work, 'got-%s-%s' % (seeder.name, getter.name))
            get = getter.get(right, work, file, folder)
            code = get.wait(90)
            check(content.sha256(os.path.join(folder, 'sample.bin')) == digest, '%s to %s: not identical' % (seeder.name, getter.name))
            say('%s to %s: identical after %.1f s, exit %d' % (seeder.name, getter.name, get.took, code))
            seed.kill(), tracker.kill()
        reads_from_libtorrent(work, left, right, torrent, file)
        libtorrent_reads(work, tracker_host, left, right, torrent, file)


def reads_from_libtorrent(work, left, right, torrent, file):
    seed = CLIENTS['libtorrent'].seed(left, work, file, os.path.dirname(torrent.path))
    reader = WireReader(right, torrent, (left.ip4, clients.PORT))
    case.until(lambda: len(reader.verified) == len(torrent.hashes), 'every piece read from libtorrent', 30)
    check(not reader.wrong, 'libtorrent served wrong bytes, says the reader')
    reader.close(), seed.kill()
    liar = WireSeed(left, torrent, lie=lambda piece, begin, block: spoil(block) if piece == 7 else block)
    reader = WireReader(right, torrent, liar.address)
    case.until(lambda: len(reader.verified) + len(reader.wrong) == len(torrent.hashes), 'every piece read from the liar', 30)
    check(reader.wrong == [7], 'the reader did not notice the lie', reader.wrong)
    reader.close(), liar.close()
    say('the reader reads, and notices a lie')


def libtorrent_reads(work, tracker_host, left, right, torrent, file):
    """From one seed at a time: what libtorrent does between a liar and an honest seed is its own affair."""
    tracker = Opentracker(tracker_host, work, [torrent.infohash])
    honest = WireSeed(left, torrent)
    announce(left, torrent, tracker)
    folder = os.path.join(work, 'got-truth')
    get = CLIENTS['libtorrent'].get(right, work, file, folder)
    check(get.wait(60) == 0 and content.sha256(os.path.join(folder, 'sample.bin')) == content.sha256(torrent.path), 'libtorrent did not get it right')
    honest.close()
    liar = WireSeed(left, torrent, lie=lambda piece, begin, block: spoil(block))
    get = CLIENTS['libtorrent'].get(right, work, file, os.path.join(work, 'got-lie'))
    get.event('hash_failed', 30)
    get.kill(), liar.close(), tracker.kill()
    say('the seed serves, and libtorrent notices its lies')


def spoil(block):
    return bytes([block[0] ^ 1]) + block[1:]


def announce(host, torrent, tracker):
    """Tells a tracker that host seeds."""
    path = '/announce?info_hash=%s&peer_id=-PY0001-on%010d&port=6881&uploaded=0&downloaded=0&left=0&compact=1&event=started'
    clients.http_get(host, (tracker.host.ip4, 6969), path % (quote_from_bytes(torrent.infohash, safe=''), int(host.ip4.rpartition('.')[2])))


if __name__ == '__main__':
    case.run(main, bytes_needed=512 * MIB)
