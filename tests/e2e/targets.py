"""Where a download goes: one process at a time, nothing left where nothing came, only what was chosen, and --check's verdict."""
import os
import signal

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker

SIZE = 16 * MIB


def main(work):
    with hosts.Local(3) as local:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(local[0], work, port=0)
        seed = Seed(local[1], work, data, tracker=tracker, port=0)
        tracker.knows('big.bin')
        torrent = os.path.join(work, 'big.torrent')
        Swarm(local[1], ['seed', data, '--dry-run', '--output', torrent], work=work).ends(0)
        two_at_once(work, local[2], tracker, digest)
        checked(work, local[2], torrent, data)
        chosen(work, local[2], local[1], tracker)
        seed.kill()
        nothing_left(work, local[2], tracker, torrent)


def two_at_once(work, host, tracker, digest):
    """The second one says who holds the target; a killed one holds nobody back."""
    first = Get(host, work, 'big.bin', '--down', '2M', tracker=tracker, port=0)
    first.has_pieces(2)
    second = Get(host, work, 'big.bin', tracker=tracker, port=0).ends(7)
    check('is being fetched by process %d' % first.pid in second.err, 'the owner is not named', second.err)
    check(second.events[-1]['error'] == 'busy', 'another error', second.events[-1])
    beside = Get(host, work, 'big.bin', tracker=tracker, port=0, folder=os.path.join(work, 'beside')).ends(0, 30)
    check(content.sha256(beside.path('big.bin')) == digest, 'not identical')
    first.kill()
    check(os.path.exists(first.path('big.bin.lock')), 'nothing was proved: no lock is left by a killed download')
    third = Get(host, work, 'big.bin', tracker=tracker, port=0).ends(0, 30)
    check(os.listdir(third.folder) == ['big.bin'] and content.sha256(third.path('big.bin')) == digest, 'left:', os.listdir(third.folder))
    racers = [Get(host, work, 'big.bin', tracker=tracker, port=0, folder=os.path.join(work, 'race')) for _ in range(4)]
    codes = sorted(r.wait(30) for r in racers)
    check(codes[0] == 0 and set(codes) <= {0, 7}, 'four at once ended with', codes)  # who comes late finds it whole
    check(os.listdir(racers[0].folder) == ['big.bin'] and content.sha256(racers[0].path('big.bin')) == digest, 'a race left', os.listdir(racers[0].folder))
    say('two downloads to one target: the second is refused and told who; four at once: %s' % codes)


def checked(work, host, torrent, data):
    """--check needs no tracker, changes nothing, and sees every kind of damage."""
    folder = os.path.join(work, 'checked')
    os.makedirs(folder)
    path = os.path.join(folder, 'big.bin')
    with open(data, 'rb') as f:
        whole = f.read()

    def verdict(code, right, *, name='big.bin', text=None):
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(text)
        before = os.stat(os.path.join(folder, name))
        s = Swarm(host, ['get', torrent, '--check', '-d', folder], work=work).ends(code)
        event = s.event('checked')
        check((event['pieces_right'], event['pieces']) == (right, 32), 'the verdict is', event)
        after = os.stat(os.path.join(folder, name))
        check((before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size), 'the check changed the file')
        check(s.events[-1]['event'] == ('done' if code == 0 else 'error'), 'the last event', s.events[-1])
        check(os.listdir(folder) == [name], 'the check left', os.listdir(folder))
        os.unlink(os.path.join(folder, name))
        return s

    verdict(0, 32, text=whole)
    verdict(6, 31, text=whole[:-1])
    verdict(6, 31, text=whole + b'x')
    verdict(6, 16, text=whole[:SIZE // 2])
    verdict(6, 0, text=b'')
    wrong = verdict(6, 29, text=bytes([whole[0] ^ 1]) + whole[1:3 * MIB] + bytes(600_000) + whole[3 * MIB + 600_000:])
    check('3 of 32 pieces are wrong or missing (0, 6-7)' in wrong.err, 'the pieces are not named', wrong.err)
    verdict(6, 16, name='big.bin.part', text=whole[:SIZE // 2])
    verdict(0, 32, name='big.bin.part', text=whole)
    s = Swarm(host, ['get', torrent, '--check', '-d', folder], work=work).ends(6)
    check('not there' in s.err and not os.listdir(folder), 'nothing to check', s.err)
    with open(path, 'wb') as f:
        f.write(whole)
    line = Swarm(host, ['get', torrent, '--check', '-d', folder], work=work, json_lines=False).ends(0)
    check(len(line.stdout) == 1 and 'verified (sha1 32/32)' in line.out, 'not one line', line.out)
    say('--check: right, short, long, empty, damaged, partial, missing')


def chosen(work, host, seeder, tracker):
    """-f: these files and no others; more of them later; all of them in the end; never over a different file."""
    source = os.path.join(work, 'source', 'photos')
    for name, size in (('june/a.jpg', 700_000), ('june/b.jpg', 10), ('july/c.jpg', 1_300_000), ('july/film.mkv', 5 * MIB), ('notes.txt', 3)):
        content.random_file(os.path.join(source, name), size)
    truth = content.tree(source)
    seed = Seed(seeder, work, source, tracker=tracker, port=0)
    tracker.knows('photos')
    folder = os.path.join(work, 'chosen')
    saved = os.path.join(folder, 'photos')

    def get(*globs, code=0):
        argv = [word for glob in globs for word in ('-f', glob)]
        g = Get(host, work, 'photos', *argv, tracker=tracker, port=0, folder=folder).ends(code, 30)
        check(os.listdir(folder) == ['photos'], 'left beside the folder', os.listdir(folder))
        return g

    def has(*names):
        there = content.tree(saved)
        check(there == {n.encode(): truth[n.encode()] for n in names}, 'not what was chosen', sorted(there))

    first = get('june')
    has('june/a.jpg', 'june/b.jpg')
    check(first.event('start')['bytes_total'] < 2 * MIB, 'the choice has the size of all', first.event('start'))
    get('june')  # again: it is there
    get('*.jpg', 'notes.txt')
    has('june/a.jpg', 'june/b.jpg', 'july/c.jpg', 'notes.txt')
    check_it = lambda *more: Swarm(host, ['get', 'photos', '--check', '-d', folder, '-t', tracker.address, *more], work=work)
    check_it().ends(6)
    last = get()
    has('june/a.jpg', 'june/b.jpg', 'july/c.jpg', 'notes.txt', 'july/film.mkv')
    check(last.events[-1]['bytes_down'] < 7 * MIB, 'what was there was fetched again', last.events[-1])
    check_it().ends(0), check_it('-f', '*.mkv').ends(0)
    content.random_file(os.path.join(saved, 'july/film.mkv'), 5 * MIB)
    other = content.sha256(os.path.join(saved, 'july/film.mkv'))
    check_it().ends(6)
    Get(host, work, 'photos', '-f', '*.mkv', tracker=tracker, port=0, folder=folder).ends(7, 30)
    check(content.sha256(os.path.join(saved, 'july/film.mkv')) == other, 'a different file was overwritten')
    seed.kill()
    say('-f: only what was chosen, then more, then all; a different file stays')


def nothing_left(work, host, tracker, torrent):
    """Ends before the first byte: no peer, a signal, a tracker that is not there. Not even the folders that it made stay."""
    folder = os.path.join(work, 'none', 'deep')
    where = os.path.dirname(os.path.dirname(folder))
    for argv, code in ((['--wait', '1s', '-t', tracker.address], 5), (['-t', '127.0.0.1:1'], 4)):
        Swarm(host, ['get', torrent, '-d', folder, *argv], work=work).ends(code, 20)
        check(not os.path.exists(os.path.join(where, 'none')), 'left after exit %d' % code, [f for f in os.walk(os.path.join(where, 'none'))])
    waits = Swarm(host, ['get', torrent, '-d', folder, '--wait', '60s', '-t', tracker.address], work=work)
    waits.event('start')
    waits.send(signal.SIGINT)
    waits.ends(130)
    check(not os.path.exists(os.path.join(where, 'none')), 'left after a signal', [f for f in os.walk(os.path.join(where, 'none'))])
    os.makedirs(folder)
    Swarm(host, ['get', torrent, '-d', folder, '--wait', '1s', '-t', tracker.address], work=work).ends(5, 20)
    check(os.path.isdir(folder) and not os.listdir(folder), 'a folder that was there is gone, or not empty')
    say('a download that ends before its first byte leaves nothing behind')


if __name__ == '__main__':
    case.run(main, bytes_needed=10 * SIZE)
