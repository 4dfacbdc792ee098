"""A disk that is too small, and one that fills up half-way: exit 7, nothing lost, and the same command goes on when there is room."""
import os
import re
import subprocess

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Tracker

SIZE, DISK = 48 * MIB, 64 * MIB


def main(work):
    if os.geteuid() != 0:
        raise case.Skip('a small disk is a tmpfs, which needs root')
    disk = os.path.join(work, 'disk')
    os.makedirs(disk)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % DISK, 'swarm-test', disk], capture_output=True).returncode != 0:
        raise case.Skip('no tmpfs can be mounted here')
    try:
        with hosts.Local(3) as local:
            fill(local, work, disk)
    finally:
        for w in case.witnesses:
            w.kill()
        subprocess.run(['umount', '-l', disk])


def fill(local, work, disk):
    data = os.path.join(work, 'source', 'big.bin')
    digest = content.random_file(data, SIZE)
    tracker = Tracker(local[0], work, port=0)
    Seed(local[1], work, data, tracker=tracker, port=0)
    tracker.knows('big.bin')
    folder, filler = os.path.join(disk, 'got'), os.path.join(disk, 'filler')

    content.random_file(filler, DISK - SIZE // 2)
    get = Get(local[2], work, 'big.bin', tracker=tracker, folder=folder, port=0, json_lines=False).ends(7, 10)
    check(re.search(r'needs 48\.0 MiB, .* has 2\d\.\d MiB free', get.err), 'the message does not say what is missing', get.err)
    os.remove(filler)
    say('too small from the beginning: exit 7 before a byte')

    get = Get(local[2], work, 'big.bin', '--down', '16M', tracker=tracker, folder=folder, port=0)
    get.has_pieces(16)
    with open(filler, 'wb') as f:
        try:
            while True:
                f.write(bytes(MIB))
                f.flush()
        except OSError:
            pass
    get.ends(7, 30)
    error = get.events[-1]
    check(error['event'] == 'error' and error['code'] == 7, 'the last line is no error event', error)
    check('nothing lost, the same command resumes' in json_text(error), 'the message does not comfort', error)
    had = len(get.good_pieces())
    os.remove(filler)
    get = get.again().ends(0, 30)
    check(content.sha256(get.path('big.bin')) == digest, 'not identical')
    check(get.event('start')['pieces_have'] > 0, 'nothing was resumed')
    say('full half-way: exit 7 with %d pieces, resumed with %d, identical' % (had, get.event('start')['pieces_have']))


def json_text(event):
    return '%s %s' % (event['message'], event.get('hint', ''))


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE)
