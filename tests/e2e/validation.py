"""The simulated network against test hosts: one seed and N downloaders that start together, the same plan in both, side by side.

A line of the simulated world is what tbf makes of a host's: a rate that counts Ethernet's, IP's and TCP's headers, and a burst
that an idle line has saved up. Not modelled are what the machine itself takes (processes start, hash and are scheduled on its few
cores) and TCP's queues in the switch, so the rate is one that the machine carries with ease: then the hosts take 6 % less to 8 %
more than the simulation says.

N, rate and sizes come from the environment for a longer look: SWARM_VALIDATION="2,4,8,16 20 8 64" (N, Mbit/s, MiB, KiB a piece)."""
import json
import os
import subprocess

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Tracker

SIZES, MBIT, SIZE_MIB, PIECE_KIB = os.environ.get('SWARM_VALIDATION', '2,4,8,16 20 8 64').split()
COUNTS, MBIT, BYTES, PIECE = [int(n) for n in SIZES.split(',')], int(MBIT), int(SIZE_MIB) * MIB, int(PIECE_KIB) * 1024
BURST = 128 * 1024        # hosts.Lan's tbf has it
ONE_WAY_US = 25           # through two veth pairs and a bridge, without load
SIMULATIONS = 9           # chance decides who gets what first; the simulated times are the median of so many random seeds
TOLERANCE = 0.10
ATTEMPTS = 3              # at one N: hosts that had to wait for a core prove nothing
BUSY = 1.5                # load a core, beyond what the test itself makes of it


def main(work):
    path = os.path.join(work, 'source', 'data.bin')
    digest = content.random_file(path, BYTES)
    profile = os.path.join(work, 'lines.json')
    with open(profile, 'w') as f:
        line = {'up': '%dMbit' % MBIT, 'down': '%dMbit' % MBIT, 'rtt': '%dus' % (4 * ONE_WAY_US), 'burst': str(BURST)}
        json.dump({'nodes': [line], 'header_bytes': 66}, f)
    transfer = BYTES * 8 / (MBIT * 1e6) * 1514 / 1448
    say('%d MiB, pieces of %d KiB, %d Mbit/s: one transfer takes %.2f s' % (BYTES // MIB, PIECE // 1024, MBIT, transfer))
    say('       N |  hosts: median    last |  simulated: median    last |  hosts / simulated')
    wrong = []
    for n in COUNTS:
        there = simulated(profile, n)
        for attempt in range(ATTEMPTS):
            here = real(os.path.join(work, 'run-%d-%d' % (n, attempt)), path, digest, n)
            off = [h / s - 1 for h, s in zip(here, there)]
            say('%8d | %14.2f %7.2f | %18.2f %7.2f | %+9.1f %% %+6.1f %%' % (n, *here, *there, *(100 * o for o in off)))
            if max(map(abs, off)) <= TOLERANCE:
                break
        else:
            wrong.append(n)
    load = os.getloadavg()[0] / os.cpu_count()
    if wrong and load > BUSY:
        raise case.Skip('the machine has other things to do (load %.1f a core): test hosts prove nothing at N = %s' % (load, wrong))
    check(not wrong, 'the model is more than %d %% off for N = %s' % (100 * TOLERANCE, wrong))


def simulated(profile, n):
    """Median and last completion, each the median over random seeds."""
    runs = []
    for seed in range(1, SIMULATIONS + 1):
        argv = [os.environ['SWARM'], 'simulate', '--no-config', '--json', '--leave', '--nodes', n, '--size', BYTES, '--piece-size', PIECE, '--profile', profile,
                '--random-seed', seed]
        said = subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.PIPE, timeout=60).stdout
        runs.append(json.loads(said.splitlines()[-1]))
    return [sorted(r[key] for r in runs)[SIMULATIONS // 2] for key in ('median_seconds', 'last_seconds')]


def real(work, path, digest, n):
    """The same on test hosts. Each download's time runs from its own start, as the simulation's does."""
    os.makedirs(work)
    with hosts.Lan(n + 2, mbit=MBIT) as lan:
        tracker = Tracker(lan[0], work)
        seed = Seed(lan[1], work, path, '--piece-size', '%dK' % (PIECE // 1024), tracker=tracker)
        tracker.knows('data.bin')
        gets = [Get(host, work, 'data.bin', tracker=tracker) for host in lan[2:]]
        for g in gets:
            g.ends(0, 60)
        times = sorted(g.event('done')['at'] - g.event('start')['at'] for g in gets)
        for process in (seed, tracker):
            process.kill()
        for g in gets:
            check(content.sha256(g.path('data.bin')) == digest, '%s got something else' % g.host.name)
    return times[n // 2], times[-1]


if __name__ == '__main__':
    case.run(main, bytes_needed=(max(COUNTS) + 2) * ATTEMPTS * BYTES)
