"""Files that move: one to one, one to many, in pieces of any size, over a long link, to a real disk, among different clients."""
import os
import re
import shutil
import socket
import subprocess
import time

import case
import content
import hosts
from account import Account
from case import MIB
from clients import scrape
from measuring import CannotMeasure, measure, median, row, same, torrent_of, tracker_on
from process import Process
from swarm import Get, Seed

LIMIT_S = 120       # a transfer that takes longer counts as that


class Transfer:
    """One seed, and downloaders that start together; `wall` ends with the last of them. lan[0] is the seed's host and the tracker's."""

    def __init__(self, bench, lan, seeder, getters, data, torrent, infohash, folder=None, settle=0.0):
        everyone, name = bench.everyone, os.path.basename(data)
        seed = everyone[seeder].seed(lan[0], bench.work, torrent, data)
        if seeder != 'floor':
            case.until(lambda: scrape(lan[0], announce_at(lan[0]), infohash)[0], '%s tells the tracker that it seeds' % seeder, 30, every=0.05)
        time.sleep(settle)
        folders = [bench.folder('got-%d' % i) if not folder else folder for i in range(len(getters))]
        gets, spent = [], []
        with Account(seed) as seed_spent:
            began = time.monotonic()
            for host, getter, into in zip(lan[1:], getters, folders):
                gets.append(everyone[getter].get(host, bench.work, torrent, into))
                spent.append(Account(gets[-1]))
            self.whole = all([s.ended(max(0.1, began + LIMIT_S - time.monotonic())) for s in spent])
            self.wall = time.monotonic() - began
            self.seed_cpu = seed_spent.cpu()
        for g in gets:
            g.kill()
        seed.kill()
        self.get_cpu = sum(s.cpu() for s in spent)
        self.seed_rss, self.get_rss = seed_spent.peak_mib, max(s.peak_mib for s in spent)
        self.identical = all(same(data, os.path.join(f, name)) for f in folders)
        for f in set(folders):
            shutil.rmtree(f, ignore_errors=True)
        case.witnesses[:] = [w for w in case.witnesses if w not in (seed, *gets)]


def announce_at(host):
    return 'http://%s:6969/announce' % host.ip4


def rows_of(what, transfers, *, base=None, limit=None, cpu=True, note=None):
    """A row a client, of its transfers. One that did not end counts as the time it was given, and says so."""
    out = []
    for who, all_of in transfers.items():
        late = '' if all(t.whole for t in all_of) else 'given up after %d s' % LIMIT_S
        out.append(row(what, who, [t.wall for t in all_of], 's', base=base, limit=limit if who == 'swarm' else None,
                       cpu_s=median([t.seed_cpu + t.get_cpu for t in all_of]) if cpu else None,
                       rss_seed_mib=max(t.seed_rss for t in all_of), rss_get_mib=max(t.get_rss for t in all_of),
                       identical=not late and all(t.identical for t in all_of), note=late or note))
    return out


def moved(bench, lan, data, piece_kib, names, downloaders=1, rounds=None, **more):
    """{name: [Transfer, …]}, interleaved."""
    torrent = torrent_of(data, piece_kib, announce_at(lan[0]))
    tracker = tracker_on(lan[0], bench.work)
    infohash = infohash_of(torrent)
    once = lambda n: Transfer(bench, lan, n, [n] * downloaders, data, torrent, infohash, **more)
    out = bench.interleaved(names, once, rounds)
    tracker.kill()
    return out


def infohash_of(torrent):
    import bencode
    import hashlib
    with open(torrent, 'rb') as f:
        return hashlib.sha1(bencode.encode(bencode.decode(f.read())[b'info'])).digest()


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
    """the same in pieces of 16 KiB, 256 KiB and 16 MiB, 512 MiB"""
    data, rows = bench.file(512), []
    bench.touch(1024)
    with hosts.Lan(2) as lan:
        for kib in (16, 256, 16384):
            said = '%d MiB' % (kib // 1024) if kib >= 1024 else '%d KiB' % kib
            rows += rows_of('pair, 512 MiB, pieces of ' + said, moved(bench, lan, data, kib, bench.among('floor', 'swarm')), base='floor', limit=1.15)
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
    with hosts.Lan(2) as lan:
        torrent = torrent_of(data, 256, announce_at(lan[0]))
        infohash, tracker = infohash_of(torrent), tracker_on(lan[0], bench.work)
        for other in bench.among('lt', 'aria2'):
            ways = {'%s to %s' % w: w for w in ((other, other), ('swarm', other), (other, 'swarm'))}
            once = lambda n: Transfer(bench, lan, ways[n][0], [ways[n][1]], data, torrent, infohash)
            for r in rows_of('with ' + other, bench.interleaved(list(ways), once, min(2, bench.rounds)), base='%s to %s' % (other, other)):
                r['limit'] = 1.0 if 'swarm' in r['who'] else None
                rows.append(r)
        tracker.kill()
    return rows


@measure()
def crowd(bench):
    """a flash crowd: 8 downloaders that start together, every host 100 Mbit/s each way, 64 MiB"""
    data, n = bench.file(64), 8
    ideal = 64 * MIB * 8 / (100e6 * 1448 / 1514)
    names = bench.among('swarm', 'lt', 'aria2')
    with hosts.Lan(n + 1, mbit=100) as lan:
        rows = rows_of('flash crowd of 8', moved(bench, lan, data, 256, names, n, rounds=1), limit=None)
    for r in rows:
        r['note'] = '%.2f × one transfer at full rate' % (r['value'] / ideal)
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
    torrent = torrent_of(data, 512, announce_at(lan[0]))
    tracker, infohash = tracker_on(lan[0], bench.work), infohash_of(torrent)

    def once(name):
        if name == 'iperf3':
            said = Process(lan[1], ['iperf3', '-c', lan[0].ip4, '-B', lan[1].ip4, '-p', '5201', '-R', '-n', str(size), '-J'], name='iperf3 -c')
            said.wait(LIMIT_S)
            import json
            return json.loads(said.out)['end']['sum_received']['bits_per_second'] / 8 / MIB, True
        t = Transfer(bench, lan, name, [name], data, torrent, infohash)
        return size / t.wall / MIB, t.identical
    got = bench.interleaved(['iperf3', *bench.among('swarm', 'lt')], once, min(2, bench.rounds))
    server.kill(), tracker.kill()
    return [row('40 ms, 1 Gbit/s, 512 MiB', who, [v for v, _ in all_of], 'MiB/s', better='more', base='iperf3', limit=0.9 if who == 'swarm' else None,
                identical=all(i for _, i in all_of)) for who, all_of in got.items()]


def listens(host, port):
    try:
        host.connect((host.ip4, port)).close()
        return True
    except OSError:
        return False


@measure()
def disk(bench):
    """to a real disk, beside dd conv=fsync and the floor; 512 MiB"""
    place = os.environ.get('SWARM_BENCH_DISK') or real_disk()
    data = bench.file(512)
    size, folder = os.path.getsize(data), os.path.join(place, case.PREFIX + '%d-disk' % os.getpid())
    os.makedirs(folder)
    try:
        with hosts.Lan(2) as lan:
            torrent = torrent_of(data, 512, announce_at(lan[0]))
            tracker, infohash = tracker_on(lan[0], bench.work), infohash_of(torrent)

            def once(name):
                target = os.path.join(folder, os.path.basename(data))
                os.sync()
                if name == 'dd':
                    began = time.monotonic()
                    subprocess.run(['dd', 'if=' + data, 'of=' + target, 'bs=1M', 'conv=fsync'], check=True, capture_output=True)
                    took = time.monotonic() - began
                    os.remove(target)
                    return size / took / MIB, True
                t = Transfer(bench, lan, name, [name], data, torrent, infohash, folder=os.path.join(folder, 'got'))
                return size / t.wall / MIB, t.identical
            got = bench.interleaved(['dd', *bench.among('floor', 'swarm')], once)
            tracker.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    slower = min(('dd', 'floor'), key=lambda n: median([v for v, _ in got[n]]))
    return [row('to a disk, 512 MiB', who, [v for v, _ in all_of], 'MiB/s', better='more', base=slower, limit=0.9 if who == 'swarm' else None,
                identical=all(i for _, i in all_of)) for who, all_of in got.items()]


def real_disk():
    """A folder that is not in memory."""
    for place in (os.environ.get('TMPDIR'), '/var/tmp', '/tmp', os.getcwd()):
        if place and os.path.isdir(place) and subprocess.run(['stat', '-f', '-c', '%T', place], capture_output=True, text=True).stdout.strip() not in ('tmpfs', 'ramfs'):
            return place
    raise CannotMeasure('every folder here is in memory; SWARM_BENCH_DISK names one that is not')


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
        from swarm import Swarm
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


MEASURES = {f.__name__: f for f in (pair, sizes, fan, cross, crowd, peers64, far, disk, calls)}
