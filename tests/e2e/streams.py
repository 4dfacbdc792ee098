"""Standard input and output as places: `tar c | swarm seed -`, `swarm get -o - | tar x`; readers that leave, signals, full spools,
and that no spool is ever left behind."""
import os
import shlex
import signal
import subprocess

import case
import content
import hosts
from case import MIB, check, say
from process import clean_environment
from swarm import Seed, Swarm, Tracker, binary

SIZE = 24 * MIB


class Shell:
    """bash with pipefail in a folder of its own; `spools` is the TMPDIR of what it runs."""

    def __init__(self, host, work, tracker):
        self.host, self.work, self.tracker = host, work, tracker
        self.spools, self.folder = os.path.join(work, 'spools'), os.path.join(work, 'shell')
        for d in (self.spools, self.folder):
            os.makedirs(d, exist_ok=True)
        self.env = clean_environment(os.path.join(work, 'home-shell'))
        self.env.update(TMPDIR=self.spools, S=binary(), T='-t ' + tracker.address, WORK=work)

    def start(self, script):
        return subprocess.Popen(self.host.command(['bash', '-o', 'pipefail', '-c', script]), env=self.env, cwd=self.folder,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run(self, script, code=0, seconds=30):
        p = self.start(script)
        try:
            out, err = p.communicate(timeout=seconds * case.PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            raise case.Failure('still running: ' + script)
        check(p.returncode == code, '`%s` ended with %d instead of %d' % (script, p.returncode, code), err.decode()[-800:])
        return out, err.decode()

    def no_spools(self, when):
        check(not os.listdir(self.spools), 'a spool is left behind ' + when, os.listdir(self.spools))


def main(work):
    with hosts.Local(3) as local:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(local[0], work, port=0)
        shell = Shell(local[2], work, tracker)
        tar_round_trip(shell, work, tracker)
        seed = Seed(local[1], work, data, tracker=tracker, port=0)
        tracker.knows('big.bin')
        whole(shell, digest)
        reader_leaves(shell)
        one_of_a_folder(shell, work, local[1], tracker)
        refusals(shell, work, local[2], tracker)
        signals(shell, work, local[1], data, tracker, seed)


def tar_round_trip(shell, work, tracker):
    """A tree in at stdin of one machine and out at stdout of another; the seed ends by itself."""
    source = os.path.join(work, 'tree', 'dir')
    truth = content.awkward_folder(source, 150)
    seed = shell.start('tar c -C "$WORK/tree" dir | $S seed - -n dir.tar $T --until-copies 1 --no-config --json')
    tracker.knows('dir.tar', 30)
    check(len(os.listdir(shell.spools)) == 1, 'stdin stands in one spool', os.listdir(shell.spools))
    spool = os.path.join(shell.spools, os.listdir(shell.spools)[0])
    check(os.stat(spool).st_mode & 0o777 == 0o700, 'the spool is not private', oct(os.stat(spool).st_mode))
    # Whole copies are counted as the tracker tells of them, so the reader stays whole for a moment with --seed.
    shell.run('mkdir out && $S get dir.tar -o - $T --no-config -q | tar x -C out')
    check(not (differences := content.same_tree(truth, content.tree(os.path.join(shell.folder, 'out', 'dir')))), 'the trees differ', *differences)
    shell.run('f=$($S get dir.tar $T --no-config -q --seed=3s) && tar tf "$f" > /dev/null')
    out, err = seed.communicate(timeout=30 * case.PATIENCE)
    check(seed.returncode == 0, 'the seed of stdin ended with %d' % seed.returncode, err.decode()[-500:])
    check(out.decode().strip().splitlines()[-1].find('"event":"done"') > 0, 'the last line is not done', out[-300:])
    shell.no_spools('by a seed of stdin and a get to stdout')
    say('tar c | seed -, get -o - | tar x: %d files identical' % len(truth))


def whole(shell, digest):
    out, err = shell.run('$S get big.bin -o - $T --no-config | sha256sum')
    check(out.split()[0].decode() == digest, 'not identical')
    check('every piece verified' in err, 'the end was not told on stderr', err)
    shell.run('$S get big.bin -o - $T --no-config > copy && cmp copy "$WORK/source/big.bin"')  # a file takes all
    check(sorted(os.listdir(shell.folder)) == ['copy', 'dir.tar', 'out'], 'something is left where it ran', os.listdir(shell.folder))
    shell.no_spools('after a whole stream')
    out, _ = shell.run('f=$($S get big.bin $T --no-config) && test -s "$f" && rm "$f" && echo "$f"')
    check(out == b'./big.bin\n', 'f=$(swarm get …) is not the path alone', out)
    say('get -o -: identical, nothing left behind')


def reader_leaves(shell):
    out, err = shell.run('$S get big.bin -o - $T --no-config | head -c 10 | wc -c; echo "${PIPESTATUS[0]}"')
    check(out.split() == [b'10', b'141'], 'head -c 10 got %r' % out)
    check('swarm:' not in err, 'an error is told about a reader that left', err)
    # The reader is gone before the first piece: nobody has the file, and still it ends at once, by itself.
    shell.run('$S get big.bin -o - --down 1K $T --no-config | true', code=141, seconds=10)
    # A reader that stands still does not stop the download, and gets the rest.
    shell.run('$S get big.bin -o - $T --no-config | (head -c 5; sleep 1; cat) | cmp - "$WORK/source/big.bin"')
    shell.run('$S get big.bin -o - $T --no-config > /dev/full', code=7)
    shell.no_spools('after readers that left')
    say('readers that leave or stand still, a full device: quiet, and the right codes')


def one_of_a_folder(shell, work, host, tracker):
    folder = os.path.join(work, 'source', 'photos')
    for name in ('a.jpg', 'b.jpg', 'sub/c.bin', 'sub/d.bin'):
        content.random_file(os.path.join(folder, name), 300_000 + len(name))
    open(os.path.join(folder, 'empty'), 'w').close()
    Seed(host, work, folder, tracker=tracker, port=0)
    tracker.knows('photos')
    for name in ('a.jpg', 'sub/d.bin', 'empty'):
        shell.run('$S get photos -f %s -o - $T --no-config -q | cmp - "$WORK/source/photos/%s"' % (name, name))
    _, err = shell.run('$S get photos -o - $T --no-config | cat', code=2)
    check('photos is a folder (5 files); choose one with -f' in err, 'a folder was not refused', err)
    _, err = shell.run('$S get photos -f "*.jpg" -o - $T --no-config | cat', code=2)
    check('-f chooses 2 files of photos' in err, 'two files were not refused', err)
    _, err = shell.run('$S get photos -f "a.jgp" -o - $T --no-config | cat', code=3)
    check("no file of photos matches 'a.jgp'. Closest: a.jpg" in err, 'no closest name', err)
    rows, _ = shell.run('$S get photos --list $T --no-config')
    check(rows.decode().splitlines()[0] == '1\t300005\ta.jpg' and len(rows.splitlines()) == 5, 'the list is wrong', rows)
    shell.no_spools('after a file of a folder')
    say('one file of a folder to stdout, and what cannot go there')


def refusals(shell, work, host, tracker):
    s = Swarm(host, ['get', 'big.bin', '-o', '-', '-t', tracker.address], work=work, json_lines=False, terminal=True)
    s.ends(2)
    check('refusing to write binary data to the terminal' in s.out, 'the terminal was not refused', s.out)
    _, err = shell.run('$S seed - $T --no-config < /dev/null', code=2)
    check('--name NAME' in err, 'stdin without a name', err)
    _, err = shell.run('$S seed - -n x $T --no-config < /dev/null', code=2)
    check('nothing came on stdin' in err, 'empty stdin', err)
    _, err = shell.run('TMPDIR=/proc/none $S get big.bin -o - $T --no-config | cat', code=7)
    check('TMPDIR=DIR' in err, 'no room for a spool', err)
    shell.no_spools('after refusals')
    say('terminals, no name, empty input, no place for a spool: refused in words')


def signals(shell, work, host, data, tracker, seed):
    """The first signal and the second one both remove the spool; after SIGKILL it stays, and is locked no more."""
    slow = '$S get big.bin -o - $T --no-config --down 2M > slow.out'
    for number, twice, code in ((signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)):
        p = shell.start('exec ' + slow)
        case.until(lambda: os.path.exists(os.path.join(shell.folder, 'slow.out')) and os.path.getsize(os.path.join(shell.folder, 'slow.out')), 'bytes on stdout', 10)
        p.send_signal(number)
        if twice:
            p.send_signal(number)
        _, err = p.communicate(timeout=10 * case.PATIENCE)
        check(p.returncode == code, 'ended with %d instead of %d' % (p.returncode, code), err)
        check(b'resume with' not in err, 'a stream cannot be resumed', err)
        with open(os.path.join(shell.folder, 'slow.out'), 'rb') as got, open(data, 'rb') as truth:
            bytes_got = got.read()
            check(truth.read(len(bytes_got)) == bytes_got, 'what came before the signal is wrong')
        os.unlink(os.path.join(shell.folder, 'slow.out'))
        shell.no_spools('by signal %d%s' % (number, ' twice' if twice else ''))
    p = shell.start('(echo begun; sleep 60) | exec $S seed - -n never $T --no-config')
    case.until(lambda: os.listdir(shell.spools), 'the spool of a seed', 10)
    os.killpg(p.pid, signal.SIGINT)
    p.wait(10 * case.PATIENCE)  # the shell; swarm ends a moment later
    case.until(lambda: not os.listdir(shell.spools), 'the spool of a seed that was stopped while it read is gone', 5)
    say('signals: what came is right, and the spool is gone')


if __name__ == '__main__':
    case.run(main, bytes_needed=8 * SIZE)
