"""Torrents made elsewhere and by swarm: mktorrent's is served and fetched; swarm's has the info-hash that mktorrent's has."""
import os

from clients import infohash, mktorrent     # first: it knows where the modules of ../e2e are
import case
import content
import hosts
from bencode import decode
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker


def main(work):
    with hosts.Local(3) as local:
        data = os.path.join(work, 'source', 'a file.bin')
        digest = content.random_file(data, 20 * MIB + 12345)
        same_infohash(local[0], work, data)
        made_by_mktorrent(local, work, data, digest)


def same_infohash(host, work, data):
    for bits, size in ((15, '32K'), (18, '256K'), (20, '1M'), (22, '4MiB')):
        theirs = mktorrent(data, os.path.join(work, 'theirs-%d.torrent' % bits), 'http://127.0.0.1:6969/announce', bits)
        ours = os.path.join(work, 'ours-%d.torrent' % bits)
        Swarm(host, ['seed', data, '--dry-run', '--output', ours, '--piece-size', size], work=work).ends(0)
        with open(ours, 'rb') as f:
            check(decode(f.read())[b'info'][b'piece length'] == 1 << bits, '--piece-size %s was not taken' % size)
        check(infohash(ours) == infohash(theirs), 'another info-hash than mktorrent\'s at piece length 2^%d' % bits)
    say('the same info-hash as mktorrent\'s at four piece lengths')


def made_by_mktorrent(local, work, data, digest):
    tracker = Tracker(local[0], work, port=0)
    torrent = mktorrent(data, os.path.join(work, 'made elsewhere.torrent'), tracker.announce)
    seed = Seed(local[1], work, data, '--torrent', torrent, port=0)
    check(seed.infohash == infohash(torrent).hex(), 'served under another info-hash')
    get = Get(local[2], work, torrent, port=0).ends(0, 30)
    check(content.sha256(get.path('a file.bin')) == digest, 'not identical')
    seed.kill()
    wrong = os.path.join(work, 'other', 'a file.bin')
    content.random_file(wrong, os.path.getsize(data))
    s = Swarm(local[1], ['seed', wrong, '--torrent', torrent, '--port', '0'], work=work, json_lines=False)
    check(s.wait(15) == 6, 'other data was served as this torrent', s.err)
    tracker.kill()
    say('mktorrent\'s torrent: served, fetched, and refused for other data')


if __name__ == '__main__':
    case.run(main, bytes_needed=200 * MIB)
