"""Torrents made elsewhere and by swarm. Those of mktorrent, transmission-create and libtorrent are served and fetched under the
info-hash that everybody else reads; swarm's are opened by all of these and rTorrent under the one that swarm tells, which for a
file is the one that mktorrent's torrent has."""
import os
import shutil

# First: it knows where the modules of ../e2e are.
from clients import infohash, infohashes, libtorrent_create, mktorrent, opened_by_rtorrent, transmission_create
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
        many = os.path.join(work, 'source', 'a folder')
        for i, name in enumerate(('empty', 'one byte', 'two words', 'café', '日本語', 'deep/er/and deeper/file', 'deep/nothing', 'last')):
            content.random_file(os.path.join(many, name), (0, 1, 300_000, 262_144, 5, MIB, 0, MIB + 7)[i])
        same_infohash(local[0], work, data)
        ours_opened_by_all(local[0], work, (data, many))
        theirs_accepted(local, work, (data, many))
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


def ours_opened_by_all(host, work, sources):
    if not shutil.which('rtorrent'):
        raise case.Skip('rtorrent is not installed')
    told = {}
    private = ['--private', '--comment', 'für alle', '-t', 'localhost:6969']    # rTorrent refuses a private torrent without a tracker
    for source in sources:
        for i, options in enumerate(([], private, ['--piece-size', '16K'], ['--piece-size', '4MiB'])):
            path = os.path.join(work, 'ours-%s-%d.torrent' % (os.path.basename(source).replace(' ', '-'), i))
            made = Swarm(host, ['seed', source, '--dry-run', '--output', path, *options], work=work).ends(0)
            told[path] = made.event('start')['infohash']
    check(len(set(told.values())) == 8, 'not as many torrents as ways to make them', told)
    for path, hash in told.items():
        read = infohashes(path)
        check(len(read) == 3, 'not everybody was asked', read)
        check(set(read.values()) == {hash}, 'not everybody reads the info-hash that swarm tells for ' + os.path.basename(path), hash, read)
    kept = opened_by_rtorrent(host, work, list(told))
    check(kept == set(told.values()), 'rTorrent reads other info-hashes', kept, told)
    say('aria2, libtorrent, Transmission and rTorrent open %d torrents of swarm\'s under its info-hashes' % len(told))


def theirs_accepted(local, work, sources):
    tracker = Tracker(local[0], work, port=0)
    for make in (mktorrent, transmission_create, libtorrent_create):
        for source in sources:
            name = '%s %s' % (make.__name__, os.path.basename(source))
            torrent = make(source, os.path.join(work, name + '.torrent'), tracker.announce)
            seed = Seed(local[1], work, source, '--torrent', torrent, port=0)
            read = infohashes(torrent)
            check(set(read.values()) == {seed.infohash}, name + ': served under another info-hash than others read', seed.infohash, read)
            get = Get(local[2], work, torrent, port=0, folder=os.path.join(work, 'got ' + name)).ends(0, 30)
            left_out = EMPTY if make is transmission_create else None
            differences = content.same_tree(contents(source, left_out), contents(get.path(os.path.basename(source))))
            check(not differences, name + ': not identical', *differences)
            seed.kill()
    tracker.kill()
    say('torrents of mktorrent, transmission-create and libtorrent: served and fetched, a file and a folder each')


EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'  # sha256 of nothing


def contents(path, left_out=None):
    """{name: sha256} of a file or folder; transmission-create leaves empty files out."""
    found = content.tree(path) if os.path.isdir(path) else {b'': content.sha256(path)}
    return {name: digest for name, digest in found.items() if digest != left_out}


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
