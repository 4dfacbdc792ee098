"""What does not move files: hashing, loading, checking, standing by; and what needs no network at all."""
import json
import math
import os
import shutil
import subprocess
import tempfile
import time

import bencode
import case
import hosts
import transfers
from account import Account, exact_cpu, ran
from case import GIB, MIB
from measuring import CannotMeasure, measure, median, on_disk, row, torrent_of, tracker_on
from process import clean_environment
from swarm import Get, Seed, Swarm, Tracker

IDLE_S = 20
SIMULATED_S_MAX = {1024: 60, 4096: 360}     # by nodes


@measure()
def hash(bench):
    """seed: 1 GiB from the page cache until it is offered, and a restart; beside mktorrent"""
    data = bench.file(1024)
    with hosts.Local(1) as local:
        def once(name):
            if name == 'mktorrent':
                torrent = os.path.join(bench.work, 'made.torrent')
                spent = ran(['mktorrent', '-l', '19', '-o', torrent, data], stdout=subprocess.DEVNULL)
                os.remove(torrent)
                return spent
            if name == 'swarm':
                shutil.rmtree(os.path.join(bench.work, 'home-' + local[0].name), ignore_errors=True)    # with the hashes that it remembers
            seed = Swarm(local[0], ['seed', data, '-t', tracker.address, '--interface', local[0].ip4, '--port', '0'], work=bench.work)
            took = seed.event('start', 60)['at'] - seed.started
            cpu = exact_cpu(seed.pid)
            seed.kill()
            return took, cpu
        tracker = Tracker(local[0], bench.work, port=0)
        names = ['swarm', 'swarm, again', *(['mktorrent'] if shutil.which('mktorrent') else [])]
        got = bench.interleaved(names, once)
    limits = {'swarm': 0.40, 'swarm, again': 0.1}
    rows = [row('1 GiB hashed and offered', who, [t for t, _ in all_of], 's', cpu_s=median([c for _, c in all_of]), limit=limits.get(who)) for who, all_of in got.items()]
    if 'mktorrent' in got:
        for r in rows[:-1]:
            r['note'] = '%.2f × mktorrent' % (r['value'] / rows[-1]['value'])
    return rows


@measure()
def resume(bench):
    """get --check of 1 GiB, and the first event of an interrupted 1 GiB"""
    data = bench.file(1024)
    with hosts.Local(2) as local:
        torrent = torrent_of(data, 512, None)
        folder = bench.folder('resumed')
        def check():
            os.link(data, os.path.join(folder, os.path.basename(data)))
            get = Swarm(local[0], ['get', torrent, '-d', folder, '--check'], work=bench.work)
            with Account(get) as spent:
                case.check(spent.ended(60), 'get --check does not end')
                took, cpu = time.monotonic() - get.started, spent.cpu()
            case.check(get.wait(1) == 0, 'get --check found a fault')
            os.remove(os.path.join(folder, os.path.basename(data)))
            return took, cpu
        checks = [check() for _ in range(bench.rounds)]

        seed = Seed(local[0], bench.work, data, '--torrent', torrent, '--up', str(400 * MIB), port=0)
        peer = '%s:%d' % (local[0].ip4, seed.start['port'])
        get = Get(local[1], bench.work, torrent, '--peer', peer, folder=folder, port=0)
        get.has_pieces(1024, seconds=60)
        get.kill()
        starts = []
        for _ in range(bench.rounds):
            get = Get(local[1], bench.work, torrent, '--peer', peer, '--down', '1M', folder=folder, port=0)
            starts.append((get.event('start', 20)['at'] - get.started, exact_cpu(get.pid)))
            case.check(get.event('start')['pieces_have'] >= 1024, 'the kill cost pieces')
            get.kill()
        seed.kill()
    shutil.rmtree(folder)
    return [with_cpu('get --check of 1 GiB', checks, 0.40), with_cpu('resumes after a kill at half of 1 GiB', starts, 0.3)]


def with_cpu(what, samples, limit=None, **columns):
    """swarm's row of (wall seconds, CPU seconds)."""
    return row(what, 'swarm', [t for t, _ in samples], 's', cpu_s=median([c for _, c in samples]), limit=limit, **columns)


@measure()
def small(bench):
    """a folder of 100,000 files of 4 KiB: hashed, then moved"""
    folder = os.path.join(bench.work, 'small', 'files')
    block = os.urandom(4096)
    for i in range(100_000):
        if i % 1000 == 0:
            os.makedirs(os.path.join(folder, '%03d' % (i // 1000)))
        with open(os.path.join(folder, '%03d' % (i // 1000), '%05d' % i), 'wb') as f:
            f.write(i.to_bytes(4, 'big') + block[4:])
    with hosts.Lan(2) as lan:
        torrent, tracker = os.path.join(bench.work, 'small.torrent'), tracker_on(lan[0], bench.work)
        seed = Swarm(lan[0], ['seed', folder, '--output', torrent, '--interface', lan[0].ip4, '--port', '6881', '-t', tracker.address], work=bench.work)
        hashed = seed.event('start', 120)['at'] - seed.started, exact_cpu(seed.pid)
        seed.kill(), tracker.kill()
        with transfers.Ground(bench, lan, folder, torrent=torrent) as ground:
            got = bench.interleaved(bench.among('swarm', 'lt'), lambda n: ground.transfer(n, [n]), rounds=1)
    shutil.rmtree(os.path.join(bench.work, 'small'))
    return [with_cpu('100,000 files of 4 KiB, hashed', [hashed]), *transfers.rows_of('100,000 files of 4 KiB, moved', got)]


@measure()
def idle(bench):
    """a seed with one torrent and no peers, beside lt and aria2; with 50 peers that have nothing to say; with 1,000 torrents"""
    rows = []
    with hosts.Local(2) as local:
        tracker = Tracker(local[0], bench.work, port=0)
        data = bench.file(64)
        torrent = torrent_of(data, 512, None)
        def standing(what, seed, note, limit=None, rss=None, who='swarm'):
            spent, began = exact_cpu(seed.pid), time.monotonic()
            time.sleep(IDLE_S)
            cpu = 100 * (exact_cpu(seed.pid) - spent) / (time.monotonic() - began)
            return [row(what + ', idle CPU', who, [cpu], '%', limit=limit, note=note),
                    row(what + ', resident', who, [seed.memory('VmRSS') / MIB], 'MiB', limit=rss)]
        # One torrent, its seed and 50 downloads of it that are whole and seed on: nobody has anything to say.
        seed = Seed(local[0], bench.work, data, tracker=tracker, port=0)
        rows += standing('1 torrent, no peers', seed, None, 0.1, 12)
        for name in bench.among('lt', 'aria2'):
            rival = bench.everyone[name].seed(local[1], bench.work, torrent, data)
            time.sleep(5)     # it hashes
            rows += standing('1 torrent, no peers', rival, 'without a tracker, which swarm has', who=name)
            rival.kill()
        peers = IdlePeers(local[1], 50, (local[0].ip4, seed.start['port']), bytes.fromhex(seed.infohash), 1 + os.path.getsize(data) // (512 << 10))
        case.until(lambda: peers.connected() == 50, '50 idle peers', 10)
        time.sleep(3)
        rows += standing('1 torrent, 50 idle peers', seed, None, 0.1, 12)
        peers.close(), seed.kill()
        folder = os.path.join(bench.work, 'thousand')
        os.makedirs(folder)
        for i in range(1000):
            with open(os.path.join(folder, 'file-%04d.bin' % i), 'wb') as f:
                f.write(os.urandom(65536))
        seed = Swarm(local[0], ['seed', *(os.path.join(folder, n) for n in sorted(os.listdir(folder))), '-t', tracker.address, '--interface', local[0].ip4, '--port', '0'], work=bench.work)
        case.until(lambda: len(seed.all('start')) == 1000, '1,000 torrents are offered', 60)
        began = seed.all('start')[-1]['at'] - seed.started
        time.sleep(3)
        rows += standing('1,000 torrents', seed, 'offered after %.1f s' % began, None, 64)
        seed.kill(), tracker.kill()
        shutil.rmtree(folder)
    return rows


class IdlePeers:
    """Peers that shook hands with a seed, have nothing, want nothing, and say nothing."""

    def __init__(self, host, count, to, infohash, pieces):
        self.sockets = []
        for i in range(count):
            s = host.connect(to)
            s.sendall(b'\x13BitTorrent protocol' + bytes(8) + infohash + b'-XX0001-%012d' % i)
            self.sockets.append(s)

    def connected(self):
        """How many were answered."""
        n = 0
        for s in self.sockets:
            s.settimeout(0.01)
            try:
                n += len(s.recv(65536, 2)) >= 68    # MSG_PEEK
            except OSError:
                pass
        return n

    def close(self):
        for s in self.sockets:
            s.close()


@measure()
def load(bench):
    """a torrent of 1 TiB (65,536 pieces of 16 MiB): looked at, and loaded with one small file of it chosen"""
    piece, pieces = 16 * MIB, 65536
    files = [{'length': piece, 'path': ['small']}, {'length': (pieces - 1) * piece, 'path': ['large']}]
    torrent = os.path.join(bench.work, 'tebibyte.torrent')
    with open(torrent, 'wb') as f:
        f.write(bencode.encode({'info': {'files': files, 'name': 'tebibyte', 'piece length': piece, 'pieces': os.urandom(20 * pieces)}}))
    with hosts.Local(1) as local:
        looks, loads, memory = [], [], 0
        for _ in range(bench.rounds):
            looks.append(ran([bench.swarm, 'status', torrent, '--no-config', '--json'], env=clean_environment(bench.folder('home')), stdout=subprocess.DEVNULL))
            get = Swarm(local[0], ['get', torrent, '-f', 'small', '-d', bench.folder('got'), '--interface', local[0].ip4, '--port', '0', '--peer', '127.0.0.1:9'], work=bench.work)
            loads.append((get.event('start', 20)['at'] - get.started, exact_cpu(get.pid)))
            memory = max(memory, get.memory())
            get.kill()
    return [with_cpu('1 TiB: status FILE.torrent', looks, 0.5), with_cpu('1 TiB: loaded', loads, 0.5, rss_get_mib=memory / MIB)]


@measure()
def sparse(bench):
    """memory of both ends while a sparse file of 64 GiB moves (6 s of it)"""
    with on_disk() as folder, hosts.Lan(2) as lan:
        if shutil.disk_usage(folder).free < 70 * GIB:
            raise CannotMeasure('less than 70 GiB are free in %s, which get asks for before it begins' % os.path.dirname(folder))
        data = os.path.join(folder, 'huge.img')
        with open(data, 'wb') as f:
            f.truncate(64 * GIB)
        tracker = Tracker(lan[0], bench.work)
        seed = Seed(lan[0], bench.work, data, '--piece-size', '16M', tracker=tracker)
        offered = seed.start['at'] - seed.started, exact_cpu(seed.pid)
        get = Get(lan[1], bench.work, 'huge.img', tracker=tracker, folder=os.path.join(folder, 'got'))
        with Account(seed) as seeding, Account(get) as getting:
            get.has_pieces(1, seconds=20)
            time.sleep(6)
        moved = len(get.good_pieces())
        get.kill(), seed.kill(), tracker.kill()
    return [with_cpu('sparse 64 GiB, offered', [offered]),
            row('sparse 64 GiB, peak of the seed', 'swarm', [seeding.peak_mib], 'MiB', limit=24, cpu_s=seeding.cpu()),
            row('sparse 64 GiB, peak of the downloader', 'swarm', [getting.peak_mib], 'MiB', limit=40, cpu_s=getting.cpu(), note='after %d pieces of 16 MiB' % moved)]


@measure()
def core(bench):
    """instructions of the core alone, both ends, a MiB (callgrind)"""
    import core_instructions
    if not shutil.which('valgrind'):
        raise CannotMeasure('valgrind is not installed')
    return [row('core alone', 'from %d seed%s, pieces of %s' % (seeds, 's' * (seeds > 1), said), [core_instructions.per_mib(bench.program('core_transfer'), seeds, mib * 1024 // kib, kib)],
                'instructions/MiB', base=None)
            for seeds, mib, kib, said in ((1, 128, 1024, '1 MiB'), (64, 128, 1024, '1 MiB'), (1, 128, 16, '16 KiB'))]


@measure()
def micro(bench):
    """what single parts cost"""
    said = subprocess.run([bench.program('micro')], check=True, capture_output=True, text=True).stdout
    return [row(r['name'], 'swarm', [r['ns']], 'ns', note='a ' + r['unit']) for r in map(json.loads, said.splitlines())]


def simulated_run(bench, nodes, *options):
    """The seconds it took, what it used, and its last event."""
    argv = [bench.swarm, 'simulate', '--no-config', '--json', '--nodes', str(nodes), *options]
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        pid = subprocess.Popen(argv, stdout=said).pid
        _, status, spent = os.wait4(pid, 0)
        took = time.monotonic() - began
        said.seek(0)
        done = json.loads(said.read().splitlines()[-1])
    case.check(status == 0 and done['finished'] == nodes, '%s: %s' % (' '.join(argv), done))
    return took, spent, done


def simulated(bench, counts):
    """A row for each number of nodes: the real time and memory of a simulated flash crowd, and how the time grows."""
    rows, first = [], None
    for nodes in counts:
        took, spent, done = simulated_run(bench, nodes, '--size', '64MiB', '--piece-size', '256KiB', '--up', '100Mbit', '--down', '100Mbit', '--rtt', '1ms')
        each = took / nodes / math.log2(nodes)
        first = first or each
        rows.append(row('simulated flash crowd of %d nodes, 64 MiB' % nodes, 'swarm', [took], 's', limit=SIMULATED_S_MAX.get(nodes), cpu_s=spent.ru_utime + spent.ru_stime,
                        rss_get_mib=spent.ru_maxrss / 1024, note='%.2f × what N log N makes of %d; last whole at %.2f × the bound' % (each / first, counts[0], done['ratio'])))
    return rows


@measure()
def simulate(bench):
    """swarm simulate: real time and memory of 8, 64, 256 and 1,024 nodes, and how they grow; how long 64 sites far apart take"""
    rows = simulated(bench, (8, 64, 256, 1024))
    for size in '64 MiB', '256 MiB', '1 GiB':
        _, _, done = simulated_run(bench, 64, '--profile', 'wan', '--size', size.replace(' ', ''))
        rows.append(row('simulated WAN of 64 sites, %s: last whole against the bound' % size, 'swarm', [done['ratio']], '×', limit=1.25,
                        note='--profile wan; half of the sites are whole at %.2f × the bound' % (done['median_seconds'] / done['bound_seconds'])))
    return rows


@measure(ordinary=False)
def simulate_all(bench):
    """the same up to 4,096 nodes"""
    return simulated(bench, (8, 64, 256, 1024, 4096))


MEASURES = {f.__name__: f for f in (hash, resume, small, idle, load, sparse, core, micro, simulate, simulate_all)}
