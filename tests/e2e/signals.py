"""The first Ctrl-C stops cleanly and says how to go on; that line, typed as it stands, goes on. SIGTERM and SIGHUP likewise."""
import os
import shlex
import signal
import time

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker

SIZE = 64 * MIB
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def main(work):
    with hosts.Local(3) as local:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(local[0], work, port=0)
        seed = Seed(local[1], work, data, '--up', '40M', tracker=tracker, port=0)
        tracker.knows('big.bin')
        get = Get(local[2], work, 'big.bin', tracker=tracker, port=0)
        verified = set()
        for signum, code in CODES.items():
            get.has_pieces(10, besides=verified)
            stops(get, signum, code)
            check(os.path.exists(get.path('big.bin.progress.json')) and not os.path.exists(get.path('big.bin')), 'no checkpoint', os.listdir(get.folder))
            verified |= get.good_pieces()
            get = get.again()
            check(get.event('start')['pieces_have'] >= len(verified), 'pieces were lost in a clean stop', get.event('start'), len(verified))
        stops(get, signal.SIGINT, 130)
        say('get: SIGINT, SIGTERM and SIGHUP stop it cleanly, nothing lost')
        as_printed(get.host, work, tracker, digest)
        stops(seed, signal.SIGINT, 130)
        stops(seed.again(), signal.SIGTERM, 143)
        stops(tracker, signal.SIGINT, 130)
        stops(tracker.again(), signal.SIGTERM, 143)
        say('seed and tracker: likewise')


def stops(process, signum, code):
    process.send(signum)
    began = time.monotonic()
    process.ends(code, 5)
    took = time.monotonic() - began
    check(took <= 3 * case.PATIENCE, '%s needed %.1f s to stop' % (process.name, took))


def as_printed(host, work, tracker, digest):
    """Runs the command after `resume with:`, only with the binary under test for its first word."""
    get = Get(host, work, 'big.bin', '--pieces', 'ranges', tracker=tracker, port=0, json_lines=False)
    get.line('sha1 ok')
    stops(get, signal.SIGINT, 130)
    line = get.line('resume with:')
    check(not get.stdout, 'a stopped download printed a result', get.out)
    words = shlex.split(line.split('resume with:')[1])
    check(words[:2] == ['swarm', 'get'], 'the resume line is no swarm command', line)
    again = Swarm(host, words[1:], work=work, json_lines=False, config='--no-config' in words).ends(0, 30)
    check(content.sha256(get.path('big.bin')) == digest, 'not identical')
    check(again.stdout == [get.path('big.bin')], 'stdout is not the saved path alone', again.out)
    say('`%s` finished the download' % line.strip())


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE)
