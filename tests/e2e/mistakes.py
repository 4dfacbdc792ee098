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
from swarm import Seed, Swarm, Tracker

EXPECTED = 26     # cases that must have run


class Table:
    def __init__(self, host, work):
        self.host, self.work, self.ran = host, work, 0

    def case(self, argv, code, text, *, cwd=None, seconds=10, prefix=()):
        """Runs swarm and compares; `text` is a regular expression for stderr."""
        s = Swarm(self.host, argv, work=self.work, json_lines=False, cwd=cwd, prefix=prefix)
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
    with PlainTracker() as plain:
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
    table.case(['tracker', '--listen', tracker.address, '--state', os.path.join(work, 'second')], 7,
               r'port %d is in use\. Use --listen :%d' % (tracker.port, tracker.port + 1))
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
