"""What a person does wrong, and UX.md's answer: its text on stderr, its exit code, nothing on stdout."""
import os
import re
import shutil
import socket
import threading

import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from swarm import Get, Seed, Swarm, Tracker

EXPECTED = 77     # cases that must have run


class Table:
    def __init__(self, host, work):
        self.host, self.work, self.ran = host, work, 0

    def case(self, argv, code, text, *, cwd=None, seconds=10, prefix=(), config=False):
        """Runs swarm and compares; `text` is a regular expression for stderr."""
        s = Swarm(self.host, argv, work=self.work, json_lines=False, cwd=cwd, prefix=prefix, config=config)
        s.ends(code, seconds)
        shown = ' '.join(argv) or '(nothing)'
        check(re.search(text, s.err), 'swarm %s: stderr does not say %s' % (shown, text), s.err[:1000])
        check(not s.stdout, 'swarm %s: a mistake must leave stdout empty' % shown, s.out[:300])
        check(not re.search(r'\bterminate called|what\(\):|errno|Run with --help', s.err), 'a library speaks to the person', s.err[:500])
        case.witnesses.remove(s)
        self.ran += 1
        return s


def main(work):
    with hosts.Local(2) as (host, other):
        table = Table(host, work)
        usage(table, work)
        paths(table, work)
        trackers(table, work, other)
        peers(table, work)
        existing(table, work)
        json_error(table, work)
        copies(table, work, other)
        ambiguous(table, work, other)
        changed(table, work)
        settings(table, work)
        homes(table, work)
        streams(table, work)
        loopback_magnet(host, work)
        check(table.ran == EXPECTED, '%d cases ran, %d expected' % (table.ran, EXPECTED))
        say('%d mistakes answered as UX.md promises' % table.ran)


def usage(table, work):
    film = os.path.join(work, 'movie.mkv')
    content.random_file(film, 1000)
    # Without --no-config: nothing at all after the name.
    bare = Swarm(table.host, [], work=work, json_lines=False, config=True).ends(2)
    lines = [l for l in bare.stderr if l.strip()]
    check(len(lines) == 5 and not bare.stdout, '`swarm` alone: %d lines of usage instead of 5' % len(lines), bare.err)
    table.case(['gte', 'x'], 2, r"no command 'gte'\. Did you mean 'get'\?")
    table.case(['sed', 'x'], 2, r"no command 'sed'\. Did you mean 'seed'\?")
    table.case(['get', 'x', '--trakcer', 'nas'], 2, r"'--trakcer'.*Did you mean '--tracker'\?")
    table.case(['movie.mkv'], 2, r"'movie\.mkv' is a file\. Did you mean 'swarm seed movie\.mkv'\?")
    table.case(['seed', film, '--up', '10Q'], 2, r"--up: '10Q' is not a size\. Use e\.g\. 500K, 10M, 10MB/s")
    table.case(['get', 'x', '--wait', 'soon'], 2, r"--wait: 'soon' is not a")
    table.case(['seed', film, '--down', '-5'], 2, r"--down: '-5' is not a size\. Use e\.g\. 500K")
    table.case(['seed', film, '--port', '70000'], 2, r"--port: '70000' is not a port\. Use e\.g\. 6881 or 6881-6889")
    table.case(['seed', film, '--piece-size', '100000'], 2, r"--piece-size: '100000' is not a piece size\. Use auto or a power of two")
    table.case(['get', 'x', '--color', 'alwyas'], 2, r"--color: 'alwyas' is not a choice\. Did you mean 'always'\?")
    table.case(['--compltion', 'bash'], 2, r"no option '--compltion'\. Did you mean '--completion'\?")
    table.case(['--completion', 'bahs'], 2, r"--completion: 'bahs' is not a shell that swarm knows\. Did you mean 'bash'\?", config=True)
    table.case(['get', 'x', '--listen', ':1'], 2, r"'--listen' is no option of 'swarm get'\. It belongs to 'swarm tracker'")
    table.case(['get', 'x', '--up'], 2, r'--up needs a value\. Use --up RATE', config=True)
    table.case(['get', 'x', '--overwrite', '--rename'], 2, r'--overwrite and --rename exclude each other')
    table.case(['get', 'x', '--interface', 'nosuch0'], 2, r"no interface 'nosuch0' with an address\. There are: ")
    table.case(['get', 'x', '-t', 'http://'], 2, r"-t: 'http://' is no address of a tracker\. Use HOST, HOST:PORT, http\(s\)://HOST:PORT or udp://HOST:PORT")
    table.case(['get', 'magnet:?dn=x', '-t', 'nas'], 2, r"'magnet:\?dn=x' is no magnet link with an info-hash")
    table.case(['get'], 2, r'(?i)what|usage')


def paths(table, work):
    folder = os.path.join(work, 'paths')
    os.makedirs(os.path.join(folder, 'empty'))
    table.case(['seed', 'missing.iso'], 3, r'missing\.iso.*(?i:no such file|does not exist|not found)')
    table.case(['seed', ''], 2, r'(?i)empty')
    table.case(['seed', os.path.join(folder, 'empty')], 2, r'empty')
    table.case(['get', 'missing.torrent'], 3, r'missing\.torrent.*(?i:no such file|does not exist|not found)')
    page = os.path.join(folder, 'x.torrent')
    with open(page, 'w') as f:
        f.write('<html><body>not found</body></html>')
    table.case(['get', 'x.torrent'], 6, r"x\.torrent is not a torrent file \(offset 0: expected 'd', found '<'; an HTML page\?\)", cwd=folder)
    secret = os.path.join(folder, 'secret.bin')
    content.random_file(secret, 1000)
    os.chmod(secret, 0)
    table.case(['seed', secret], 7, r'secret\.bin.*(?i:permission denied)', prefix=without_root_powers())


def trackers(table, work, other):
    closed = unused_port()
    table.case(['get', 'debian.iso'], 4, r"no tracker\. Start one with 'swarm tracker', or say where it is: .* -t HOST")
    table.case(['status'], 4, r"no tracker\. Start one with 'swarm tracker'")
    refused = r"nothing listens on 127\.0\.0\.1:%d \(connection refused\)\. Is 'swarm tracker' running there\?" % closed
    table.case(['get', 'debian.iso', '-t', '127.0.0.1:%d' % closed], 4, refused)
    table.case(['status', '-t', '127.0.0.1:%d' % closed], 4, refused)
    table.case(['get', 'http://127.0.0.1:%d/x.torrent' % closed], 4, r'nothing listens on 127\.0\.0\.1:%d \(connection refused\)\. Check the address$' % closed)
    table.case(['get', 'http://no-such-host.invalid/x.torrent'], 4, r'no-such-host\.invalid.*Check the address$', seconds=20)
    table.case(['get', 'debian.iso', '-t', 'no-such-host.invalid'], 4, r"no-such-host\.invalid.*\. Check the name, or give the address", seconds=20)
    with PlainTracker() as plain:
        table.case(['get', 'http://%s/x.torrent' % plain.address], 3, r'answered 404 Not Found\. Check the address')
        table.case(['status', '-t', plain.address], 4, r'%s is no swarm tracker' % re.escape(plain.address))
        table.case(['get', 'debian.iso', '-t', plain.address], 4,
                   r'%s.* is a plain BitTorrent tracker without a catalogue; give a magnet link or \.torrent' % re.escape(plain.address))

    tracker = Tracker(other, work, port=0)
    data = os.path.join(work, 'shared', 'debian.iso')
    content.random_file(data, MIB)
    seed = Seed(other, work, data, tracker=tracker, port=0)
    tracker.knows('debian.iso')
    where = re.escape(tracker.address)
    table.case(['get', 'debain.iso', '-t', tracker.address], 3, r"'debain\.iso' is not shared on %s\. Closest: debian\.iso" % where)
    table.case(['get', 'something-else', '-t', tracker.address], 3, r"'something-else' is not shared on %s" % where)
    table.case(['get', 'http://%s/t/debian.torrent' % tracker.address], 3, r'answered 404 Not Found\. Check the address')
    table.case(['status', 'debain.iso', '-t', tracker.address], 3, r"'debain\.iso' is not shared on %s\. Closest: debian\.iso" % where)
    elsewhere = os.path.join(work, 'elsewhere', 'debian.iso')
    content.random_file(elsewhere, MIB)
    table.case(['seed', elsewhere, '-t', tracker.address, '--port', '0'], 8, r"'debian\.iso' is taken on %s by other content" % where)
    table.case(['tracker', '--listen', tracker.address, '--state', os.path.join(work, 'second')], 7,
               r'port %d is in use( \(UDP\))?\. Use --listen :%d' % (tracker.port, tracker.port + 1))
    table.case(['seed', data, '-t', tracker.address, '--interface', other.ip4, '--port', str(seed.start['port'])], 7, r'port %d is in use' % seed.start['port'])
    seed.kill(), tracker.kill()


def peers(table, work):
    data = os.path.join(work, 'lonely', 'lonely.bin')
    content.random_file(data, MIB)
    lonely = Torrent(data, 65536).save(os.path.join(work, 'lonely.torrent'))
    tracker = Tracker(table.host, work, port=0)
    into = ['-d', os.path.join(work, 'lonely-got'), '--wait', '2s', '-t', tracker.address, '--port', '0']
    table.case(['get', lonely, *into], 5, r'no peer has (all of )?lonely\.bin', seconds=15)
    table.case(['get', lonely, *into, '--peer', '127.0.0.1:%d' % unused_port()], 5, r'1 peers? known, none reachable \(.*\)', seconds=15)
    tracker.kill()


def copies(table, work, other):
    """Who has it has not all of it; and a tracker whose file nobody has whole is a fault to `status --check`."""
    data = os.path.join(work, 'partial', 'partial.bin')
    content.random_file(data, 4 * MIB)
    tracker = Tracker(other, os.path.dirname(data), port=0)
    seed = Seed(other, work, data, '--piece-size', '64K', '--up', '1M', tracker=tracker, port=0)
    tracker.knows('partial.bin')
    Swarm(table.host, ['status', '--check', '-t', tracker.address], work=work, json_lines=False).ends(0)
    half = Get(table.host, work, 'partial.bin', '--wait', '1h', tracker=tracker, port=0)
    half.has_pieces(8)
    seed.send(2)
    seed.ends(130)
    gone = lambda: next((f for f in tracker.status()['files'] if f['seeders'] == 0), None)
    case.until(gone, 'the tracker misses the seed', 10, every=0.1)
    s = Swarm(table.host, ['status', '--check', '-t', tracker.address], work=work, json_lines=False).ends(1)
    check(s.stdout, 'status --check shows nothing', s.err)
    table.case(['get', 'partial.bin', '-t', tracker.address, '-d', os.path.join(work, 'late'), '--wait', '3s', '--port', '0', '--interface', '127.0.0.3'], 5,
               r'no peer has all of partial\.bin \(best copy \d+\.\d%\)\. Nothing came for \d+s; the same command resumes', seconds=30)
    half.kill(), tracker.kill()


def ambiguous(table, work, other):
    """One name, two contents, at two trackers: only the person knows which."""
    started = []
    for name in ('one', 'two'):
        data = os.path.join(work, name, 'same.bin')
        content.random_file(data, MIB)
        tracker = Tracker(other, os.path.join(work, name), port=0)
        started += [tracker, Seed(other, os.path.join(work, name), data, tracker=tracker, port=0)]
        tracker.knows('same.bin')
    one, two = started[0].address, started[2].address
    table.case(['get', 'same.bin', '-t', one, '-t', two], 2, r"'same\.bin' is one thing on .*:\d+ and another on .*:\d+\. Say which: -t ")
    for s in started:
        s.kill()


def changed(table, work):
    """A seeded file that changes is shared no more."""
    data = os.path.join(work, 'changing', 'c.bin')
    content.random_file(data, MIB)
    tracker = Tracker(table.host, work, port=0)
    s = Swarm(table.host, ['seed', data, '-t', tracker.address, '--port', '0'], work=work, json_lines=False)
    s.line('magnet:?')
    with open(data, 'r+b') as f:
        f.write(b'changed')
    os.utime(data, (1, 1))
    s.ends(6, 30)
    check(re.search(r'c\.bin changed on disk since hashing; stopped sharing it', s.err), 'the change is not told', s.err)
    table.ran += 1
    torrent = Torrent(data, 65536).save(os.path.join(work, 'c.torrent'))
    content.random_file(data, MIB)
    table.case(['seed', data, '--torrent', torrent], 6, r'c\.bin does not match .*c\.torrent: \d+ of 16 pieces are different')
    tracker.kill()


def settings(table, work):
    """The settings file: who wins, what is wrong in it, and where."""
    folder = os.path.join(work, 'home-' + table.host.name, 'config', 'swarm')
    os.makedirs(folder, exist_ok=True)
    path, closed = os.path.join(folder, 'config.toml'), unused_port()
    at = re.escape(path)

    def said(text, argv, code, answer, **more):
        with open(path, 'w') as f:
            f.write(text)
        return table.case(argv, code, answer, config=True, **more)

    refused = r'nothing listens on 127\.0\.0\.1:%d'
    said('tracker = "127.0.0.1:%d"\n' % closed, ['status'], 4, refused % closed)
    said('tracker = "nas.invalid"\n[status]\ntracker = ["127.0.0.1:%d"]\n' % closed, ['status'], 4, refused % closed)
    said('tracker = "nas.invalid"\n', ['status', '-t', '127.0.0.1:%d' % closed], 4, refused % closed)
    said('tracker = "nas.invalid"\n', ['status'], 4, refused % closed, prefix=['env', 'SWARM_TRACKER=127.0.0.1:%d' % closed])
    said('tracker = "nas.invalid"\n', ['status', '--no-config'], 4, r'no tracker\.')
    s = said('trakcer = "nas"\n', ['status'], 4, r"warning: %s:1: trakcer is no option\. Did you mean 'tracker'\?" % at)
    check(s.err.count('trakcer') == 1, 'the warning stands there twice', s.err)
    said('\nup = "10Q"\n', ['get', 'x'], 2, r"%s:2: up: '10Q' is not a size\. Use e\.g\." % at)
    said('\n\nup: 10M\n', ['get', 'x'], 2, r"%s:3: 'up' is not followed by '='" % at)
    said('[get]\ncolor = "alwyas"\n', ['get', 'x'], 2, r"%s:2: color: 'alwyas' is not a choice\. Did you mean 'always'\?" % at)
    said('', ['get', 'x', '--config', os.path.join(work, 'none.toml')], 3, r'--config: .*none\.toml does not exist')
    said('', ['get', 'x', '--config', work], 7, r'cannot read .*: Is a directory')
    said('', ['get', 'x', '--config', path, '--no-config'], 2, r'--config and --no-config exclude each other')
    os.chmod(path, 0)
    table.case(['status', '-t', '127.0.0.1:%d' % closed], 4, r'warning: cannot read %s: Permission denied; going on without settings\n(.*\n)*.*%s' % (at, refused % closed),
               config=True, prefix=without_root_powers())
    os.remove(path)


def homes(table, work):
    """No home, or one that takes nothing: what needs it says so, all else works."""
    closed = unused_port()
    none = ['env', '-u', 'HOME', *(a for v in ('CONFIG', 'STATE', 'CACHE', 'DATA', 'RUNTIME') for a in ('-u', 'XDG_%s_HOME' % v))]
    table.case(['tracker', '--listen', '127.0.0.1:0'], 2, r'no folder for the catalogue: HOME is not set\. Say where: --state DIR', prefix=none)
    table.case(['get', 'x', '-t', '127.0.0.1:%d' % closed], 4, r'nothing listens', prefix=none)
    locked = os.path.join(work, 'locked')
    os.makedirs(locked)
    os.chmod(locked, 0o555)
    read_only = ['env', 'HOME=' + locked, *('XDG_%s_HOME=%s/x' % (v, locked) for v in ('CONFIG', 'STATE', 'CACHE')), *without_root_powers()]
    table.case(['tracker', '--listen', '127.0.0.1:0'], 7, r'locked.*(?i:permission denied)', prefix=read_only)
    data = os.path.join(work, 'shared', 'debian.iso')
    tracker = Tracker(table.host, work, port=0)
    s = Swarm(table.host, ['seed', data, '-t', tracker.address, '--port', '0'], work=work, prefix=read_only)
    s.event('start')                                         # its hashes are remembered nowhere, and it serves all the same
    check('"error"' not in s.out, 'a cache that cannot be written is an error', s.out)
    Swarm(table.host, ['get', 'debian.iso', '-t', tracker.address, '-d', os.path.join(work, 'homeless'), '--port', '0', '--interface', '127.0.0.3'], work=work, prefix=read_only).ends(0, 20)
    s.send(2)
    s.ends(130)
    # Said before anybody is asked for anything: there is nobody who has it.
    table.case(['get', 'debian.iso', '-t', tracker.address, '-d', locked, '--port', '0', '--interface', '127.0.0.3'], 7,
               r'cannot save into .*locked: (?i:permission denied)\. Choose another folder with -d', prefix=without_root_powers())
    table.ran += 1
    tracker.kill()


def streams(table, work):
    """stdout on a full disk, streams that nobody opened, a reader that leaves."""
    sh = lambda redirect: ['sh', '-c', 'exec "$@" ' + redirect, 'sh']
    tracker = Tracker(table.host, work, port=0)
    data = os.path.join(work, 'shared', 'debian.iso')
    seed = Seed(table.host, work, data, tracker=tracker, port=0)
    tracker.knows('debian.iso')
    status, get = ['status', '-t', tracker.address], lambda name: ['get', 'debian.iso', '-t', tracker.address, '-d', os.path.join(work, name), '--port', '0', '--interface', '127.0.0.3']
    full = r'cannot write to stdout: No space left on device'
    table.case(status, 1, full, prefix=sh('> /dev/full'))
    table.case(['--help'], 1, full, prefix=sh('> /dev/full'), config=True)
    table.case(get('full'), 1, full, prefix=sh('> /dev/full'), seconds=20)
    check(content.sha256(os.path.join(work, 'full', 'debian.iso')) == content.sha256(data), 'the file itself is not whole')
    table.case(status, 1, r'cannot write to stdout: Bad file descriptor', prefix=sh('>&-'))
    table.case(get('no-out'), 1, r'cannot write to stdout', prefix=sh('>&-'), seconds=20)
    check(content.sha256(os.path.join(work, 'no-out', 'debian.iso')) == content.sha256(data), 'the file itself is not whole')
    for redirect, name in (('<&-', 'no-in'), ('2>&-', 'no-err'), ('2> /dev/full', 'full-err')):
        s = Swarm(table.host, get(name), work=work, json_lines=False, prefix=sh(redirect)).ends(0, 20)
        check(s.stdout == [os.path.join(work, name, 'debian.iso')], 'stdout is not the path alone', s.out)
        table.ran += 1
    s = Swarm(table.host, [*status, '--watch', '0s'], work=work, json_lines=False, prefix=['bash', '-c', '"$@" | head -n1; exit ${PIPESTATUS[0]}', 'bash'])
    s.ends(0, 20)                                            # whoever reads has seen enough, which is no mistake
    check(len(s.stdout) == 1 and not s.err, 'a reader that leaves makes a fuss', s.err)
    table.ran += 1
    seed.kill(), tracker.kill()


def existing(table, work):
    folder, data = os.path.join(work, 'existing'), os.path.join(work, 'original', 'debian.iso')
    content.random_file(data, MIB)
    content.random_file(os.path.join(folder, 'debian.iso'), MIB)
    before = content.sha256(os.path.join(folder, 'debian.iso'))
    file = Torrent(data, 65536).save(os.path.join(work, 'original.torrent'))
    table.case(['get', file], 7, r'\./debian\.iso exists and is different\. Use --overwrite, --rename or -o', cwd=folder)
    check(content.sha256(os.path.join(folder, 'debian.iso')) == before, 'the other file was touched')
    whole = os.path.join(work, 'whole')
    os.makedirs(whole)
    shutil.copy(data, whole)
    Swarm(table.host, ['get', file], work=work, cwd=whole).ends(0)      # already whole: nobody is needed


def json_error(table, work):
    s = Swarm(table.host, ['get', 'debian.iso', '-t', '127.0.0.1:%d' % unused_port()], work=work).ends(4)
    last = s.events[-1]
    check(last['event'] == 'error' and last['v'] == 1 and last['code'] == 4 and last['message'] and last['hint'], 'the last line is no error event', last)
    table.ran += 1


def loopback_magnet(host, work):
    tracker = Tracker(host, work, port=0)
    data = os.path.join(work, 'shared', 'debian.iso')
    s = Swarm(host, ['seed', data, '-t', tracker.address, '--port', '0'], work=work, json_lines=False)
    s.line('magnet:?xt=urn:btih:')
    s.line('other machines cannot use 127.0.0.1')
    check(s.stdout and s.stdout[0].startswith('magnet:?'), 'stdout is not the magnet link', s.out)
    s.send(2)
    s.ends(130)
    check(len(s.stdout) == 1, 'more than the magnet link on stdout', s.out)
    tracker.kill()


def without_root_powers():
    """Makes file permissions count for root too."""
    return ('setpriv', '--bounding-set', '-dac_override,-dac_read_search') if os.geteuid() == 0 else ()


def unused_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class PlainTracker:
    """A tracker that knows announces and nothing else, like opentracker."""

    def __enter__(self):
        self._s = socket.create_server(('127.0.0.1', 0))
        self.address = '127.0.0.1:%d' % self._s.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._s.shutdown(socket.SHUT_RDWR)
        self._s.close()

    def _serve(self):
        while True:
            try:
                s, _ = self._s.accept()
            except OSError:
                return
            with s:
                path = s.recv(65536)
                body = b'd8:intervali60e5:peers0:e' if path.startswith(b'GET /announce') else b'not found'
                status = b'200 OK' if path.startswith(b'GET /announce') else b'404 Not Found'
                s.sendall(b'HTTP/1.1 %s\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (status, len(body), body))


if __name__ == '__main__':
    case.run(main)
