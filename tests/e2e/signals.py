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
        everywhere(local, work, data)


def everywhere(local, work, data):
    """Each command under each signal; SIGUSR1 only makes it say a line; the second Ctrl-C waits for nobody."""
    tracker = Tracker(local[0], work, port=0)
    begin = {
        'tracker': (lambda: Swarm(local[1], ['tracker', '--listen', '127.0.0.2:0', '--state', os.path.join(work, 'other')], work=work, json_lines=False),
                    'event=listening', ', 0 connections'),
        'seed': (lambda: Swarm(local[1], ['seed', data, '-t', tracker.address, '--port', '0', '--interface', '127.0.0.2'], work=work, json_lines=False),
                 'magnet:?', 'big.bin: seeding 0 peers 0 B/s up 0 B sent 0 whole copies elsewhere'),
        'get': (lambda: Swarm(local[2], ['get', 'big.bin', '-t', tracker.address, '--port', '0', '--interface', '127.0.0.3', '-d', os.path.join(work, 'nobody')], work=work),
                '"event":"start"', 'big.bin: 0% 0.0/64.0 MiB 0 B/s eta - pieces 0/128 sha1 ok, 0 bad (waiting: no peer has big.bin)'),
        'status': (lambda: Swarm(local[1], ['status', '--watch', '1s', '-t', tracker.address], work=work, json_lines=False), 'big.bin', None),
    }
    for name, (start, ready, line) in begin.items():
        for signum, code in CODES.items():
            process = start()
            process.line(ready)
            before = len(process.stderr)
            process.send(signal.SIGUSR1)
            if line:
                process.line(line)
            check(process.running, '%s does not outlive SIGUSR1' % name)
            stops(process, signum, code)
            check(not any('this should not have happened' in l for l in process.stderr[before:]), 'a bug', process.err)
            case.witnesses.remove(process)
    say('tracker, seed, get and status: SIGUSR1 and each way to stop')

    seed = begin['seed'][0]()
    seed.line('magnet:?')
    tracker.send(signal.SIGSTOP)           # to whom the seed now says goodbye in vain
    began = time.monotonic()
    seed.send(signal.SIGTERM)
    seed.send(signal.SIGINT)               # another signal, or the kernel might make one of both
    check(seed.wait(5) in (130, 143), 'it did not end by a signal', seed.err)
    check(time.monotonic() - began < 1 * case.PATIENCE, 'the second Ctrl-C was waited for', time.monotonic() - began)
    tracker.send(signal.SIGCONT)
    say('the second Ctrl-C waits for no tracker')


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
