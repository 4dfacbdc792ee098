"""The swarm binary ($SWARM) on test hosts: a tracker, seeds and downloads as processes, judged by UX.md's promises."""
import json
import os
import re

import case
from case import check
from process import Process, clean_environment

TRACKER_PORT, PEER_PORT = 6969, 6881
EXIT_CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 129, 130, 141, 143}
SANITIZER = re.compile(r'(Address|Leak|Thread)Sanitizer|runtime error:|[Aa]ssertion .*failed')


def binary():
    path = os.environ.get('SWARM')
    if not path or not os.access(path, os.X_OK):
        raise case.Skip('SWARM does not name the swarm binary')
    return os.path.abspath(path)


class Swarm(Process):
    """One swarm process. Its home belongs to its host, so that a second process there finds what the first left."""

    def __init__(self, host, argv, *, work, json_lines=True, config=False, cwd=None, prefix=(), terminal=False, home=None):
        env = clean_environment(home or os.path.join(work, 'home-' + host.name))
        for tool in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'):
            env[tool] = ':'.join(filter(None, [env.get(tool), 'exitcode=99']))
        if terminal:
            env['TERM'] = 'xterm-256color'
        flags = (['--json'] if json_lines else []) + ([] if config else ['--no-config'])
        super().__init__(host, [*prefix, binary(), *argv, *flags], name='swarm ' + ' '.join(argv[:1]), env=env, cwd=cwd or work, terminal=terminal)

    def wait(self, seconds=10):
        code = super().wait(seconds)
        check(code in EXIT_CODES or code == -9, '%s ended with %d, which is no documented exit code' % (self.name, code))
        check(not SANITIZER.search(self.err), '%s: a sanitizer or an assertion spoke' % self.name, self.err[-2000:])
        return code

    def ends(self, code, seconds=10):
        """Waits for the end and fails unless the exit code is that one."""
        got = self.wait(seconds)
        check(got == code, '%s ended with %d instead of %d' % (self.name, got, code), self.err[-1000:])
        return self


class Tracker(Swarm):
    """`swarm tracker`, listening when the constructor returns; `address` is what -t takes. `console`: None for JSON Lines,
    'terminal' or 'pipe' for what a person or a log file gets."""

    def __init__(self, host, work, *options, ip=None, port=TRACKER_PORT, console=None):
        self.work, self.ip, self.options, self.console = work, ip or host.ip4, options, console
        super().__init__(host, ['tracker', '--listen', bracket(self.ip, port), '--state', os.path.join(work, 'tracker-' + host.name), *options],
                         work=work, json_lines=not console, terminal=console == 'terminal')
        if console:
            self.port = port
            case.until(self._listens, 'the tracker listens', 5)
        else:
            self.port = self.event('listening')['port']
        self.address = bracket(self.ip, self.port)
        self.announce = 'http://%s/announce' % self.address

    def again(self):
        """The same tracker started anew, after a kill."""
        return Tracker(self.host, self.work, *self.options, ip=self.ip, port=self.port, console=self.console)

    def status(self):
        """`swarm status --json` on the tracker's host."""
        s = Swarm(self.host, ['status', '-t', self.address], work=self.work)
        s.ends(0)
        case.witnesses.remove(s)
        return json.loads(s.out)

    def knows(self, name, seconds=10):
        """Waits until the catalogue has NAME with a seeder; returns its row."""
        row = lambda: next((f for f in self.status()['files'] if f['name'] == name and f['seeders'] > 0), None)
        return case.until(row, 'a seeder of %s at the tracker' % name, seconds, every=0.1)

    def _listens(self):
        try:
            self.host.connect((self.ip, self.port)).close()
            return True
        except OSError:
            return False


class Seed(Swarm):
    """`swarm seed`, serving when the constructor returns; `start` is its start event."""

    def __init__(self, host, work, path, *options, tracker=None, ip=None, port=PEER_PORT, seconds=60):
        self.again = lambda *more: Seed(host, work, path, *options, *more, tracker=tracker, ip=ip, port=port, seconds=seconds)
        super().__init__(host, ['seed', path, *at(tracker), '--interface', ip or host.ip4, '--port', str(port), *options], work=work)
        self.start = self.event('start', seconds)
        self.infohash = self.start['infohash']


class Get(Swarm):
    """`swarm get`, just started; it saves into its own folder `folder`. `again()` is the same command once more; `prefix` is what
    that command is then started with."""

    def __init__(self, host, work, what, *options, tracker=None, ip=None, port=PEER_PORT, folder=None, json_lines=True, prefix=()):
        self.folder, self.prefix = folder or os.path.join(work, 'got-' + host.name), prefix
        os.makedirs(self.folder, exist_ok=True)
        self.again = lambda: Get(host, work, what, *options, tracker=tracker, ip=ip, port=port, folder=self.folder,
                                 json_lines=json_lines, prefix=self.prefix)
        super().__init__(host, ['get', what, *at(tracker), '-d', self.folder, '--interface', ip or host.ip4, '--port', str(port), *options],
                         work=work, json_lines=json_lines, prefix=prefix)

    def path(self, name):
        return os.path.join(self.folder, name)

    def good_pieces(self):
        """The pieces that this process has told to be right, on disk or on arrival."""
        return {i for e in self.all('piece') if e['ok'] for i in indices(e)}

    def bad_pieces(self):
        """The events of the pieces that it found wrong."""
        return [e for e in self.all('piece') if not e['ok']]

    def has_pieces(self, count, besides=frozenset(), seconds=60):
        """Waits until it has told of that many good pieces (not counting those of `besides`)."""
        have = lambda: len(self.good_pieces() - besides)
        case.until(lambda: have() >= count or not self.running, '%d pieces at %s' % (count, self.host.name), seconds)
        check(have() >= count, 'the download ended before it had %d pieces' % count)


def indices(event):
    """The pieces that a piece event speaks of."""
    return range(event['index'], event['index'] + event.get('count', 1))


def at(tracker):
    return ['-t', tracker.address] if tracker else []


def bracket(ip, port):
    return ('[%s]:%d' if ':' in ip else '%s:%d') % (ip, port)
