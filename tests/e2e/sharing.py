"""How sharing ends and how it goes on: --until-copies, --until-ratio, --for, get --seed; files that change under a seed; a tracker
that lost everything; a hundred torrents in one process; few descriptors."""
import os
import shutil
import signal
import time

import case
import content
import hosts
from case import MIB, check, say
from swarm import PEER_PORT, Get, Seed, Swarm, Tracker

SIZE, PIECE = 12 * MIB, 512 << 10


def main(work):
    with hosts.Lan(5) as lan:
        tracker = Tracker(lan[0], work)
        until_copies(work, lan, tracker)
        until_ratio_and_time(work, lan, tracker)
        get_seeds(work, lan, tracker)
        changes(work, lan, tracker)
        hundred(work, lan, tracker)
        few_descriptors(work, lan, tracker)
        hundred_by_few(work, lan, tracker)
        lost_catalogue(work, lan, tracker)


def share(work, name, size=SIZE):
    path = os.path.join(work, 'source', name)
    return path, content.random_file(path, size)


def until_copies(work, lan, tracker):
    """A deploy: three machines have it, the seed ends with 0, and not before the third."""
    data, digest = share(work, 'deploy.bin')
    seed = Seed(lan[1], work, data, '--until-copies', '3', tracker=tracker)
    tracker.knows('deploy.bin')
    gets = [Get(h, work, 'deploy.bin', '--seed', tracker=tracker) for h in lan[2:4]]
    for g in gets:
        g.event('whole', 20)
    seed.event('progress', 10, where=lambda e: e['copies'] == 2)
    check(seed.running, 'the seed ended with two copies')
    gets.append(Get(lan[4], work, 'deploy.bin', '--seed', tracker=tracker))
    gets[-1].event('whole', 20)
    seed.ends(0, 15)
    check(seed.events[-1]['event'] == 'done', 'the last event is not done', seed.events[-1])
    for g in gets:
        check(g.running and content.sha256(g.path('deploy.bin')) == digest, 'a copy is not whole')
        g.send(signal.SIGINT)
    for g in gets:
        g.ends(130)
        check(g.events[-1]['event'] == 'done', 'get --seed that was stopped when whole did not end with done', g.events[-1])
    say('--until-copies 3: exit 0 when the third had it')


def until_ratio_and_time(work, lan, tracker):
    data, _ = share(work, 'ratio.bin')
    seed = Seed(lan[1], work, data, '--until-ratio', '1.5', tracker=tracker)
    tracker.knows('ratio.bin')
    Get(lan[2], work, 'ratio.bin', tracker=tracker).ends(0, 20)
    check(seed.running, 'ended at a ratio of 1')
    Get(lan[3], work, 'ratio.bin', tracker=tracker).ends(0, 20)
    seed.ends(0, 15)
    check(seed.events[-1]['bytes_up'] >= 1.5 * SIZE, 'ended too early', seed.events[-1])
    timed = Seed(lan[1], work, data, '--for', '2s', tracker=tracker)
    timed.ends(0, 10)
    check(2 <= timed.took < 2 + 4 * case.PATIENCE, '--for 2s took %.1f s' % timed.took)
    say('--until-ratio 1.5 and --for 2s end with 0')


def get_seeds(work, lan, tracker):
    """The one who fetched it serves it alone; a whole file that is there already is shared, too."""
    data, digest = share(work, 'handed-on.bin')
    seed = Seed(lan[1], work, data, tracker=tracker)
    tracker.knows('handed-on.bin')
    first = Get(lan[2], work, 'handed-on.bin', '--seed=1', tracker=tracker)
    check(first.event('whole', 20)['path'] == first.path('handed-on.bin'), 'whole names another path')
    seed.kill()
    second = Get(lan[3], work, 'handed-on.bin', tracker=tracker).ends(0, 30)
    check(content.sha256(second.path('handed-on.bin')) == digest, 'not identical')
    first.ends(0, 10)
    check(first.events[-1]['event'] == 'done' and first.events[-1]['bytes_up'] >= SIZE, 'ended before its ratio', first.events[-1])
    again = Get(lan[3], work, 'handed-on.bin', '--seed=5m', tracker=tracker)
    again.event('whole', 20)
    third = Get(lan[4], work, 'handed-on.bin', tracker=tracker).ends(0, 30)
    check(content.sha256(third.path('handed-on.bin')) == digest, 'not identical from one that found it whole')
    again.send(signal.SIGTERM)
    again.ends(143)
    plain = Get(lan[2], work, 'handed-on.bin', '--seed=1s', tracker=tracker, json_lines=False).ends(0, 15)
    check(plain.stdout == [plain.path('handed-on.bin')], 'the path is not printed', plain.out)
    check('stopped sharing handed-on.bin' in plain.err, 'the end of sharing is not told', plain.err)
    say('get --seed: serves alone, ends at its ratio, after its time, by a signal')


def changes(work, lan, tracker):
    """Truncated, replaced, deleted, overwritten in place: exit 6, with the words of UX.md, and nobody takes a wrong byte."""
    def truncate(path):
        os.truncate(path, SIZE // 2)

    def replace(path):
        content.random_file(path + '.new', SIZE)
        os.rename(path + '.new', path)

    def overwrite(path):
        with open(path, 'r+b') as f:
            f.seek(SIZE // 3)
            f.write(os.urandom(4096))

    cases = []
    for i, change in enumerate((truncate, replace, os.unlink, overwrite)):
        name = 'changes-%s.bin' % change.__name__
        data, digest = share(work, name)
        seed = Seed(lan[1], work, data, tracker=tracker, port=PEER_PORT + i)
        tracker.knows(name)
        slow = Get(lan[2], work, name, '--down', '1M', '--wait', '2s', tracker=tracker, port=PEER_PORT + i)
        shutil.copy(data, data + '.truth')
        cases.append((change, data, seed, slow))
    for change, data, seed, slow in cases:
        slow.has_pieces(1)
        change(data)
    for change, data, seed, slow in cases:
        name = os.path.basename(data)
        seed.ends(6, 15)
        check('%s changed on disk since hashing; stopped sharing it' % name in seed.err, 'UX.md\'s words are missing', seed.err)
        check(seed.events[-1]['event'] == 'error' and seed.events[-1]['code'] == 6, 'the last event', seed.events[-1])
        slow.ends(5, 30)
        if change is not overwrite:  # which shows in its time only: what is served until then is refused
            check(not slow.bad_pieces(), 'a changed piece was served', change.__name__, slow.bad_pieces()[:3])
        with open(slow.path(name) + '.part', 'rb') as part, open(data + '.truth', 'rb') as truth:
            for piece in sorted(slow.good_pieces()):
                part.seek(piece * PIECE), truth.seek(piece * PIECE)
                check(part.read(PIECE) == truth.read(PIECE), 'piece %d is not what was shared' % piece, change.__name__)
    say('a file truncated, replaced, deleted or overwritten under its seed: exit 6, and nothing wrong is taken')


def hundred(work, lan, tracker):
    """One process, one port, one heartbeat for all of them."""
    folder = os.path.join(work, 'source', 'hundred')
    truth = {'small-%03d.bin' % i: content.random_file(os.path.join(folder, 'small-%03d.bin' % i), 1000 + 997 * i) for i in range(100)}
    seed = Swarm(lan[1], ['seed', *(os.path.join(folder, n) for n in sorted(truth)), '-t', tracker.address, '--interface', lan[1].ip4,
                          '--port', str(PEER_PORT)], work=work)
    case.until(lambda: len(seed.all('start')) == 100, 'a hundred torrents are shared', 30)
    check({e['port'] for e in seed.all('start')} == {PEER_PORT}, 'more than one port', seed.all('start')[:2])
    case.until(lambda: sum(f['name'] in truth and f['seeders'] > 0 for f in tracker.status()['files']) == 100, 'the tracker knows all of them', 15, every=0.2)
    idle = sockets(seed.pid)
    check(idle <= 6, 'an idle seed of a hundred torrents has %d sockets' % idle)
    get = Swarm(lan[2], ['get', *sorted(truth), '-t', tracker.address, '-d', os.path.join(work, 'hundred'), '--interface', lan[2].ip4], work=work)
    get.ends(0, 90)
    got = {n: content.sha256(os.path.join(work, 'hundred', n)) for n in os.listdir(os.path.join(work, 'hundred'))}
    check(got == truth, '%d of a hundred files are right' % sum(got.get(n) == d for n, d in truth.items()), *sorted(got.keys() ^ truth.keys())[:5])
    seed.send(signal.SIGINT)
    seed.ends(130, 8)
    say('100 torrents: one process, %d sockets while idle, all fetched in %.1f s' % (idle, get.took))


def sockets(pid):
    fds = os.listdir('/proc/%d/fd' % pid)
    links = [os.readlink('/proc/%d/fd/%s' % (pid, f)) for f in fds if os.path.islink('/proc/%d/fd/%s' % (pid, f))]
    return sum(link.startswith('socket:') for link in links)


def few_descriptors(work, lan, tracker):
    """ulimit -n 64, hard: a folder of more files than that, to two who have as few."""
    folder = os.path.join(work, 'source', 'few')
    for i in range(150):
        content.random_file(os.path.join(folder, 'f%03d' % i), 20_000)
    truth = content.tree(folder)
    limit = ['prlimit', '--nofile=64:64']
    seed = Swarm(lan[1], ['seed', folder, '-t', tracker.address, '--interface', lan[1].ip4, '--port', str(PEER_PORT)], work=work, prefix=limit)
    tracker.knows('few', 20)
    gets = [Get(h, work, 'few', tracker=tracker, prefix=limit) for h in lan[2:4]]
    for g in gets:
        g.ends(0, 60)
        check(not (differences := content.same_tree(truth, content.tree(g.path('few')))), 'the trees differ', *differences)
    check(seed.running, 'the seed gave up')
    seed.send(signal.SIGINT)
    seed.ends(130)
    say('64 descriptors are enough for a seed and two downloads of 150 files')


def hundred_by_few(work, lan, tracker):
    """A hundred torrents, every other one a folder, by a seed that may have 64 descriptors, hard."""
    base = os.path.join(work, 'source', 'shelf')
    truth = {}
    for i in range(100):
        path = os.path.join(base, 'shelf-%03d' % i)
        for part in ('',) if i % 2 else ('/a', '/b/c', '/d'):
            content.random_file(path + part, 20_000 + i)
        truth['shelf-%03d' % i] = content.tree(path) if i % 2 == 0 else content.sha256(path)
    names = sorted(truth)
    seed = Swarm(lan[1], ['seed', *(os.path.join(base, n) for n in names), '-t', tracker.address, '--interface', lan[1].ip4,
                          '--port', str(PEER_PORT)], work=work, prefix=['prlimit', '--nofile=64:64'])
    case.until(lambda: len(seed.all('start')) == 100, 'a hundred torrents are shared by few descriptors', 60)
    case.until(lambda: sum(f['name'] in truth and f['seeders'] > 0 for f in tracker.status()['files']) == 100, 'the tracker knows all of them', 30, every=0.2)
    folder, most = os.path.join(work, 'shelf'), 0
    for first in range(0, 100, 10):
        get = Swarm(lan[2], ['get', *names[first:first + 10], '-t', tracker.address, '-d', folder, '--interface', lan[2].ip4], work=work)
        get.ends(0, 60)
        most = max(most, files_open(seed.pid, base))
    for name, was in truth.items():
        path = os.path.join(folder, name)
        is_now = content.tree(path) if os.path.isdir(path) else content.sha256(path)
        check(is_now == was, name + ' is not what was shared')
    check(most <= 8, 'the seed holds %d descriptors of files and folders' % most)
    check('"error"' not in seed.out and seed.running, 'the seed gave up', seed.out[-1000:])
    seed.send(signal.SIGINT)
    seed.ends(130, 8)
    say('64 descriptors are enough for a seed of 100 torrents, which holds %d of files at most' % most)


def files_open(pid, below):
    fds = os.listdir('/proc/%d/fd' % pid)
    links = [os.readlink('/proc/%d/fd/%s' % (pid, f)) for f in fds if os.path.islink('/proc/%d/fd/%s' % (pid, f))]
    return sum(link.startswith(below) for link in links)


def lost_catalogue(work, lan, tracker):
    """A tracker killed and started on an empty folder: the seeds put their torrents back, but not over other content."""
    data, _ = share(work, 'lost.bin')
    taken, _ = share(work, 'taken.bin')
    seed = Swarm(lan[1], ['seed', data, taken, '-t', tracker.address, '--interface', lan[1].ip4, '--port', str(PEER_PORT), '--no-config'], work=work, json_lines=False)
    tracker.knows('lost.bin'), tracker.knows('taken.bin')
    tracker.kill()
    shutil.rmtree(os.path.join(work, 'tracker-' + lan[0].name))
    other = os.path.join(work, 'other', 'taken.bin')
    content.random_file(other, 1000)
    tracker = tracker.again()
    Seed(lan[2], work, other, tracker=tracker)
    began = time.monotonic()
    tracker.knows('lost.bin', 25)  # the next beat, 15 s after the last one, shows that it restarted; 30 s without that
    seed.line('had lost lost.bin; it is in the catalogue again', 5)
    seed.line("'taken.bin' is other content on", 5)
    row = tracker.knows('taken.bin')
    check(row['bytes'] == 1000, 'other content was replaced', row)
    say('a tracker that lost its catalogue has it back after %.0f s' % (time.monotonic() - began))


if __name__ == '__main__':
    case.run(main, bytes_needed=40 * SIZE)
