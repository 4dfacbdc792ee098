"""--up and --down: exact within 3 % over 10 s, for all torrents of a process together."""
import os
import time

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Tracker

LIMIT, SECONDS, TOLERANCE = 8 * MIB, 10, 0.03


def main(work):
    with hosts.Lan(4) as lan:
        tracker = Tracker(lan[0], work)
        files = []
        for name in ('one.bin', 'other.bin'):
            files.append(os.path.join(work, 'source', name))
            content.random_file(files[-1], 320 * MIB)
        up(work, lan, tracker, files)
        down(work, lan, tracker, files)


def up(work, lan, tracker, files):
    """Two torrents of one seed to two machines: their sum is what the limit is about."""
    seeds = Seed(lan[1], work, files[0], files[1], '--up', '8M', '--piece-size', '64K', tracker=tracker)
    for name in ('one.bin', 'other.bin'):
        tracker.knows(name)
    gets = [Get(host, work, name, '--down', '100M', tracker=tracker) for host, name in zip(lan[2:4], ('one.bin', 'other.bin'))]
    rate = measured(gets, '--up 8M of two torrents')
    say('--up 8M, two torrents: %.3f MiB/s over %d s' % (rate / MIB, SECONDS))
    for process in (*gets, seeds):
        process.kill()


def down(work, lan, tracker, files):
    seed = Seed(lan[1], work, files[0], '--piece-size', '64K', tracker=tracker)
    tracker.knows('one.bin')
    get = Get(lan[2], work, 'one.bin', '--down', '8M', tracker=tracker, folder=os.path.join(work, 'limited'))
    rate = measured([get], '--down 8M')
    say('--down 8M: %.3f MiB/s over %d s' % (rate / MIB, SECONDS))
    get.kill()
    seed.kill()


def measured(gets, what):
    """Bytes a second that these downloads verify together, from two seconds after the first on. Too fast is a fault at once; too
    slow may be a busy machine's doing, so the next ten seconds count, and the ten after them."""
    for g in gets:
        g.event('progress', 20, where=lambda e: e['bytes_done'] > 0)
    over(2)
    for _ in range(3):
        before, at = total(gets), time.monotonic()
        over(SECONDS)
        rate = (total(gets) - before) / (time.monotonic() - at)
        check(rate <= LIMIT * (1 + TOLERANCE), '%s: %.3f MiB/s' % (what, rate / MIB))
        if rate >= LIMIT * (1 - TOLERANCE):
            return rate
    raise case.Failure('%s: %.3f MiB/s' % (what, rate / MIB))


def over(seconds):
    until = time.monotonic() + seconds
    case.until(lambda: time.monotonic() >= until, '%d seconds are over' % seconds, seconds + 10)


def total(gets):
    """Counted by the pieces that were told: a progress event is up to a second old."""
    return sum(len(g.good_pieces()) for g in gets) * (64 << 10)


if __name__ == '__main__':
    case.run(main)
