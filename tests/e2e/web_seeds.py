"""Web seeds (BEP 19): web servers as the only source and beside a slow peer, good ones, ones that ignore ranges and ones that err.

nginx knows ranges, Python's http.server does not; what no real server does is done by a scripted one."""
import os
import re
import shutil
import socket
import sys
import threading
import time
import urllib.parse

import case
import content
import hosts
from bencode import decode, encode
from case import MIB, check, say
from process import Process
from swarm import PEER_PORT, Get, Seed, Swarm, indices

SIZE, PIECE = 48 * MIB, '256K'
NAMES = ['two words.txt', 'café déjà vu.txt', 'empty', os.path.join('sub folder', '100% & more #1?.bin'), os.path.join('sub folder', 'nothing'), 'one byte']


def main(work):
    with hosts.Lan(3) as lan:
        getter, server, other = lan
        www = os.path.join(work, 'www')
        files = Files(work, www, getter)
        seed = Seed(other, work, files.data, '--torrent', files.torrent(), '--up', '1M')
        if has_nginx():
            nginx(work, getter, server, files, seed)
        python(work, getter, server, files, seed)
        magnets(work, getter, server, files, seed)
        scripted(work, getter, server, files)
        errs(work, getter, server, files)
        stalls(work, getter, server, files, seed)
        lies(work, getter, server, files, seed)
    if not has_nginx():
        raise case.Skip('nginx is not installed, so its scenes did not run; all others passed')


class Files:
    """A file and a folder in one place, and torrents of them with any web seeds."""

    def __init__(self, work, www, host):
        self.work, self.www, self.data, self.folder = work, www, os.path.join(www, 'a big file é.bin'), os.path.join(www, 'the folder ü')
        self.digest = content.random_file(self.data, SIZE)
        for name, size in zip(NAMES, (3 * MIB + 7, 700001, 0, 5 * MIB, 0, 1)):
            content.random_file(os.path.join(self.folder, name), size)
        self.tree, self.folder_bytes = content.tree(self.folder), 8 * MIB + 7 + 700001 + 1
        self._made, self._count = {}, 0
        for path in (self.data, self.folder):
            made = os.path.join(work, 'made-%d.torrent' % len(self._made))
            Swarm(host, ['seed', path, '--dry-run', '--output', made, '--piece-size', PIECE, '--web-seed', 'http://to.be.replaced/'], work=work).ends(0, 20)
            with open(made, 'rb') as f:
                self._made[path] = decode(f.read())
        check(self._made[self.data][b'url-list'] == [b'http://to.be.replaced/'] or self._made[self.data][b'url-list'] == b'http://to.be.replaced/',
              'the web seed is not in the torrent', self._made[self.data][b'url-list'])

    def torrent(self, *urls, folder=False):
        """The path of a .torrent with these web seeds and no tracker."""
        meta = dict(self._made[self.folder if folder else self.data])
        meta.pop(b'url-list', None), meta.pop(b'announce', None), meta.pop(b'announce-list', None)
        if urls:
            meta[b'url-list'] = list(urls)
        self._count += 1
        path = os.path.join(self.work, 'with-web-seeds-%d.torrent' % self._count)
        with open(path, 'wb') as f:
            f.write(encode(meta))
        return path

    def same(self, get, folder=False):
        if folder:
            differences = content.same_tree(self.tree, content.tree(get.path(os.path.basename(self.folder))))
            return check(not differences, 'the folder is not identical', differences)
        check(content.sha256(get.path(os.path.basename(self.data))) == self.digest, 'the file is not identical')
        shutil.rmtree(get.folder)


ports = iter(range(7000, 8000))


def start(host, work, what, *options, **more):
    port = next(ports)
    return Get(host, work, what, *options, port=port, folder=os.path.join(work, 'got-%d' % port), **more)


def peer(seed):
    return ['--peer', '%s:%d' % (seed.host.ip4, PEER_PORT)]


def listens(host, port):
    def answers():
        try:
            host.connect((host.ip4, port)).close()
            return True
        except OSError:
            return False
    case.until(answers, 'a web server on port %d' % port, 10)
    return 'http://%s:%d/' % (host.ip4, port)


# Servers that are in use.

def has_nginx():
    return shutil.which('nginx', path='/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin')


def nginx(work, getter, server, files, seed):
    log, conf, temp = (os.path.join(work, 'nginx' + x) for x in ('.log', '.conf', ''))
    os.mkdir(temp)
    with open(conf, 'w') as f:
        f.write('daemon off; master_process off; worker_processes 1; pid %s/pid; error_log stderr error; events {}\n' % temp +
                "http { log_format bytes '$status $body_bytes_sent $request_uri'; access_log %s bytes;\n" % log +
                ''.join('%s_temp_path %s/%s;\n' % (x, temp, x) for x in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')) +
                'server { listen %s:80; root "%s"; } }\n' % (server.ip4, files.www))
    p = Process(server, ['nginx', '-e', 'stderr', '-c', conf], name='nginx', env={**os.environ, 'PATH': os.environ['PATH'] + ':/usr/sbin'})
    url = listens(server, 80)

    def sent():
        """(bodies' bytes, requests) since the last look; every reply must be a range."""
        with open(log) as f:
            rows = [line.split(' ', 2) for line in f]
        os.truncate(log, 0)
        check(all(r[0] in ('200', '206') for r in rows), 'nginx refused a request', [r for r in rows if r[0] not in ('200', '206')])
        return sum(int(r[1]) for r in rows), len(rows)

    for folder, size in ((False, SIZE), (True, files.folder_bytes)):
        g = start(getter, work, files.torrent(url, folder=folder))
        g.ends(0, 30)
        files.same(g, folder)
        bytes_sent, requests = sent()
        check(size <= bytes_sent <= 1.01 * size, 'nginx sent %d bytes of %d' % (bytes_sent, size))
        check(g.event('done')['bytes_down'] == size, 'bytes_down is not the size', g.event('done'))
        check(not re.search('no peer|waiting', g.err), 'a web seed is a source', g.err)
        say('nginx alone, %s: identical, %.4f of its bytes in %d requests' % ('folder' if folder else 'file', bytes_sent / size, requests))
    g = start(getter, work, files.torrent(url), *peer(seed))
    g.ends(0, 30)
    files.same(g)
    check(g.event('done')['bytes_down'] <= 1.1 * SIZE, 'too much came twice', g.event('done'))
    say('nginx beside a slow peer: identical, %.2f of it from nginx' % (sent()[0] / SIZE))
    p.kill()


def python(work, getter, server, files, seed):
    """http.server answers every request with the whole file: 200."""
    p = Process(server, [sys.executable, '-u', '-m', 'http.server', '--bind', server.ip4, '--directory', files.www, '8000'], name='http.server')
    url = listens(server, 8000)
    gets = lambda: sum('"GET ' in line for line in p.stderr + p.stdout)
    for folder, size in ((False, SIZE), (True, files.folder_bytes)):
        before, received = gets(), getter.received()
        g = start(getter, work, files.torrent(url, folder=folder))
        g.ends(0, 30)
        received = getter.received() - received
        files.same(g, folder)
        check(g.event('done')['bytes_down'] == size, 'bytes_down is not the size', g.event('done'))
        requests = gets() - before
        # One file: the reply that showed how the server is goes on to the end. A folder: that reply may be of any of its files.
        most = 1 if not folder else 5
        check(1 <= requests <= most, '%d requests instead of %d' % (requests, most), p.err)
        if not folder:
            check(received < 1.1 * size, 'the network carried %d bytes of %d' % (received, size))
        check('web seed 1' not in g.err, 'that it ignores ranges is no error', g.err)
        say('http.server alone, %s: identical, %d requests, %.3f of its bytes over the network' % ('folder' if folder else 'file', requests, received / size))
    g = start(getter, work, files.torrent(url), *peer(seed))
    g.ends(0, 30)
    files.same(g)
    check(g.event('done')['bytes_down'] <= 1.1 * SIZE, 'too much came twice', g.event('done'))
    say('http.server beside a slow peer: identical')
    text = start(getter, work, files.torrent(url), '--wait', '5s', '--down', '16M', '--progress', 'plain', json_lines=False)
    text.ends(0, 30)
    files.same(text)
    check('done 48.0 MiB' in text.err and 'no peer' not in text.err, 'the plain lines are wrong', text.err)
    p.kill()


def magnets(work, getter, server, files, seed):
    """A peer tells what it is, a web seed has the bytes. Without the peer nobody can tell, and that is said."""
    web = Scripted(server, files)
    magnet = 'magnet:?xt=urn:btih:%s&ws=%s' % (seed.infohash, urllib.parse.quote(web.url, safe=''))
    alone = start(getter, work, magnet, '--wait', '1s')
    g = start(getter, work, magnet + '&x.pe=%s:%d' % (seed.host.ip4, PEER_PORT))
    g.ends(0, 30)
    files.same(g)
    check(web.asked, 'the web seed of the magnet link was never asked')
    alone.ends(5)
    check('web seeds cannot' in alone.event('error')['hint'], 'why a magnet link needs a peer is not said', alone.err)
    web.close()
    say('a magnet link with a web seed, with a peer and without one')


# A server that does as it is told.

class Scripted:
    """One file for any path; `reply(request)` writes the answer. A request knows its path, its range and the file's true bytes."""

    def __init__(self, host, files, reply=None):
        with open(files.data, 'rb') as f:
            self.data = f.read()
        self.reply, self.asked, self.sent, self.closing = reply or Request.range, [], 0, threading.Event()
        self.listener = host.listen()
        self.address = '%s:%d' % self.listener.getsockname()
        self.url = 'http://%s/file' % self.address
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while not self.closing.is_set():
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        buffer = b''
        try:
            while not self.closing.is_set():
                while b'\r\n\r\n' not in buffer:
                    received = s.recv(65536)
                    if not received:
                        return
                    buffer += received
                head, _, buffer = buffer.partition(b'\r\n\r\n')
                request = Request(self, s, head.decode())
                self.asked.append((request.path, request.first, request.last))
                if self.reply(request) is False:
                    return
        except OSError:
            pass
        finally:
            s.close()


class Request:
    def __init__(self, server, sock, head):
        self.server, self.sock, self.path = server, sock, head.split(' ')[1]
        m = re.search(r'^range: bytes=(\d+)-(\d+)', head, re.I | re.M)
        self.first, self.last = (int(m[1]), int(m[2])) if m else (None, None)

    @property
    def true(self):
        return self.server.data[self.first:self.last + 1]

    def say(self, status, body=b'', length=None, **headers):
        lines = ['HTTP/1.1 %s' % status, 'Content-Length: %d' % (len(body) if length is None else length)]
        self.sock.sendall('\r\n'.join(lines + ['%s: %s' % (k.replace('_', '-'), v) for k, v in headers.items()]).encode() + b'\r\n\r\n')
        for at in range(0, len(body), 65536):
            part = body[at:at + 65536]
            self.sock.sendall(part)
            self.server.sent += len(part)

    def range(self, body=None, **more):
        self.say('206 Partial Content', self.true if body is None else body,
                 **{'Content_Range': 'bytes %d-%d/%d' % (self.first, self.last, SIZE), **more})


def scripted(work, getter, server, files):
    """Ways of serving that are right, if unusual."""
    whole = Scripted(server, files, lambda r: r.say('200 OK', r.server.data))
    moved = Scripted(server, files, lambda r: r.range() if r.path == '/there' else r.say('302 Found', Location='/there'))
    unknown = Scripted(server, files, lambda r: r.range(Content_Range='bytes %d-%d/*' % (r.first, r.last)))
    gets = [start(getter, work, files.torrent(s.url)) for s in (whole, moved, unknown)]
    for g, s in zip(gets, (whole, moved, unknown)):
        g.ends(0, 30)
        files.same(g)
        check(s.sent == SIZE, 'sent %d bytes of %d' % (s.sent, SIZE))
        s.close()
    check(len(whole.asked) == 1, 'ranges ignored: the file was asked for more than once', whole.asked)
    say('the whole file each time, redirects, a length that is not told: identical, each byte once')


def errs(work, getter, server, files):
    """Each alone, so that the download ends with what was wrong with it."""
    wrong_place = lambda r: r.range(Content_Range='bytes %d-%d/%d' % (r.first + 1, r.last + 1, SIZE))
    rows = [
        (lambda r: r.say('404 Not Found'), 'answered 404 Not Found'),
        (lambda r: r.say('416 Range Not Satisfiable'), 'answered 416'),
        (wrong_place, 'sends the range'),
        (lambda r: r.range(Content_Range='bytes %d-%d/%d' % (r.first, r.last, SIZE - 1)), 'has %d bytes, the torrent\'s file has %d' % (SIZE - 1, SIZE)),
        (lambda r: r.say('200 OK', r.server.data[:-1]), 'has %d bytes' % (SIZE - 1)),
        (lambda r: r.say('302 Found', Location=r.path), 'in a circle'),
        (lambda r: r.range(r.true[:-1]), 'less than it was asked for'),
        (lambda r: r.range(r.true + b'x'), 'more than it was asked for'),
        (lambda r: r.range(bytes(len(r.true))), 'sent wrong data, and is asked no more'),
        (lambda r: (r.range(r.true[:100000], length=len(r.true)), False)[1], 'hung up in the middle'),
    ]
    servers = [Scripted(server, files, reply) for reply, _ in rows]
    gets = [start(getter, work, files.torrent(s.url), '--wait', '3s') for s in servers]
    closed = start(getter, work, files.torrent('http://%s:1/x' % server.ip4), '--wait', '3s')
    for g, s, (_, words) in zip(gets, servers, rows):
        g.ends(5, 20)
        e = g.event('error')
        check(e['code'] == 5 and e['message'].startswith('web seed 1') and words in e['message'], 'the error does not say %r' % words, e)
        check('web seed 1' in g.err and words.partition(',')[0].replace('sent wrong data', 'wrong block') in g.err, 'the log does not name the web seed', g.err)
        check(len(s.asked) <= 6, 'a server that errs is asked at once again', len(s.asked))
        s.close()
    closed.ends(5, 20)
    check('connection refused' in closed.event('error')['message'] and 'swarm tracker' not in closed.err, 'nobody listens', closed.err)
    say('%d ways to err: not believed, named, exit 5' % (len(rows) + 1))


def stalls(work, getter, server, files, seed):
    """In the middle of the first range; the peer has the rest, and that range as well."""
    def reply(r):
        r.range(r.true[:len(r.true) // 2], length=len(r.true))
        r.server.closing.wait(60)
        return False
    fast = Seed(seed.host, work, files.data, '--torrent', files.torrent(), port=PEER_PORT + 1)
    web = Scripted(server, files, reply)
    g = start(getter, work, files.torrent(web.url), '--peer', '%s:%d' % (seed.host.ip4, PEER_PORT + 1))
    began = time.monotonic()
    g.ends(0, 25)
    files.same(g)
    say('a server that stalls beside a peer: identical after %.1f s' % (time.monotonic() - began))
    web.close(), fast.kill()


def lies(work, getter, server, files, seed):
    """Alone it has three tries; then it is named and out. A peer that comes then brings the file."""
    web = Scripted(server, files, lambda r: r.range(bytes(b ^ 1 for b in r.true[:1]) * len(r.true)))
    port = PEER_PORT + 2
    g = start(getter, work, files.torrent(web.url), '--peer', '%s:%d' % (seed.host.ip4, port))
    g.line('web seed 1 sent', 20)
    asked = len(web.asked)
    honest = Seed(seed.host, work, files.data, '--torrent', files.torrent(), port=port)
    g.ends(0, 40)
    files.same(g)
    check(len(web.asked) == asked, 'the liar was asked again')
    bad = g.bad_pieces()
    check(all(e['from'] == ['web seed 1'] for e in bad), 'the liar is not named', bad[:2])
    check(sum(len(indices(e)) for e in bad) >= 3, 'it had no three tries', bad)
    check(re.search(r'web seed 1 sent \d+ wrong blocks, and is asked no more', g.err), 'the log does not say so', g.err[-1000:])
    honest.kill(), web.close()
    say('a liar: out after %d bad pieces in %d range(s), the peer that came then brought the file' % (len(bad), asked))


if __name__ == '__main__':
    case.run(main, bytes_needed=8 * SIZE)
