"""A command on a test host: its output line by line as it comes, its JSON events, its signals, its end."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import case


class Process:
    """Started by the constructor; with `terminal` both its streams are one terminal of 120 columns, kept in `stdout`."""

    def __init__(self, host, argv, *, name, env=None, cwd=None, terminal=False):
        self.host, self.name, self.argv = host, name, list(argv)
        self.stdout, self.stderr, self.events = [], [], []
        self._change = threading.Condition()
        self.started = time.monotonic()
        start = lambda out, err: subprocess.Popen(host.command(self.argv), env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        if terminal:
            screen, program = pty.openpty()
            fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
            self._p = start(program, program)
            os.close(program)
            streams = [(screen, self.stdout)]
        else:
            self._p = start(subprocess.PIPE, subprocess.PIPE)
            streams = [(self._p.stdout.fileno(), self.stdout), (self._p.stderr.fileno(), self.stderr)]
        self.pid = self._p.pid
        self._readers = [threading.Thread(target=self._read, args=a, daemon=True) for a in streams]
        for r in self._readers:
            r.start()
        case.witnesses.append(self)

    # What it says.

    def event(self, kind, seconds=10, where=lambda e: True):
        """The first event of that kind (and for which `where` holds), waited for."""
        found = lambda: next((e for e in self.events if e.get('event') == kind and where(e)), None)
        return self._await(found, 'event %r of %s' % (kind, self.name), seconds)

    def line(self, text, seconds=10):
        """The first line of either stream that holds `text`, waited for."""
        found = lambda: next((l for l in self.stdout + self.stderr if text in l), None)
        return self._await(found, 'a line with %r from %s' % (text, self.name), seconds)

    def all(self, kind):
        return [e for e in list(self.events) if e.get('event') == kind]

    @property
    def out(self):
        return '\n'.join(self.stdout)

    @property
    def err(self):
        return '\n'.join(self.stderr)

    # What it is told.

    def send(self, signum):
        if self._p.poll() is None:
            self._p.send_signal(signum)

    def kill(self):
        """SIGKILL, and gone when this returns."""
        self.send(signal.SIGKILL)
        self._p.wait()

    def wait(self, seconds=10):
        """Its exit code, negative for a signal; a process that outlives the deadline fails the test."""
        try:
            self._p.wait(seconds * case.PATIENCE)
        except subprocess.TimeoutExpired:
            raise case.Failure('%s still runs after %g s' % (self.name, seconds * case.PATIENCE))
        self.took = time.monotonic() - self.started
        for r in self._readers:
            r.join(5)
        return self._p.returncode

    @property
    def running(self):
        return self._p.poll() is None

    # What it costs.

    def memory(self, field='VmHWM'):
        """Peak (VmHWM) or present (VmRSS) resident bytes; 0 once it has ended."""
        return self._proc('status', field + ':') * 1024

    def bytes_read(self):
        """Bytes that it read by system calls, from files and sockets alike."""
        return self._proc('io', 'rchar:')

    def last_words(self, lines=25):
        state = 'running' if self.running else 'exit %s' % self._p.returncode
        tail = lambda which, l: ['    %s| %s' % (which, plain(x.rpartition('\r')[2])[:300]) for x in l[-lines:]]
        return '\n'.join(['--- %s on %s (%s): %s' % (self.name, self.host.name, state, ' '.join(self.argv)), *tail('out', self.stdout), *tail('err', self.stderr)])

    def _proc(self, file, field):
        try:
            with open('/proc/%d/%s' % (self.pid, file)) as f:
                return next((int(l.split()[1]) for l in f if l.startswith(field)), 0)
        except OSError:
            return 0

    def _read(self, fd, into):
        rest = b''
        while True:
            try:
                received = os.read(fd, 65536)
            except OSError:             # a terminal whose program has gone
                received = b''
            *lines, rest = (rest + received).split(b'\n')
            if not received and rest:
                lines.append(rest)
            with self._change:
                for raw in lines:
                    self._note(raw.decode('utf-8', 'replace').rstrip('\r'), into)
                self._change.notify_all()
            if not received:
                return

    def _note(self, line, into):
        into.append(line)
        event = decode_event(line)
        if event is not None:
            event['at'] = time.monotonic()
            self.events.append(event)

    def _await(self, found, what, seconds):
        deadline = time.monotonic() + seconds * case.PATIENCE
        with self._change:
            while True:
                answer = found()
                if answer is not None:
                    return answer
                silent = not any(r.is_alive() for r in self._readers)
                case.check(not silent, '%s ended before %s' % (self.name, what))
                left = deadline - time.monotonic()
                case.check(left > 0, 'not within %g s: %s' % (seconds * case.PATIENCE, what))
                self._change.wait(min(left, 0.5))


def plain(text):
    """Text without a terminal's control sequences."""
    return re.sub(r'\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])', '', text)


def decode_event(line):
    """The JSON object on a line, None for any other text."""
    if not line.startswith('{'):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def clean_environment(home):
    """This environment with a home of its own and none of swarm's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(('SWARM', 'XDG_', 'STATE_DIRECTORY'))}
    env.update(HOME=home, XDG_CONFIG_HOME=home + '/config', XDG_STATE_HOME=home + '/state', XDG_CACHE_HOME=home + '/cache',
               XDG_DATA_HOME=home + '/data', XDG_RUNTIME_DIR=home + '/run', LC_ALL='C.UTF-8', TERM='dumb')
    for d in ('config', 'state', 'cache', 'data', 'run'):
        os.makedirs(os.path.join(home, d), exist_ok=True)
    return env
