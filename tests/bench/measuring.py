"""What the measures share: who takes part, files to move, interleaved rounds, and a row of the table."""
import contextlib
import os
import shutil
import statistics
import subprocess

import case
import rivals
from bencode import Torrent
from case import MIB
from swarm import Tracker


class CannotMeasure(Exception):
    """This machine lacks what the measure needs; the text says what."""


def measure(ordinary=True):
    """Marks a function of a Bench that gives rows; `ordinary` ones make up the default selection."""
    def mark(function):
        function.ordinary = ordinary
        return function
    return mark


class Bench:
    """One run: the binary, the programs, a folder that goes with it, and what it keeps between measures."""

    def __init__(self, swarm, programs, work):
        self.swarm, self.programs, self.work = os.path.abspath(swarm), os.path.abspath(programs), work
        self.rounds = int(os.environ.get('SWARM_BENCH_ROUNDS', '3'))
        self.everyone, self.left_out = {}, []
        only = [n for n in os.environ.get('SWARM_BENCH_RIVALS', '').split(',') if n]
        for name, client in rivals.everyone(programs).items():
            why = client.available()
            if why:
                self.left_out.append((name, why))
            elif not only or name in (*only, 'swarm', 'floor'):
                self.everyone[name] = client
        self._warm = 0

    def program(self, name):
        return os.path.join(self.programs, name)

    def among(self, *wanted):
        """Those of `wanted` that take part."""
        return [n for n in wanted if n in self.everyone]

    def file(self, mib):
        """A file of random bytes; the machine has touched the memory that its copies need."""
        path = os.path.join(self.work, 'source-%d' % mib, 'big-%d.bin' % mib)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as f:
                for _ in range(mib):
                    f.write(os.urandom(MIB))
        return path

    def touch(self, mib):
        """A virtual machine's memory is slow the first time that it is used: files of this size were there before."""
        if mib <= self._warm:
            return
        path = os.path.join(self.work, 'touched')
        with open(path, 'wb') as f:
            for _ in range(mib):
                f.write(b'x' * MIB)
        os.remove(path)
        self._warm = mib

    def folder(self, name):
        """An empty folder of this name."""
        path = os.path.join(self.work, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def interleaved(self, names, once, rounds=None):
        """{name: [once(name), …]}: every name once, then all again."""
        out = {n: [] for n in names}
        for _ in range(rounds or self.rounds):
            for n in names:
                out[n].append(once(n))
        return out

    def end_all(self):
        """Ends every process that a measure left running."""
        for w in case.witnesses:
            w.kill()
        case.witnesses.clear()


@contextlib.contextmanager
def on_disk():
    """An empty folder that is not in memory, while this is open: where SWARM_BENCH_DISK says, else where temporary files lie."""
    places = [os.environ['SWARM_BENCH_DISK']] if 'SWARM_BENCH_DISK' in os.environ else (os.environ.get('TMPDIR'), '/var/tmp', '/tmp', os.getcwd())
    place = next((p for p in places if p and os.path.isdir(p) and not in_memory(p)), None)
    if not place:
        raise CannotMeasure('every folder here is in memory; SWARM_BENCH_DISK names one that is not')
    folder = os.path.join(place, case.PREFIX + '%d-disk' % os.getpid())
    case.sweep(place)
    os.makedirs(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_memory(folder):
    return subprocess.run(['stat', '-f', '-c', '%T', folder], capture_output=True, text=True).stdout.strip() in ('tmpfs', 'ramfs')


def torrent_of(path, piece_kib, announce):
    """A .torrent beside the file, of this piece size, that names this tracker."""
    into = '%s-%d.torrent' % (path, piece_kib)
    return Torrent(path, piece_kib << 10, announce).save(into)


def tracker_on(host, work):
    """Who tracks: swarm's own for everybody, since all of them speak the same announce to it."""
    return Tracker(host, work)


def median(values):
    return statistics.median(values)


def row(what, who, samples, unit, *, better='less', base=None, limit=None, **columns):
    """A line of the table: the median of `samples`. `base`: whose figure in the same `what` this is compared with; `limit`: what the
    quotient may be at most (at least, for what is better when there is more of it). columns: cpu_s, rss_seed_mib, rss_get_mib, note, identical,
    late (it was given up: the figure is the least that it can be)."""
    samples = [float(s) for s in samples]
    return {'what': what, 'who': who, 'value': median(samples), 'samples': samples, 'unit': unit, 'better': better, 'base': base,
            'limit': limit, **{k: v for k, v in columns.items() if v is not None}}


def same(a, b):
    """Two files or two folders."""
    return subprocess.run(['diff', '-rq', '--no-dereference', a, b], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
