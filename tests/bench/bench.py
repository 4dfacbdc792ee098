"""What swarm costs, beside other clients that are installed here, in one table:

    bench.py SWARM PROGRAMS [--list]        SWARM is the binary, PROGRAMS the folder of the programs built beside this
    meson compile -C build bench            the same, of a build folder; the rest is said by the environment:

    SWARM_BENCH=pair,hash    only these (--list names them, and how long each took); `all` adds what takes long, `missing` is what FILE
                             has not of this binary: a run that was interrupted goes on
    SWARM_BENCH_ROUNDS=5     rounds a median is of; they are interleaved, so that a machine that drifts drifts for all
    SWARM_BENCH_RIVALS=lt    only these beside swarm and the floor
    SWARM_BENCH_JSON=FILE    where the rows are kept (PROGRAMS/results.json), after each measure: a run replaces the rows of what it
                             measured, and readme_table.py makes README's table of them

Needs root for test hosts (network namespaces); what cannot be measured here is named with the reason. Every downloaded file is compared
with what was seeded. Nothing is left behind, also after Ctrl-C."""
import hashlib
import os
import platform
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'e2e'), os.path.join(HERE, '..', 'interop')]
import case
import results
import rivals
import standing
import trackers
import transfers
from measuring import Bench, CannotMeasure

MEASURES = {**transfers.MEASURES, **standing.MEASURES, **trackers.MEASURES}


def main():
    swarm, programs, *words = sys.argv[1:] or sys.exit(__doc__)
    file = os.environ.get('SWARM_BENCH_JSON') or os.path.join(programs, 'results.json')
    if '--list' in words:
        took = {name: '%4.0f s' % about['took_s'] for name, about in results.load(file)['measures'].items()}
        for name, measure in MEASURES.items():
            print('%-12s %-6s  %s%s' % (name, took.get(name, ''), measure.__doc__.split('\n')[0], '' if measure.ordinary else ' (long)'))
        return
    os.environ['SWARM'] = os.path.abspath(swarm)
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))     # as SIGTERM: everything is taken down first
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    with open(swarm, 'rb') as f:
        binary = hashlib.file_digest(f, 'sha256').hexdigest()
    kept = results.load(file)
    if kept['machine'] not in ('', machine()):
        sys.exit('%s is of another machine (%s); SWARM_BENCH_JSON names another file' % (file, kept['machine']))
    chosen = names(os.environ.get('SWARM_BENCH', ''), {n for n, about in kept['measures'].items() if about['binary'] == binary})
    case.run(lambda work: measure_all(chosen, Bench(swarm, programs, work), file, binary), bytes_needed=6 << 30, quiet=True)


def names(text, measured):
    ordinary = [n for n, m in MEASURES.items() if m.ordinary]
    wanted = [n for n in text.split(',') if n] or ordinary
    if wanted == ['all']:
        return list(MEASURES)
    if wanted == ['missing']:
        return [n for n in ordinary if n not in measured]
    unknown = [n for n in wanted if n not in MEASURES]
    if unknown:
        sys.exit('no measure %r; --list names them' % unknown[0])
    return wanted


def measure_all(chosen, bench, file, binary):
    began, skipped, failed = time.monotonic(), [], []
    for name in chosen:
        measure_began = time.monotonic()
        print('… %s: %s' % (name, MEASURES[name].__doc__.split('\n')[0]), file=sys.stderr, flush=True)
        try:
            rows = MEASURES[name](bench)
        except (CannotMeasure, case.Skip) as e:
            skipped.append((name, str(e)))
            continue
        except (case.Failure, OSError, subprocess.SubprocessError) as e:
            traceback.print_exc()
            for w in [w for w in case.witnesses if w.running] or case.witnesses[-4:]:
                print(w.last_words(), file=sys.stderr)
            failed.append((name, str(e)))
            continue
        finally:
            bench.end_all()
        results.keep(file, name, rows, list(MEASURES), machine=machine(), clients=rivals.versions(rows), command=command(name),
                     took_s=round(time.monotonic() - measure_began, 1), binary=binary)
    shown = results.load(file)
    print('\n' + results.table([r for r in shown['rows'] if r['measure'] in chosen]))
    for name, why in skipped + bench.left_out:
        print('not measured: %s (%s)' % (name, why))
    for name, why in failed:
        print('FAILED: %s (%s)' % (name, why))
    print('%s; %.0f s; kept in %s' % (machine(), time.monotonic() - began, file))
    different = [r['what'] for r in shown['rows'] if r['measure'] in chosen and not r.get('identical', True)]
    for what in different:
        print('FAILED: %s (a downloaded file differs from what was seeded, or did not arrive)' % what)
    if failed or different:
        sys.exit(1)


def command(name):
    return 'SWARM_BENCH=%s meson compile -C build bench' % name


def machine():
    """The processor, how many cores there are, the kernel."""
    model = platform.machine()
    with open('/proc/cpuinfo') as f:
        model = next((l.partition(':')[2].strip() for l in f if l.startswith('model name')), model)
    return '%s, %d cores, Linux %s' % (' '.join(model.split()), os.cpu_count(), platform.release())


if __name__ == '__main__':
    main()
