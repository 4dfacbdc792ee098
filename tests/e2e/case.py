"""What every test script here shares: its end as an exit code, its deadlines, its work folder.

    if __name__ == '__main__':
        case.run(main)          # main(work): 0 when it returns, 77 when it raises Skip, 1 with everybody's last words otherwise

Deadlines are stretched by SWARM_PATIENCE (a sanitizer build sets it); random choices come from `case.random`, whose seed is
printed and can be given again as SWARM_SEED."""
import os
import random as _random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

PATIENCE = float(os.environ.get('SWARM_PATIENCE', '1'))
BIG = os.environ.get('SWARM_BIG') == '1'
SEED = int(os.environ.get('SWARM_SEED') or int.from_bytes(os.urandom(4), 'big'))
random = _random.Random(SEED)
MIB, GIB = 1 << 20, 1 << 30

witnesses = []  # processes whose last words a failure prints
_began = time.monotonic()


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


class Failure(AssertionError):
    """What should have been and was not."""


def check(holds, what, *details):
    """Fails with `what`; details are only shown then."""
    if not holds:
        raise Failure('\n  '.join([what, *map(str, details)]))


def say(text):
    print('%7.2f  %s' % (time.monotonic() - _began, text), flush=True)


def until(condition, what, seconds, every=0.02):
    """Waits for a state that nobody announces; returns the first true answer of `condition`."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        check(time.monotonic() < deadline, 'not within %g s: %s' % (seconds * PATIENCE, what))
        time.sleep(every)


def work_folder(bytes_needed):
    """A new folder with that much room, in memory when it fits there."""
    for base in ('/dev/shm', os.environ.get('TMPDIR') or '/tmp'):
        if os.path.isdir(base) and os.access(base, os.W_OK) and shutil.disk_usage(base).free > bytes_needed * 1.1:
            sweep(base)
            work = tempfile.mkdtemp(prefix='%s%d-' % (PREFIX, os.getpid()), dir=base)
            os.chmod(work, 0o755)  # opentracker gives up root before it reads its whitelist
            return work
    raise Skip('no folder with %d MiB of room' % (bytes_needed // MIB))


PREFIX = 'swarm-test-'


def sweep(base):
    """Removes the work folders of scripts that were killed."""
    for name in os.listdir(base):
        m = re.match(PREFIX + r'(\d+)-', name)
        if m and not os.path.exists('/proc/' + m[1]):
            unmount(os.path.join(base, name))
            shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def unmount(folder):
    """Takes down every file system below it (disks.py)."""
    with open('/proc/self/mounts') as f:
        below = [l.split()[1] for l in f if l.split()[1].startswith(folder + '/')]
    for place in below:
        subprocess.run(['umount', '-l', place], capture_output=True)


def run(main, bytes_needed=64 * MIB, quiet=False):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not quiet:
        say('random seed %d' % SEED)
    work, code = None, 1
    try:
        work = work_folder(bytes_needed)
        main(work)
        code = 0
        if not quiet:
            say('passed')
    except Skip as e:
        code = 77
        print('SKIP: %s' % e)
    except Exception as e:
        traceback.print_exc(file=sys.stdout)
        for w in [w for w in witnesses if w.running] or witnesses[-4:]:
            print(w.last_words())
        say('FAILED (SWARM_SEED=%d): %s' % (SEED, e))
    finally:
        for w in witnesses:
            w.kill()
        if work and not os.environ.get('SWARM_KEEP'):
            shutil.rmtree(work, ignore_errors=True)
    sys.stdout.flush()
    sys.exit(code)
