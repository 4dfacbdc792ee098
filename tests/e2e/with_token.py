"""A tracker with --token-file: who shows the token may put files into its catalogue, all others get and announce, and the secret
stands in no output."""
import os
import re

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker

SECRET = 'correct-horse-battery-staple'


def main(work):
    def file_of(name, text):
        path = os.path.join(work, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    right = file_of('right', SECRET + '\n')
    wrong = file_of('wrong', SECRET[:-1] + 'x\n')
    data = os.path.join(work, 'source', 'data.bin')
    content.random_file(data, MIB)
    with hosts.Local(3) as (host, other, third):
        tracker = Tracker(host, work, '--token-file', right, port=0)

        def refused(option, code, text):
            s = Swarm(other, ['seed', data, '-t', tracker.address, '--interface', other.ip4, *option], work=work, json_lines=False)
            s.ends(code, 30)
            check(re.search(text, s.err), 'stderr does not say ' + text, s.err)
            check(SECRET not in s.err + s.out and SECRET[:-1] not in s.err + s.out, 'the secret is shown', s.err)

        refused([], 8, r'takes changes only with its token.*\n?.*--token-file')
        refused(['--token-file', wrong], 8, "not the tracker's token")
        refused(['--token-file', os.path.join(work, 'none')], 3, 'cannot read')
        refused(['--token-file', file_of('empty', '')], 2, 'is no token')
        check(not tracker.status()['files'], 'a refused file is in the catalogue')
        check(tracker.status()['tracker']['auth'] is True, 'hello does not say that a token is needed')
        say('without the token: 8, and nothing was kept')

        seed = Seed(other, work, data, '--token-file', right, tracker=tracker, port=0)
        tracker.knows('data.bin')
        Get(third, work, 'data.bin', tracker=tracker, port=0).ends(0, 30)
        for process in (tracker, seed):
            check(SECRET not in process.out + process.err, 'the secret is shown by ' + process.name)
        say('with it: shared; and who gets needs none')
        s = Swarm(third, ['tracker', '--listen', '127.0.0.1:0', '--token-file', os.path.join(work, 'none')], work=work, json_lines=False)
        s.ends(3)
        say('a tracker does not start without the secret that it was told to ask for')


if __name__ == '__main__':
    case.run(main)
