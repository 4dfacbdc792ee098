"""The tracker's page in a real browser: live, and harmless whatever names come from the network.

Skips without chromium (CHROMIUM says where it is, else the usual names are looked for)."""
import base64
import hashlib
import html.parser
import http.client
import http.server
import json
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import bencode
import case
import hosts
from case import check, say
from swarm import Tracker

# What runs any of these sets the page's title, which is the witness.
PWN = "document.title='pwned'"
HOSTILE = [
    '<img src=x onerror="%s">' % PWN,
    '</script><script>%s</script>' % PWN,
    '"><svg onload=%s>' % PWN,
    "javascript:%s" % PWN,
    '{{constructor.constructor("%s")()}}' % PWN,
    '<b>bold</b>&amp;',
    'holiday\u202egpj.exe',        # a right-to-left override: reads as "holidayexe.jpg"
    "it's $(reboot) `reboot`; reboot",
    '-o evil',
]

OWN_TAGS = {'html', 'head', 'meta', 'title', 'link', 'style', 'body', 'header', 'h1', 'h2', 'span', 'main', 'table', 'thead', 'tbody', 'tr',
            'th', 'td', 'p', 'ol', 'li', 'noscript', 'script', 'code', 'a', 'progress'}


def main(work):
    program = find_browser()
    if program is None:
        raise case.Skip('no chromium')
    browser = Browser(program, work)
    try:
        canary(browser)
        with hosts.Local(1) as local:
            hostile_names(browser, Tracker(local[0], work, port=0))
            live_and_polled(browser, Tracker(local[0], work, '--no-udp', port=0))
    finally:
        browser.close()


def canary(browser):
    """A page that does what ours must not: the browser runs the name, and this test sees it."""
    page = '<!doctype html><title>quiet</title><p id=p></p><script>p.innerHTML = %s</script>' % json.dumps(HOSTILE[0])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Type', 'text/html; charset=utf-8')
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser.open('http://127.0.0.1:%d/' % server.server_port)
    browser.page(lambda page: page.title == 'pwned' and page.handlers, 'the canary did not run: this test would see nothing')
    server.shutdown()


def hostile_names(browser, tracker):
    kept = [name for name in HOSTILE if '/' not in name]  # the others cannot be names of the catalogue
    for i, name in enumerate(kept):
        put(tracker, name, i)
    for i, name in enumerate(HOSTILE):
        beat(tracker, i, name)
    announce(tracker, '<i>AZ</i>')
    browser.open('http://%s/' % tracker.address)
    page = browser.page(lambda page: page.state == 'live' and page.rows['nodes'] == len(HOSTILE) + 1, 'the page is live, with a row for each node')
    check(page.title != 'pwned', 'a name was run', page.title)
    check(page.tags <= OWN_TAGS, 'markup came through', page.tags - OWN_TAGS)
    check(not page.handlers, 'a handler came through', page.handlers)
    base = 'http://%s/t/' % tracker.address
    check(len(page.links) == len(kept) and all(link.startswith(base) for link in page.links), 'a link that leads elsewhere', page.links)
    for name in HOSTILE:
        check(name.replace('\u202e', '\ufffd') in page.texts, 'a name is not shown as it is', name, page.texts)
    check(not any('\u202e' in text for text in page.texts), 'a bidirectional override is shown', page.texts)
    commands = [text for text in page.texts if text.startswith('swarm get ')]
    check(len(commands) == page.rows['files'], 'not a command a file', commands)
    for command in commands:
        words = shlex.split(command)
        check(len(words) == 5 and words[3:] == ['-t', tracker.address], 'a command that a shell takes apart', command)
        check(words[2] in kept or words[2].startswith('magnet:?xt='), 'a command for something else', command)
        check(not words[2].startswith('-'), 'a name that is an option', command)
    # The policy is in force: what gets in by another way does not run either.
    browser.value('document.body.append(Object.assign(document.createElement("script"), {textContent: "%s"}))' % PWN)
    check(browser.value('document.title') != 'pwned', 'the policy lets foreign scripts run')
    # Readable on a phone and on a desk, in light and in dark: nothing is cut off at the side.
    keep = os.environ.get('SWARM_PICTURES')
    for width, height, scheme in ((360, 740, 'light'), (360, 740, 'dark'), (1280, 800, 'light'), (1280, 800, 'dark')):
        browser.screen(width, height, scheme, keep and os.path.join(keep, '%d-%s.png' % (width, scheme)))
        check(browser.value('document.documentElement.scrollWidth') <= width, 'the page is wider than %d' % width)
        paper, ink = (browser.value('getComputedStyle(document.body).' + what) for what in ('backgroundColor', 'color'))
        check((brightness(paper) > brightness(ink)) == (scheme == 'light'), 'not ' + scheme, paper, ink)
    say('%d hostile names are text, on any screen' % len(HOSTILE))


def live_and_polled(browser, tracker):
    browser.open('http://%s/' % tracker.address)
    browser.page(lambda page: page.state == 'live', 'the page is live')
    put(tracker, 'arrives-later.iso', 99)
    page = browser.page(lambda page: any(text.endswith('arrives-later.iso is in the catalogue') for text in page.texts), 'the delta comes')
    check('arrives-later.iso' in page.texts, 'the file is not in the table', page.texts)
    beat(tracker, 1, 'pi')
    browser.page(lambda page: 'pi' in page.texts, 'the node comes')
    say('what changes comes in by itself')

    # A tracker that starts anew: the page finds it by itself.
    tracker.kill()
    browser.page(lambda page: page.state.startswith('connection lost'), 'the page says that the tracker is gone')
    tracker = tracker.again()
    page = browser.page(lambda page: page.state == 'live' and 'pi' not in page.texts, 'the page is live again', 30)
    check('arrives-later.iso' in page.texts, 'the catalogue is not back', page.texts)
    say('it comes back with the tracker')

    # With all places for followers taken it asks instead.
    browser.open('about:blank')
    case.until(lambda: b'swarm_tracker_followers 0\n' in request(tracker, 'GET', '/metrics')[1], 'the page has left', 10)
    followers = [follow(tracker) for _ in range(64)]
    browser.open('http://%s/' % tracker.address)
    browser.page(lambda page: page.state == 'asks every 3 s' and 'arrives-later.iso' in page.texts, 'the status without events')
    put(tracker, 'another.iso', 100)
    browser.page(lambda page: 'another.iso' in page.texts, 'the next status')
    for s in followers:
        s.close()
    say('without events it asks for the status')


def brightness(colour):
    return sum(int(part) for part in re.findall(r'\d+', colour)[:3])


def find_browser():
    names = [os.environ.get('CHROMIUM'), 'chromium', 'chromium-headless-shell', 'chromium-browser', 'google-chrome']
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Browser:
    """A headless browser with one page, driven by its DevTools protocol over a pipe (--remote-debugging-pipe: JSON, each ended
    by a NUL). It resolves no names, so that nothing leaves this machine."""

    def __init__(self, program, work):
        from_us, to_it = os.pipe()
        self._from_it, from_browser = os.pipe()
        self._to_it, self._buffer, self._number = to_it, b'', 0

        def pass_on():
            os.dup2(from_us, 3 + 100)
            os.dup2(from_browser, 4 + 100)
            os.dup2(103, 3)
            os.dup2(104, 4)
        self._p = subprocess.Popen([program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
                                    '--user-data-dir=' + os.path.join(work, 'profile'), '--proxy-server=direct://', '--disable-background-networking',
                                    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--remote-debugging-pipe', 'about:blank'],
                                   preexec_fn=pass_on, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(from_us)
        os.close(from_browser)
        self._session = None
        target = self._call('Target.createTarget', url='about:blank')['targetId']
        self._session = self._call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']

    def close(self):
        os.close(self._to_it)
        self._p.kill()
        self._p.wait()

    def open(self, url):
        self._call('Page.navigate', url=url)

    def page(self, holds=lambda page: True, what='the page', seconds=20):
        """The page once `holds` is true of it."""
        def look():
            page = Page(self.value('document.documentElement.outerHTML') or '')  # nothing on the way from one page to another
            self.last = page
            return page if holds(page) else None
        try:
            return case.until(look, what, seconds, every=0.1)
        except case.Failure:
            raise case.Failure('%s\n  %r %r %r' % (what, self.last.title, self.last.state, self.last.texts))

    def value(self, expression):
        return self._call('Runtime.evaluate', expression=expression, returnByValue=True)['result'].get('value')

    def screen(self, width, height, scheme, picture=None):
        self._call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self._call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        data = base64.b64decode(self._call('Page.captureScreenshot')['data'])
        if picture:
            with open(picture, 'wb') as f:
                f.write(data)

    def _call(self, method, **params):
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': params}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._to_it, json.dumps(message).encode() + b'\0')
        deadline = time.monotonic() + 30 * case.PATIENCE
        while True:
            while b'\0' not in self._buffer:
                check(select.select([self._from_it], [], [], max(0, deadline - time.monotonic()))[0], 'the browser does not answer ' + method)
                more = os.read(self._from_it, 1 << 20)
                check(more, 'the browser is gone')
                self._buffer += more
            text, self._buffer = self._buffer.split(b'\0', 1)
            reply = json.loads(text)
            if reply.get('id') == self._number:
                check('result' in reply, 'the browser refuses ' + method, reply)
                return reply['result']


class Page(html.parser.HTMLParser):
    """What a browser shows: its texts, tags, links and rows."""

    def __init__(self, dom):
        super().__init__()
        self.texts, self.tags, self.links, self.handlers = [], set(), [], []
        self.title = self.state = ''
        self.rows = {'files': 0, 'nodes': 0}
        self._open, self._table, self._id = '', None, None
        self.feed(dom)

    def handle_starttag(self, tag, attributes):
        self._open, self._id = tag, dict(attributes).get('id')
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith('on') or name in ('style', 'srcdoc')]
        self.links += [value for name, value in attributes if name in ('href', 'src') and tag != 'link']
        if tag == 'tbody':
            self._table = self._id
        elif tag == 'tr' and self._table:
            self.rows[self._table] += 1

    def handle_endtag(self, tag):
        self._open = self._id = ''
        if tag == 'tbody':
            self._table = None

    def handle_data(self, data):
        if self._open in ('script', 'style'):
            return
        self.texts.append(data)
        if self._open == 'title':
            self.title = data
        if self._id == 'state':
            self.state = data


def request(tracker, method, target, body=b''):
    connection = http.client.HTTPConnection(tracker.ip, tracker.port, timeout=10)
    connection.request(method, target, body)
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, text


def put(tracker, name, number):
    info = {b'length': 16384, b'name': b'x%d' % number, b'piece length': 16384, b'pieces': hashlib.sha1(b'%d' % number).digest()}
    status, text = request(tracker, 'PUT', '/api/v1/files/' + urllib.parse.quote(name, safe=''), bencode.encode({b'info': info}))
    check(status == 201, 'PUT of %r: %d' % (name, status), text)


def beat(tracker, number, name):
    torrent = {'infohash': '%040x' % number, 'left': 5, 'pieces': 10, 'peers': 1}
    text = {'node': '%016x' % number, 'name': name, 'peer_id': '%040x' % number, 'port': 7000 + number, 'sequence': 1, 'torrents': [torrent]}
    status, text = request(tracker, 'POST', '/api/v1/announce', json.dumps(text).encode())
    check(status == 200, 'a heartbeat: %d' % status, text)


def announce(tracker, code):
    peer_id = ('-%s' % code).ljust(20, 'x').encode()[:20]
    query = urllib.parse.urlencode({'info_hash': bytes(range(20)), 'peer_id': peer_id, 'port': 6000, 'left': 1})
    check(request(tracker, 'GET', '/announce?' + query)[0] == 200, 'an announce')


def follow(tracker):
    s = socket.create_connection((tracker.ip, tracker.port))
    s.sendall(b'GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
    s.recv(1)
    return s


if __name__ == '__main__':
    case.run(main)
