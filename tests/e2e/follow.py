"""`swarm status --follow` against a tracker made of a script: events in any shape in which they may come, a stream that breaks and is
resumed where it broke, and what is no tracker. (The tracker's own side: tests/core/tracker.)"""
import contextlib
import json
import os
import signal
import socket
import threading

import case
import content
import hosts
from case import check, say
from swarm import Get, Seed, Swarm, Tracker

STATUS = {'v': 1, 'tracker': {'version': '0', 'name': 'fake', 'url': '', 'auth': False}, 'nodes': [], 'files': []}


def notice(event, **fields):
    return {'event': event, **fields}


def delta(*notices, files=()):
    return json.dumps({'v': 1, 'nodes': [], 'files': list(files), 'nodes_gone': [], 'files_gone': [], 'notices': list(notices)})


class FakeTracker:
    """Plays one script a connection: a function of (connection, head of the request) that sends what it likes."""

    def __init__(self, host):
        self.listener, self.heads, self.scripts = host.listen(), [], []
        self.address = '%s:%d' % self.listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            head = b''
            while b'\r\n\r\n' not in head:
                head += connection.recv(4096)
            self.heads.append(head.decode())
            script = self.scripts.pop(0) if self.scripts else nothing_here
            threading.Thread(target=play, args=(script, connection), daemon=True).start()


def play(script, connection):
    with connection, contextlib.suppress(OSError):  # who follows may have left
        script(connection)


def nothing_here(connection):
    connection.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n')


def stream(*parts, until=None):
    def send(connection):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n')
        for part in parts:
            connection.sendall(part if isinstance(part, bytes) else part.encode())
        if until:
            until.wait(20 * case.PATIENCE)
    return send


def main(work):
    with hosts.Local(1) as (host,):
        events(host, work)
        broken(host, work)
        one_file(host, work)
        no_tracker(host, work)
    with hosts.Local(3) as local:
        whole_life(local, work)


def follow(host, work, tracker, *more, **options):
    return Swarm(host, ['status', '--follow', '-t', tracker.address, *more], work=work, **options)


def events(host, work):
    tracker, over = FakeTracker(host), threading.Event()
    added = {'infohash': '00' * 20, 'name': 'debian.iso', 'bytes': 1000, 'pieces': 7, 'piece_bytes': 16384, 'copies': 1, 'seeders': 1,
             'leechers': 0, 'magnet': '', 'torrent_url': ''}
    body = delta(notice('joined', node='pi', addr='10.0.0.9:6881', role='leecher'),
                 notice('gets', node='pi', addr='10.0.0.9:6881', name='debian.iso'),
                 notice('piece', node='pi', addr='10.0.0.9:6881', name='debian.iso', first=4, count=1, ok=False),
                 notice('file_added', name='debian.iso', bytes=1000), notice('of_a_later_version', x=1),
                 notice('left', node='pi', addr='10.0.0.9:6881', silent=True), files=[added])
    whole = 'id: s.1\nevent: snapshot\ndata: %s\n\n: alive\n\nid: s.2\r\nevent: delta\r\ndata: %s\r\n\r\n' % (json.dumps(STATUS), body)
    bytewise = [whole[i:i + 7] for i in range(0, len(whole), 7)]
    for options in ({}, {'json_lines': False}, {'json_lines': False, 'terminal': True}):
        tracker.scripts.append(stream(*bytewise, 'event: delta\ndata: {"not json\n\n', 'event: delta\ndata: []\n\n', until=over))
        f = follow(host, work, tracker, **options)
        if not options:
            f.event('left')
            check([e['event'] for e in f.events] == ['joined', 'gets', 'piece', 'file_added', 'left'], 'events', f.events)
            check(f.events[2]['index'] == 4 and f.events[2]['ok'] is False, 'the piece', f.events[2])
            check((f.events[3]['bytes'], f.events[3]['pieces']) == (1000, 7), 'the file', f.events[3])
        elif 'terminal' in options:
            f.line('no sign of life')
            for text in ('joined (10.0.0.9:6881)', 'gets debian.iso', 'MISMATCH', '7 pieces x 16 KiB', 'following ' + tracker.address):
                f.line(text)
        else:
            f.line('event=left'), f.line('following')
            check(len(f.stdout) == 5 and all(l.startswith('time=') for l in f.stdout), 'not one event a line', f.out)
            check('sha1=mismatch' in f.out and 'following' in f.err, 'piece or advice', f.out, f.err)
        check(f.running, 'it ended by itself')
        f.send(signal.SIGINT)
        f.ends(130)
    over.set()
    check('last-event-id' not in tracker.heads[0].lower() and 'GET /api/v1/events' in tracker.heads[0], 'the request', tracker.heads[0])
    say('events as JSON, as logfmt, and for a person')


def broken(host, work):
    """Cut in the middle of an event: asked again behind the last whole one, and told once."""
    tracker, over = FakeTracker(host), threading.Event()
    tracker.scripts += [
        stream('retry: 100\n\nid: s.1\nevent: snapshot\ndata: %s\n\n' % json.dumps(STATUS),
               'id: s.2\nevent: delta\ndata: %s\n\n' % delta(notice('joined', node='a', addr='1.2.3.4:5', role='seeder')),
               'id: s.3\nevent: delta\ndata: {"v":1,"noti'),
        stream('id: s.3\nevent: delta\ndata: %s\n\n' % delta(notice('joined', node='b', addr='1.2.3.4:6', role='seeder'))),
        nothing_too_long,
        stream('id: t.1\nevent: snapshot\ndata: %s\n\n' % json.dumps(STATUS),
               'id: t.2\nevent: delta\ndata: %s\n\n' % delta(notice('joined', node='c', addr='1.2.3.4:7', role='seeder')), until=over),
    ]
    f = follow(host, work, tracker, json_lines=False)
    f.line('node=c', 20)
    nodes = [l.split('node=')[1].split()[0] for l in f.stdout]
    check(nodes == ['a', 'b', 'c'], 'an event is missing or came twice', nodes)
    asked = [next((l.split(': ')[1] for l in head.split('\r\n') if l.lower().startswith('last-event-id')), None) for head in tracker.heads]
    check(asked == [None, 's.2', 's.3', 's.3'], 'resumed at', asked)
    f.line('trying again')
    f.line('some events of %s were missed' % tracker.address)
    over.set()
    f.send(signal.SIGTERM)
    f.ends(143)
    say('a stream that breaks is resumed behind the last whole event')


def nothing_too_long(connection):
    """An event without an end, longer than any may be; then the connection breaks."""
    stream('event: delta\ndata: ', b'x' * (5 << 20))(connection)


def one_file(host, work):
    tracker, over = FakeTracker(host), threading.Event()
    tracker.scripts.append(stream('event: snapshot\ndata: %s\n\n' % json.dumps(STATUS), 'event: delta\ndata: %s\n\n' % delta(
        notice('gets', node='pi', addr='1.2.3.4:5', name='other'), notice('shares', node='pi', addr='1.2.3.4:5', name='mine')), until=over))
    f = follow(host, work, tracker, 'mine')
    f.event('shares')
    check(len(f.events) == 1, 'events of other files', f.events)
    over.set()
    f.send(signal.SIGINT)
    f.ends(130)
    say('--follow WHAT: only what concerns it')


def no_tracker(host, work):
    tracker = FakeTracker(host)
    f = follow(host, work, tracker, json_lines=False).ends(4)
    check('tells no events' in f.err and not f.stdout, 'a tracker without events', f.err)
    tracker.listener.shutdown(socket.SHUT_RDWR)
    tracker.listener.close()
    f = follow(host, work, tracker, json_lines=False).ends(4)
    check('nothing listens on' in f.err, 'nobody there', f.err)
    say('what is no tracker is told at once')


def whole_life(local, work):
    """The real tracker: a seed joins, a download completes and leaves, the seed leaves; each is told once, in this order."""
    data = os.path.join(work, 'source', 'debian.iso')
    content.random_file(data, 3 << 20)
    tracker = Tracker(local[0], work, port=0)
    f = follow(local[0], work, tracker, json_lines=False)
    f.line('following ' + tracker.address)
    seed = Seed(local[1], work, data, '--node-name', 'laptop', tracker=tracker, port=0)
    f.line('event=shares node=laptop')
    Get(local[2], work, 'debian.iso', '--node-name', 'pi', tracker=tracker, port=0).ends(0, 30)
    f.line('event=left node=pi')
    seed.send(signal.SIGINT)
    seed.ends(130)
    f.line('event=left node=laptop')
    told = [' '.join(w for w in l.split() if w.startswith(('event=', 'node=', 'file=', 'silent='))) for l in f.stdout if 'event=piece' not in l]
    inner = lambda node: [l.replace(' node=' + node, '') for l in told if 'node=' + node in l]
    check(told.count('event=file_added file=debian.iso') == 1, 'the new file', told)
    check(inner('laptop') == ['event=joined', 'event=shares file=debian.iso', 'event=left'], 'what the seed did', told)
    check(inner('pi') == ['event=joined', 'event=gets file=debian.iso', 'event=completed file=debian.iso', 'event=left'], 'what the download did', told)
    check(told[-1] == 'event=left node=laptop', 'the last one', told)
    check(f.running, 'it ended by itself')
    f.send(signal.SIGINT)
    f.ends(130)
    tracker.kill()
    say('a real tracker: joined, shares, gets, completed, left, each once')


if __name__ == '__main__':
    case.run(main)
