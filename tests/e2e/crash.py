"""SIGKILL `get` at random moments: every resume goes on where it was, and the result is identical.

SWARM_KILLS sets the number of kills (10; 50 with SWARM_BIG=1)."""
import os
import time

import case
import content
import hosts
from case import BIG, MIB, check, say
from swarm import Get, Seed, Tracker

SIZE, MBIT = 256 * MIB, 400
KILLS = int(os.environ.get('SWARM_KILLS', 50 if BIG else 10))
IN_FLIGHT = 8 * MIB        # what one kill may cost
HEADERS = 1.06             # Ethernet, IP and TCP on a payload of 1448 bytes, and the other direction's acknowledgements


def main(work):
    with hosts.Lan(3, mbit=MBIT) as lan:
        here = lan[2]
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(lan[0], work)
        Seed(lan[1], work, data, tracker=tracker)
        tracker.knows('big.bin')
        before, kills, firsts = here.received(), 0, []
        received = lambda: here.received() - before
        get = None
        for moment in sorted(case.random.uniform(0, SIZE) for _ in range(KILLS)):
            get = get.again() if get else Get(here, work, 'big.bin', tracker=tracker)
            firsts.append(kill_after(get, received, moment))
            kills += 1
            check(not os.path.exists(get.path('big.bin')), 'the name appeared before the file was whole')
        get = get.again().ends(0, 60)
        total = received()
        check(kills == KILLS, '%d kills of %d' % (kills, KILLS))
        check(content.sha256(get.path('big.bin')) == digest, 'not identical')
        check(os.listdir(get.folder) == ['big.bin'], 'left beside the file:', os.listdir(get.folder))
        known = [f for f in firsts if f]
        say('%d kills: received %.3f x the file; first payload after %.2f s at the median, %.2f at most' %
            (kills, total / SIZE, sorted(known)[len(known) // 2], max(known)))
        check(total <= (SIZE + KILLS * IN_FLIGHT) * HEADERS, 'too much was fetched again: %.1f MiB' % ((total - SIZE) / MIB))


def kill_after(get, received, moment):
    """SIGKILL once that many bytes have come in all; when they are there already a random instant after the start, or once a MiB
    more is there, so that kills do not run ahead of their moments until the file is whole. Seconds from the start to the first
    payload, None when none came."""
    at_start, first = received(), None
    instant = get.started + case.random.uniform(0, 0.3)
    while received() < moment or at_start >= moment and time.monotonic() < instant and received() < at_start + MIB:
        check(get.running, 'get ended by itself', get.err[-500:])
        check(time.monotonic() < get.started + 60 * case.PATIENCE, 'no progress')
        if first is None and received() > at_start + 300000:
            first = time.monotonic() - get.started
        time.sleep(0.002)
    check(get.running, 'get ended by itself', get.err[-500:])
    get.kill()
    return first


if __name__ == '__main__':
    case.run(main, bytes_needed=2 * SIZE + 64 * MIB)
