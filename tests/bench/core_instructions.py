"""A regression test that no other load on the machine disturbs: instructions of the core for a MiB that moves, both ends, as callgrind
counts them, against the figure kept in kept.json for this compiler and these options.

    core_instructions.py CORE_TRANSFER BUILD        BUILD: "gcc-12 release lto", a key of kept.json

More than TOLERANCE above the kept figure fails; as much below asks to keep the new one. The figure counts what the core does for a block
(requests, headers, bookkeeping), which is where a mistake that is quadratic or allocates shows first; hashing, copies and system calls
are the driver's, and none of it."""
import json
import os
import re
import shutil
import subprocess
import sys

TOLERANCE = 0.03
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kept.json')


def per_mib(program, seeds, pieces, piece_kib):
    """Instructions of both ends a MiB of payload."""
    valgrind = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', '--toggle-collect=measured_transfer']
    run = subprocess.run([*valgrind, program, str(seeds), str(pieces), str(piece_kib)], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr[-2000:])
    return int(re.search(r'Collected : (\d+)', run.stderr)[1]) / (int(run.stdout) / 2**20)


def main():
    program, build = sys.argv[1:]
    with open(KEPT) as f:
        kept = json.load(f)['core_instructions_per_mib']
    if not shutil.which('valgrind'):
        skip('valgrind is not installed')
    if build not in kept:
        skip('no figure is kept for %s, only for %s' % (build, ', '.join(kept)))
    failed = False
    for what, limit in kept[build].items():
        seeds, pieces, piece_kib = map(int, what.split())
        now = per_mib(program, seeds, pieces, piece_kib)
        change = now / limit - 1
        print('%d seed(s), %d pieces of %d KiB: %.0f instructions a MiB, kept %.0f (%+.1f %%)' % (seeds, pieces, piece_kib, now, limit, 100 * change))
        if change < -TOLERANCE:
            print('  better than what is kept: write the new figure into tests/bench/kept.json')
        failed |= change > TOLERANCE
    sys.exit(1 if failed else 0)


def skip(why):
    print('SKIP: ' + why)
    sys.exit(77)


if __name__ == '__main__':
    main()
