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
            case.until(lambda: len(good(get) - verified) >= 10, 'ten more pieces', 20)
            stops(get, signum, code)
            check('resume with:' in get.err, 'no `resume with:` after signal %d' % signum, get.err[-500:])
            check(os.path.exists(get.path('big.bin.progress.json')) and not os.path.exists(get.path('big.bin')), 'no checkpoint', os.listdir(get.folder))
            verified |= good(get)
            get = get.again()
            check(get.event('start')['pieces_have'] >= len(verified), 'pieces were lost in a clean stop', get.event('start'), len(verified))
        case.until(lambda: len(good(get) - verified) >= 5, 'five more pieces', 20)
        stops(get, signal.SIGINT, 130)
        say('get: SIGINT, SIGTERM and SIGHUP stop it cleanly, nothing lost')
        as_printed(get, work, digest)
        for process, signum in ((seed, signal.SIGINT), (seed.again(), signal.SIGTERM), (tracker, signal.SIGINT), (tracker.again(), signal.SIGTERM)):
            stops(process, signum, CODES[signum])
        say('seed and tracker: likewise')


def good(get):
    return {e['index'] for e in get.all('piece') if e['ok']}


def stops(process, signum, code):
    process.send(signum)
    began = time.monotonic()
    process.ends(code, 5)
    took = time.monotonic() - began
    check(took <= 3 * case.PATIENCE, '%s needed %.1f s to stop' % (process.name, took))


def as_printed(get, work, digest):
    """Runs the command after `resume with:`, only with the binary under test for its first word."""
    line = next(l for l in get.stderr if 'resume with:' in l)
    words = shlex.split(line.split('resume with:')[1])
    check(words[:2] == ['swarm', 'get'], 'the resume line is no swarm command', line)
    again = Swarm(get.host, words[1:], work=work, json_lines=False, config='--no-config' in words, cwd=work).ends(0, 30)
    check(content.sha256(get.path('big.bin')) == digest, 'not identical')
    check(again.stdout == [get.path('big.bin')], 'stdout is not the saved path alone', again.out)
    say('`%s` finished the download' % line.strip())


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE)
