"""Cables pulled for ten seconds in the middle of a transfer, the seed's, then nobody's: all finish."""
import os
import time

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Tracker

SIZE, OUTAGE = 96 * MIB, 10


def main(work):
    with hosts.Lan(4, mbit=100) as lan:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(lan[0], work)
        seed = Seed(lan[1], work, data, tracker=tracker)
        tracker.knows('big.bin')
        gets = [Get(h, work, 'big.bin', tracker=tracker) for h in lan[2:]]
        for g in gets:
            g.has_pieces(20)
        lan[1].unplug(), lan[2].unplug()
        time.sleep(OUTAGE)               # the outage itself: there is nothing to wait for
        check(all(p.running for p in (tracker, seed, *gets)), 'somebody gave up during the outage')
        check(not any(os.path.exists(g.path('big.bin')) for g in gets), 'a download was whole before the outage')
        lan[1].plug(), lan[2].plug()
        back = time.monotonic()
        for g in gets:
            g.ends(0, 60)
            check(content.sha256(g.path('big.bin')) == digest, '%s: not identical' % g.host.name)
        say('two cables pulled for %d s: both downloads identical, %.1f s after they were back' % (OUTAGE, time.monotonic() - back))


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE)
