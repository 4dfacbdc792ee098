"""Files that move: one to one, one to many, in pieces of any size, over a long link, to a real disk, among different clients."""
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import time

import bencode
import case
import disks
import hosts
import rivals
from account import Account, ran
from case import MIB
from clients import scrape
from measuring import CannotMeasure, measure, median, on_disk, row, same, torrent_of, tracker_on
from process import Process
from swarm import Get, Seed, Swarm

LIMIT_S = 120       # a transfer that takes longer counts as that
FRAME, PAYLOAD = 1514, 1448     # bytes of a full frame on a test host's line, and of content in it


class Transfer:
    """One seed, and downloaders that start together; `wall` ends with the last of them. lan[0] is the seed's host and the tracker's.
    `then`: what must be done as well before that."""

    def __init__(self, bench, lan, seeder, getters, data, torrent, infohash, folder=None, then=None):
        name = os.path.basename(data)
        seed = seeder.seed(lan[0], bench.work, torrent, data)
        if seeder.name != 'floor':
            case.until(lambda: scrape(lan[0], announce_at(lan[0]), infohash)[0], '%s tells the tracker that it seeds' % seeder.name, 30, every=0.05)
        folders = [bench.folder('got-%d' % i) if not folder else folder for i in range(len(getters))]
        gets, spent = [], []
        with Account(seed) as seed_spent:
            began, sent = time.monotonic(), lan[0].sent()
            for host, getter, into in zip(lan[1:], getters, folders):
                gets.append(getter.get(host, bench.work, torrent, into))
                spent.append(Account(gets[-1]))
            self.whole = all([s.ended(max(0.1, began + LIMIT_S - time.monotonic())) for s in spent])
            if then:
                then()
            self.wall = time.monotonic() - began
            self.seed_cpu = seed_spent.cpu()
        self.sent = lan[0].sent() - sent    # by the seed's host, headers and all
        self.each = [s.ended_at - began if s.ended_at else LIMIT_S for s in spent]     # by getter
        for g in gets:
            g.kill()
        seed.kill()
        self.get_cpus = [s.cpu() for s in spent]
        self.cpu = self.seed_cpu + sum(self.get_cpus)
        self.seed_rss, self.get_rss = seed_spent.peak_mib, max(s.peak_mib for s in spent)
        self.identical = all(same(data, os.path.join(f, name)) for f in folders)
        for f in set(folders):
            shutil.rmtree(f, ignore_errors=True)
        case.witnesses[:] = [w for w in case.witnesses if w not in (seed, *gets)]


class Ground:
    """Where transfers of one file or folder run: its torrent, and the tracker on the seed's host.

        with Ground(bench, lan, data, piece_kib) as ground:
            ground.transfer('lt', ['swarm', 'aria2'])       # clients by name, or as objects of rivals.py"""

    def __init__(self, bench, lan, data, piece_kib=None, torrent=None):
        self.bench, self.lan, self.data = bench, lan, data
        self.torrent = torrent or torrent_of(data, piece_kib, announce_at(lan[0]))
        self.infohash = infohash_of(self.torrent)

    def __enter__(self):
        self.tracker = tracker_on(self.lan[0], self.bench.work)
        return self

    def __exit__(self, *_):
        self.tracker.kill()

    def transfer(self, seeder, getters, **more):
        client = lambda c: self.bench.everyone.get(c, c)
        return Transfer(self.bench, self.lan, client(seeder), [client(g) for g in getters], self.data, self.torrent, self.infohash, **more)


def announce_at(host):
    return 'http://%s:6969/announce' % host.ip4


def infohash_of(torrent):
    with open(torrent, 'rb') as f:
        return hashlib.sha1(bencode.encode(bencode.decode(f.read())[b'info'])).digest()


def outcome(transfers, note=None):
    """Columns of a row of these. One that did not end counts as the time that it was given, and says so."""
    if not all(t.whole for t in transfers):
        return {'identical': False, 'late': True, 'note': 'given up after %d s' % LIMIT_S}
    return {'identical': all(t.identical for t in transfers), 'note': note}


def rows_of(what, transfers, *, base=None, limit=None, note=None):
    """A row a client, of its transfers."""
    return [row(what, who, [t.wall for t in all_of], 's', base=base, limit=limit if who == 'swarm' else None, cpu_s=median([t.cpu for t in all_of]),
                rss_seed_mib=max(t.seed_rss for t in all_of), rss_get_mib=max(t.get_rss for t in all_of),
                **outcome(all_of, note)) for who, all_of in transfers.items()]


def moved(bench, lan, data, piece_kib, names, downloaders=1, rounds=None):
    """{name: [Transfer, …]}, each client with itself, interleaved."""
    with Ground(bench, lan, data, piece_kib) as ground:
        return bench.interleaved(names, lambda n: ground.transfer(n, [n] * downloaders), rounds)


@measure()
def pair(bench):
    """one seed, one downloader, 1 GiB, 1 MiB pieces"""
    data = bench.file(1024)
    bench.touch(2048)
    names = bench.among('floor', 'swarm', 'lt', 'aria2', 'rtorrent')
    with hosts.Lan(2) as lan:
        return rows_of('pair, 1 GiB', moved(bench, lan, data, 1024, names), base='floor', limit=1.15)


@measure()
def sizes(bench):
    """the same in pieces of 16 KiB, 256 KiB and 16 MiB"""
    data, rows = bench.file(1024), []
    bench.touch(2048)
    with hosts.Lan(2) as lan:
        for kib in (16, 256, 16384):
            said = '%d MiB' % (kib // 1024) if kib >= 1024 else '%d KiB' % kib
            rows += rows_of('pair, 1 GiB, pieces of ' + said, moved(bench, lan, data, kib, bench.among('floor', 'swarm')), base='floor', limit=1.15)
    return rows


@measure()
def fan(bench):
    """one seed, 2, 4 and 8 downloaders that start together, 256 MiB, no rates set"""
    data, rows = bench.file(256), []
    bench.touch(2048 + 256)
    for count in (2, 4, 8):
        with hosts.Lan(count + 1) as lan:
            names = bench.among('swarm', *(('lt', 'aria2') if count == 8 else ()))
            for r in rows_of('1 to %d, 256 MiB each' % count, moved(bench, lan, data, 256, names, count, rounds=min(2, bench.rounds))):
                r['note'] = '%.2f CPU s/GiB' % (r['cpu_s'] / count * 4)
                rows.append(r)
    return rows


@measure()
def cross(bench):
    """swarm with other clients, both ways, beside each with itself; 256 MiB"""
    data, rows = bench.file(256), []
    bench.touch(1024)
    with hosts.Lan(2) as lan, Ground(bench, lan, data, 256) as ground:
        for other in bench.among('lt', 'aria2'):
            ways = {'%s to %s' % w: w for w in ((other, other), ('swarm', other), (other, 'swarm'))}
            got = bench.interleaved(list(ways), lambda n: ground.transfer(ways[n][0], [ways[n][1]]), min(2, bench.rounds))
            for r in rows_of('with ' + other, got, base='%s to %s' % (other, other)):
                r['limit'] = 1.0 if 'swarm' in r['who'] else None
                rows.append(r)
    return rows


CROWD_MIB, CROWD, CROWD_MBIT = 64, 8, 100


@measure()
def crowd(bench):
    """a flash crowd: 8 downloaders that start together, every host 100 Mbit/s each way, 64 MiB"""
    data = bench.file(CROWD_MIB)
    ideal = CROWD_MIB * MIB * 8 / (CROWD_MBIT * 1e6 * PAYLOAD / FRAME)
    with hosts.Lan(CROWD + 1, mbit=CROWD_MBIT) as lan:
        rows = rows_of('flash crowd of 8', moved(bench, lan, data, 256, bench.among('swarm', 'lt', 'aria2'), CROWD, rounds=1))
    for r in rows:
        r['note'] = '%.2f × one transfer at full rate' % (r['value'] / ideal)
    return rows


@measure()
def mixed_flash(bench):
    """a flash crowd of 4 swarm and 4 libtorrent nodes from a swarm seed, beside 8 of libtorrent from one of theirs; 100 Mbit/s, 64 MiB"""
    if not bench.among('lt'):
        raise CannotMeasure('libtorrent is not measured')
    data, half = bench.file(CROWD_MIB), CROWD // 2
    ways = {'mixed': ('swarm', ['swarm', 'lt'] * half), 'lt': ('lt', ['lt'] * CROWD)}
    with hosts.Lan(CROWD + 1, mbit=CROWD_MBIT) as lan, Ground(bench, lan, data, 256) as ground:
        got = bench.interleaved(list(ways), lambda n: ground.transfer(*ways[n]))
    # Who of a crowd is looked at: the numbers of its downloaders.
    looked_at = {'all': ('mixed', range(CROWD)), 'swarm nodes': ('mixed', range(0, CROWD, 2)), 'lt nodes': ('mixed', range(1, CROWD, 2)), 'lt': ('lt', range(CROWD))}
    rows = []
    for what, of in (('last whole', max), ('median', median)):
        for who, (crowd_of, which) in looked_at.items():
            transfers = got[crowd_of]
            rows.append(row('4 swarm + 4 lt, ' + what, who, [of([t.each[i] for i in which]) for t in transfers], 's', base='lt', limit=1.0 if who != 'lt' else None,
                            cpu_s=median([t.seed_cpu * (len(which) == CROWD) + sum(t.get_cpus[i] for i in which) for t in transfers]),
                            **outcome(transfers, 'the seed sends %.2f copies' % median([t.sent / (CROWD_MIB * MIB * FRAME / PAYLOAD) for t in transfers]) if len(which) == CROWD else None)))
    return rows


@measure()
def peers64(bench):
    """one downloader from 64 whole peers beside one from one, CPU a byte; 512 MiB"""
    data, rows = bench.file(512), []
    bench.touch(1024)
    torrent = torrent_of(data, 512, None)
    with hosts.Lan(2) as lan:
        seeds = []
        def once(count):
            while len(seeds) < count:
                seeds.append(Seed(lan[0], bench.work, data, '--torrent', torrent, port=7000 + len(seeds)))
            folder = bench.folder('got')
            peers = [w for i in range(count) for w in ('--peer', '%s:%d' % (lan[0].ip4, 7000 + i))]
            get = Get(lan[1], bench.work, torrent, *peers, folder=folder)
            with Account(get) as spent:
                over = spent.ended(LIMIT_S)
            identical = over and same(data, get.path(os.path.basename(data)))
            get.kill()
            return get, spent, time.monotonic() - get.started, identical
        for count in (1, 64):
            got = bench.interleaved([count], once)[count]
            rows.append(row('CPU of a downloader', 'from %d peer%s' % (count, 's' * (count > 1)), [1024 / 512 * s.cpu() for _, s, _, _ in got], 's/GiB', base='from 1 peer',
                            limit=1.1 if count > 1 else None, rss_get_mib=max(s.peak_mib for _, s, _, _ in got), identical=all(i for *_, i in got)))
    return rows


@measure()
def far(bench):
    """over a round trip of 40 ms at 1 Gbit/s (a link in user space), beside iperf3"""
    if not os.path.exists('/dev/net/tun'):
        raise CannotMeasure('no /dev/net/tun')
    if not shutil.which('iperf3'):
        raise CannotMeasure('iperf3 is not installed')
    data = bench.file(512)
    with hosts.Lan(2) as lan:
        link = subprocess.Popen([bench.program('long_link'), lan[0].name, lan[1].name, '1000', '40'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            case.check(link.stdout.readline() == 'ready\n', 'the link in user space does not start')
            ends = ['10.78.0.1', '10.78.0.2']
            for host, own, other in zip(lan, ends, reversed(ends)):
                hosts.ip(host.name, 'addr add %s peer %s dev long0' % (own, other), 'link set long0 up')
                host.ip4 = own      # the clients listen and connect over it
            far_rows = far_over(bench, lan, data)
        finally:
            link.stdin.close()
            link.wait(10)
    return far_rows


def far_over(bench, lan, data):
    size, server = os.path.getsize(data), Process(lan[0], ['iperf3', '-s', '-B', lan[0].ip4, '-p', '5201'], name='iperf3 -s')
    case.until(lambda: listens(lan[0], 5201), 'iperf3 listens', 5)

    def once(name):
        if name == 'iperf3':
            said = Process(lan[1], ['iperf3', '-c', lan[0].ip4, '-B', lan[1].ip4, '-p', '5201', '-R', '-n', str(size), '-J'], name='iperf3 -c')
            said.wait(LIMIT_S)
            end = json.loads(said.out)['end']
            return end['sum_received']['bits_per_second'] / 8 / MIB, end['sum_received']['seconds'] * both_cpu(end['cpu_utilization_percent']), True
        t = ground.transfer(name, [name])
        return size / t.wall / MIB, t.cpu, t.identical
    with Ground(bench, lan, data, 512) as ground:
        got = bench.interleaved(['iperf3', *bench.among('swarm', 'lt')], once, min(2, bench.rounds))
    server.kill()
    return rates('40 ms, 1 Gbit/s, 512 MiB', got, 'iperf3')


def both_cpu(percent):
    """What iperf3 says of both sides, as a part of one core."""
    return (percent['host_total'] + percent['remote_total']) / 100


def rates(what, got, base):
    """A row a client of (MiB/s, CPU seconds, whether all is well)."""
    return [row(what, who, [v for v, *_ in all_of], 'MiB/s', better='more', base=base, limit=0.9 if who == 'swarm' else None,
                cpu_s=median([c for _, c, _ in all_of]), identical=all(i for *_, i in all_of)) for who, all_of in got.items()]


def listens(host, port):
    try:
        host.connect((host.ip4, port)).close()
        return True
    except OSError:
        return False


@measure()
def disk(bench):
    """to a real disk, beside dd conv=fsync and the floor; 512 MiB"""
    data = bench.file(512)
    size = os.path.getsize(data)

    def once(name):
        os.sync()
        if name == 'dd':
            target = os.path.join(folder, os.path.basename(data))
            took, cpu = ran(['dd', 'if=' + data, 'of=' + target, 'bs=1M', 'conv=fsync', 'status=none'])
            os.remove(target)
            return size / took / MIB, cpu, True
        t = ground.transfer(name, [name], folder=os.path.join(folder, 'got'))
        return size / t.wall / MIB, t.cpu, t.identical
    with on_disk() as folder, hosts.Lan(2) as lan, Ground(bench, lan, data, 512) as ground:
        got = bench.interleaved(['dd', *bench.among('floor', 'swarm')], once)
    return rates('to a disk, 512 MiB', got, min(('dd', 'floor'), key=lambda n: median([v for v, *_ in got[n]])))


SYNC_ROUNDS, SYNC_ROUNDS_OF_LINE = 10, 5     # at the least; where a line sets the pace, rounds differ by 1 %


@measure()
def sync(bench):
    """what syncs cost: get onto ext4 in memory with all of them, with none, and with none but one when it is whole; at full speed and at 1 Gbit/s"""
    bench.touch(2048)
    return sync_costs(bench, '1 GiB', 1024, None, SYNC_ROUNDS) + sync_costs(bench, '256 MiB at 1 Gbit/s', 256, 1000, SYNC_ROUNDS_OF_LINE)


def sync_costs(bench, moved_said, mib, mbit, rounds_min):
    data, without = bench.file(mib), rivals.WithoutSyncs(bench.programs, bench.work)
    ways = {'swarm': (bench.everyone['swarm'], None), 'without syncs': (without, None), 'without, then one sync': (without, lambda: disks.sync(folder))}

    def once(name):
        client, then = ways[name]
        disks.sync(folder)
        t = ground.transfer('swarm', [client], folder=os.path.join(folder, 'got'), then=then)
        if client is without and not without.left_out():
            raise CannotMeasure('no sync of swarm could be left out: is it linked statically?')
        return t
    try:
        place, said = disks.Ext4(bench.work, mib * 3 // 2), 'ext4 in memory'
    except case.Skip:
        place, said = on_disk(), 'a disk'
    with place as folder, hosts.Lan(2, mbit=mbit) as lan, Ground(bench, lan, data, 1024) as ground:
        got = bench.interleaved(list(ways), once, max(rounds_min, bench.rounds))
    rows = rows_of('%s to %s, what syncs cost' % (moved_said, said), got, base='without syncs', limit=1.03)
    for r in rows:
        low, _, high = statistics.quantiles((t.wall / n.wall for t, n in zip(got[r['who']], got['without syncs'])), n=4)
        r['note'] = 'left out: ' + without.left_out() if r['who'] == 'without syncs' else 'half of the rounds within %.2f–%.2f ×' % (low, high)
    return rows


@measure()
def calls(bench):
    """system calls a MiB of a pair, 256 MiB (strace -c)"""
    if not shutil.which('strace'):
        raise CannotMeasure('strace is not installed')
    data, counts = bench.file(256), {}
    with hosts.Lan(2) as lan:
        torrent = torrent_of(data, 1024, None)
        counted = {side: os.path.join(bench.work, 'calls-' + side) for side in ('seed', 'get')}
        strace = lambda side: ('strace', '-f', '-c', '-o', counted[side])
        seed = SeedUnder(strace('seed'), lan[0], bench.work, data, torrent)
        get = Get(lan[1], bench.work, torrent, '--peer', '%s:6881' % lan[0].ip4, folder=bench.folder('got'), prefix=strace('get'))
        get.ends(0, LIMIT_S)
        seed.end()
    return [row('system calls', side, [total_calls(path) / 256], '/MiB', note='start, hashing and end among them') for side, path in counted.items()]


class SeedUnder:
    """A seed under strace, which passes on no signal: its child is told to end."""

    def __init__(self, prefix, host, work, data, torrent):
        self.process = Swarm(host, ['seed', data, '--torrent', torrent, '--interface', host.ip4, '--port', '6881'], work=work, prefix=prefix)
        self.process.event('start', 60)

    def end(self):
        with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as f:
            for child in f.read().split():
                os.kill(int(child), 2)
        self.process.wait(20)


def total_calls(path):
    """The sum of strace -c."""
    with open(path) as f:
        return int(next(re.search(r'(\d+)\s+(?:\d+\s+)?total', l)[1] for l in f if l.rstrip().endswith('total')))


MEASURES = {f.__name__: f for f in (pair, sizes, fan, cross, crowd, mixed_flash, peers64, far, disk, sync, calls)}
