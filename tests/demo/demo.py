"""The demo: a tracker, one seed and three downloads of a 256 MiB file on this machine, watched live and compared at the end.

    demo.py SWARM          SWARM is the binary; exits 0 only when the three copies are identical"""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
os.environ['SWARM'] = sys.argv[1] if len(sys.argv) > 1 else ''
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import case
import content
import hosts
from case import MIB, check
from swarm import Get, Seed, Tracker, binary

SIZE = 256 * MIB
SEED_RATE = 48 * MIB      # the seed alone would need 16 s for three copies: the downloaders help each other


def main(work):
    with hosts.Local(5) as local:
        data = os.path.join(work, 'source', 'demo.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(local[0], work, port=0)
        print('swarm tracker            at %s' % tracker.address)
        seed = Seed(local[1], work, data, '--up', str(SEED_RATE), tracker=tracker, port=0)
        print('swarm seed demo.bin      256 MiB of random bytes, at most %d MiB/s up' % (SEED_RATE // MIB))
        tracker.knows('demo.bin')
        began = time.monotonic()
        gets = [Get(h, work, 'demo.bin', tracker=tracker, port=0) for h in local[2:]]
        print('swarm get demo.bin       three times, at once\n', flush=True)
        follow(tracker, gets)
        wall = time.monotonic() - began
        identical = [content.sha256(g.path('demo.bin')) == digest for g in gets]
        seed.send(2)
        seed.ends(130)
        given = sum(g.event('done')['bytes_up'] for g in gets)
        print('\n%d of 3 copies identical (sha256 %s…): 3 x 256 MiB in %.1f s, %.0f MiB/s in all; the seed sent %.2f copies, the downloaders %.2f to each other'
              % (sum(identical), digest[:12], wall, 3 * SIZE / MIB / wall, seed.event('done')['bytes_up'] / SIZE, given / SIZE))
        check(all(identical), 'a copy differs')


def follow(tracker, gets):
    """Until all have ended: `swarm status --watch` on a terminal, off it a line a second."""
    watch = [binary(), 'status', '--watch', '-t', tracker.address, '--no-config']
    view = subprocess.Popen(watch) if sys.stdout.isatty() else None
    began = line_at = time.monotonic()
    while any(g.running for g in gets):
        if not view and time.monotonic() >= line_at:
            print('%5.1f s  %s' % (time.monotonic() - began, '   '.join(map(progress, gets))), flush=True)
            line_at += 1
        time.sleep(0.05)
    if view:
        view.send_signal(2)
        view.wait(5)
    for g in gets:
        g.ends(0)


def progress(get):
    """'42.0%  61.5 MiB/s' of one download."""
    latest = next(reversed(get.all('progress')), {'percent': 0, 'rate_down': 0})
    return '%5.1f%% %6.1f MiB/s' % (latest['percent'], latest['rate_down'] / MIB)


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE + 64 * MIB, quiet=True)
