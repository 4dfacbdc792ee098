"""The binary as scripts and terminals meet it: streams, exit codes, signals, a session on pseudo-terminals.

    binary.py SWARM      SWARM is the binary"""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

SWARM = os.path.abspath(sys.argv[1])
PATIENCE = float(os.environ.get('SWARM_PATIENCE', '1'))
MIB = 1 << 20


def environment(home, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('SWARM_', 'XDG_', 'STATE_DIRECTORY', 'CLICOLOR', 'NO_COLOR'))}
    env.update({'HOME': home, 'LC_ALL': 'C.UTF-8', 'TERM': 'xterm-256color', **more})
    return {k: v for k, v in env.items() if v is not None}


def run(work, *words, env=None, **options):
    given = dict(cwd=work, env=env or environment(work), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30 * PATIENCE)
    return subprocess.run([SWARM, *words], **{**given, **options})


class Terminal:
    """A command on a terminal of its own; `seen` is all that it wrote there. With `out`, its stdout goes to that file."""

    def __init__(self, work, *words, columns=80, out=None, **env):
        env = environment(work, **{'NO_COLOR': '1', **env})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
            os.chdir(work)
            if out:
                os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
            os.execve(SWARM, [SWARM, *words], env)
        self.seen = ''

    def until(self, pattern, seconds=20):
        deadline = time.monotonic() + seconds * PATIENCE
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, 'not seen: %s\n%s' % (pattern, self.seen[-2000:])
            if not self.read():
                assert re.search(pattern, self.seen), 'ended before: %s\n%s' % (pattern, self.seen[-2000:])
        return re.search(pattern, self.seen)

    def read(self):
        if not select.select([self.fd], [], [], 0.2)[0]:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += got.decode('utf-8', 'replace')
        return bool(got)

    def ends(self, code, seconds=20):
        deadline = time.monotonic() + seconds * PATIENCE
        while self.read():
            assert time.monotonic() < deadline, 'still running\n' + self.seen[-2000:]
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert status == code, 'ended with %d instead of %d\n%s' % (status, code, self.seen[-2000:])
        os.close(self.fd)
        self.pid = None

    def send(self, signum):
        os.kill(self.pid, signum)

    def close(self):
        if self.pid:
            self.send(signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


def answers(work):
    """--help and --version: on stdout, exit 0, at most 120 columns."""
    for words in [['--help'], ['-h'], *[[c, '--help'] for c in ('tracker', 'seed', 'get', 'status', 'simulate')]]:
        r = run(work, *words)
        assert r.returncode == 0 and r.stdout.decode().count('\n') > 5 and not r.stderr, words
    r = run(work, '--version')
    assert r.returncode == 0 and re.fullmatch(rb'swarm \d+\.\d+\.\d+\n', r.stdout), r


def streams(work):
    """A full disk behind stdout, streams that are closed, a home that is not there."""
    with open('/dev/full', 'w') as full:
        r = run(work, '--help', stdout=full)
        assert r.returncode == 1 and b'No space left' in r.stderr, r
    for closed in ([0], [1], [2], [0, 1, 2]):
        r = run(work, 'get', 'x', preexec_fn=lambda: [os.close(fd) for fd in closed])
        assert r.returncode == 4, (closed, r)
    r = run(work, 'tracker', env=environment(None, PATH=os.environ['PATH']))
    assert r.returncode == 2 and b'--state DIR' in r.stderr, r
    r = run(work, '--json', 'gte')
    last = json.loads(r.stdout.splitlines()[-1])
    assert r.returncode == 2 and (last['event'], last['code'], last['hint']) == ('error', 2, "Did you mean 'get'?"), r
    r = run(work, 'get', 'x', env=environment(work, SWARM_TRACKER='127.0.0.1:1'))
    assert r.returncode == 4 and b'nothing listens on 127.0.0.1:1 (connection refused)' in r.stderr, r


def dry_run(work):
    """The .torrent to a file and to stdout are the same, and the magnet link is on stdout only when the .torrent is not."""
    env = environment(None)  # without a home nothing is remembered, and all else works
    into = ['seed', 'a.bin', '--dry-run', '-t', 'nas', '--output']
    r = run(work, *into, 'a.torrent', env=env)
    assert r.returncode == 0 and r.stdout.startswith(b'magnet:?xt=urn:btih:') and r.stdout.count(b'\n') == 1, r
    piped = run(work, *into, '-', env=env)
    with open(os.path.join(work, 'a.torrent'), 'rb') as f:
        assert piped.stdout == f.read() and b'magnet:?' in piped.stderr, piped
    t = Terminal(work, *into, '-')
    t.ends(2)
    assert 'refusing to write binary data to the terminal' in t.seen, t.seen


def person(work):
    """Two people at terminals: share, fetch, stop, go on; then the same for a terminal that can do nothing."""
    shutil.rmtree(os.path.join(work, '.cache'), ignore_errors=True)  # hash it once more, to be seen doing it
    with contextlib.ExitStack() as stack:
        start = lambda *words, **more: stack.enter_context(contextlib.closing(Terminal(work, *words, **more)))
        tracker = start('tracker', '--listen', '127.0.0.1:0', '--state', 'state', columns=100)
        where = tracker.until(r'swarm status -t (127\.0\.0\.1:\d+)')[1]
        os.utime(os.path.join(work, 'a.bin'))  # so that no earlier hashing of it is remembered
        seed = start('seed', 'a.bin', '-t', where, '--interface', '127.0.0.1', '-p', '0', '--up', '8M')
        seed.until(r'hashing a\.bin .*100%')
        seed.until(r'sharing a\.bin  24\.0 MiB  48 pieces x 512 KiB   tracker ' + where)
        seed.until(r'swarm get a\.bin -t ' + where)
        seed.until(r'magnet:\?xt=urn:btih:[0-9a-f]{40}&dn=a\.bin&tr=')
        seed.until(r'seeding.*0 peers')
        tracker.until(r'shares.*a\.bin')

        get = ['get', 'a.bin', '-t', where, '--interface', '127.0.0.2', '-p', '0', '-d', 'got']
        first = start(*get)
        first.until(r'\d\.\d% .*[█▏▎▍▌▋▊▉].*MiB  .*MiB/s')
        assert '\x1b[J' in first.seen
        first.send(signal.SIGUSR1)
        first.until(r'a\.bin: \d+% .* sha1 ok, 0 bad')
        first.send(signal.SIGINT)
        first.until(r'stopped a\.bin at')
        first.until(re.escape('resume with: swarm ' + ' '.join(get)))
        first.ends(130, 4)

        second = start(*get, out=os.path.join(work, 'stdout'), TERM='dumb')
        second.until(r'resuming a\.bin at \d+\.\d% \(\d+ of 48 pieces already here\)')
        second.until(r'a\.bin  100% verified \(sha1 48/48\)  24\.0 MiB in .*-> got/a\.bin')
        second.ends(0)
        assert '\x1b' not in second.seen, second.seen
        with open(os.path.join(work, 'stdout')) as f:
            assert f.read() == 'got/a.bin\n'
        assert subprocess.call(['cmp', os.path.join(work, 'a.bin'), os.path.join(work, 'got', 'a.bin')]) == 0
        tracker.until(r'completed.*a\.bin')
        tracker.until(r'NODE +ROLE +ADDRESS +FILE')

        third = start(*get)
        third.until(r'a\.bin  already whole, verified \(sha1 48/48\)')
        assert '\x1b[3' not in third.seen
        third.ends(0)
        look = start('status', '-t', where, columns=40, NO_COLOR=None)
        look.ends(0)
        assert '\x1b[1mNODE' in look.seen, look.seen
        lines = look.seen.replace('\r', '').split('\n')
        assert all(len(re.sub(r'\x1b\[[0-9;]*m', '', l)) <= 40 for l in lines) and 'COPIES' in look.seen, lines
        dumb = start('status', '-t', where, '--watch', '100ms', TERM='dumb')
        dumb.until(r'(NODE[^\0]*FILE[^\0]*){2}')
        dumb.send(signal.SIGTERM)
        dumb.ends(143)
        assert '\x1b' not in dumb.seen, dumb.seen
        piped = run(work, 'status', '--files', '-t', where)
        assert piped.stdout.startswith(b'a.bin\t25165824\t48\t1.00\t1\t0\tswarm get a.bin -t '), piped

        seed.send(signal.SIGTERM)
        seed.until(r'resume with: swarm seed a\.bin')
        seed.ends(143, 4)
        tracker.send(signal.SIGINT)
        tracker.ends(130, 4)


def twice(work):
    """The second Ctrl-C does not wait for anything: here for a tracker that never answers."""
    with socket.create_server(('127.0.0.1', 0)) as silent:
        torrent = 'http://127.0.0.1:%d/announce' % silent.getsockname()[1]
        r = run(work, 'seed', 'a.bin', '--dry-run', '-t', torrent, '--output', 'silent.torrent')
        assert r.returncode == 0, r
        t = Terminal(work, 'get', 'silent.torrent', '-d', 'elsewhere', '-p', '0')
        with contextlib.closing(t):
            t.until(r'waiting')
            t.send(signal.SIGINT)
            time.sleep(0.2)
            began = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                t.send(signal.SIGINT)
            t.ends(130)
            assert time.monotonic() - began < 1 * PATIENCE


def manual(work):
    """The manual page is clean, as far as this machine can tell."""
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man', 'swarm.1')
    for tool in (['mandoc', '-T', 'lint', '-W', 'warning'], ['man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z']):
        if shutil.which(tool[0]):
            r = subprocess.run([*tool, page], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
            complaints = r.stdout if tool[0] == 'mandoc' else r.stderr
            assert r.returncode == 0 and not complaints, complaints.decode()


work = tempfile.mkdtemp(prefix='swarm-cli-')
try:
    with open(os.path.join(work, 'a.bin'), 'wb') as f:
        f.write(os.urandom(24 * MIB))
    for test in (answers, streams, manual, dry_run, person, twice):
        began = time.monotonic()
        test(work)
        print('%-8s passed in %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
finally:
    shutil.rmtree(work, ignore_errors=True)
