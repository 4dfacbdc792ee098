"""A folder of 2,000 files with awkward names, to three downloaders at once, over IPv6; and one file whose name is as long as
a name can be."""
import os

import case
import content
import hosts
from case import MIB, check, say
from swarm import Get, Seed, Tracker

FILES = 2000
NAME = 'été 2024 (ünïcode)'


def main(work):
    with hosts.Lan(5, mbit=400) as lan:
        source = os.path.join(work, 'source', NAME)
        truth = content.awkward_folder(source, FILES)
        check(len(truth) == FILES, 'the source has %d files' % len(truth))
        tracker = Tracker(lan[0], work, ip=lan[0].ip6, console='pipe')
        seed = Seed(lan[1], work, source, tracker=tracker, ip=lan[1].ip6)
        tracker.knows(NAME)
        gets = [Get(h, work, NAME, tracker=tracker, ip=h.ip6) for h in lan[2:]]
        for g in gets:
            g.ends(0, 60)
        for g in gets:
            check(os.listdir(g.folder) == [NAME], 'left beside the folder:', os.listdir(g.folder))
            check(not (differences := content.same_tree(truth, content.tree(g.path(NAME)))), 'the trees differ', *differences)
        say('%d files, %d MiB, to 3 downloaders over IPv6: identical after %.1f s' % (FILES, seed.start['bytes_total'] // MIB, max(g.took for g in gets)))
        log_in_a_pipe(tracker, seed)
        longest_name(work, lan)


def log_in_a_pipe(tracker, seed):
    """Off a terminal the tracker logs plain lines to stderr and no table."""
    seed.send(2)
    seed.ends(130)
    tracker.line('left')
    for word in ('joined', 'shares', 'complete', 'left', 'piece'):
        check(word in tracker.err, 'the tracker\'s log never said %r' % word, tracker.err[-500:])
    check('\x1b' not in tracker.err + tracker.out, 'control sequences in a pipe')
    tracker.send(15)
    tracker.ends(143)


def longest_name(work, lan):
    """255 bytes leave no room for .part and .progress.json beside it."""
    data = os.path.join(work, 'source', content.LONG)
    digest = content.random_file(data, 3 * MIB)
    tracker = Tracker(lan[0], work)
    Seed(lan[1], work, data, tracker=tracker)
    tracker.knows(content.LONG)
    get = Get(lan[2], work, content.LONG, tracker=tracker, folder=os.path.join(work, 'long')).ends(0, 30)
    check(os.listdir(get.folder) == [content.LONG] and content.sha256(get.path(content.LONG)) == digest, 'the long name came out wrong', os.listdir(get.folder))
    say('a name of 255 bytes: identical')


if __name__ == '__main__':
    case.run(main, bytes_needed=700 * MIB)
