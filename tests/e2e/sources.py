"""Where torrents and peers come from besides swarm's own tracker over HTTP: trackers over UDP (opentracker and swarm's), a .torrent
over https with each way in which TLS fails, and the files that a magnet link names (so=)."""
import os
import shutil
import sys

import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from process import Process
from swarm import Get, Seed, Swarm, Tracker, bracket

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'interop'))
from clients import Opentracker  # noqa: E402

SIZE, PIECE = 3 * MIB + 5, 256 << 10
ports = iter(range(7000, 8000))


def main(work):
    with hosts.Lan(4) as lan:
        swarm_udp(work, lan)
        chosen_by_magnet(work, lan)
        missing = []
        opentracker_udp(work, lan) if shutil.which('opentracker') else missing.append('opentracker')
        https(work, lan) if shutil.which('openssl') else missing.append('openssl')
    if missing:
        raise case.Skip('%s is not installed, so its scenes did not run; all others passed' % ' and '.join(missing))


def start(host, work, what, *options, **more):
    port = next(ports)
    return Get(host, work, what, *options, port=port, folder=os.path.join(work, 'got-%d' % port), **more)


def by_udp(work, lan, announce, torrent, digest, who, six=False):
    """A seed and a download that have nothing but a .torrent with one tracker."""
    meta = torrent.save(os.path.join(work, 'udp-%d.torrent' % next(ports)))
    own = lambda host: host.ip6 if six else host.ip4
    seed = Seed(lan[1], work, torrent.path, '--torrent', meta, ip=own(lan[1]), port=next(ports))
    get = start(lan[2], work, meta, ip=own(lan[2]))
    get.ends(0, 30)
    check(content.sha256(get.path(os.path.basename(torrent.path))) == digest, 'not identical')
    seed.kill()
    say('%s, %s: found each other over UDP' % (who, announce))


def swarm_udp(work, lan):
    """swarm's own tracker, over IPv4 and IPv6, by a .torrent, by -t and by the magnet link that a seed prints."""
    data = os.path.join(work, 'source', 'by udp.bin')
    digest = content.random_file(data, SIZE)
    for six in (False, True):
        tracker = Tracker(lan[0], work, ip=lan[0].ip6 if six else lan[0].ip4)
        announce = 'udp://%s/announce' % tracker.address
        by_udp(work, lan, announce, Torrent(data, PIECE, announce), digest, 'swarm tracker', six)
        tracker.kill()
    tracker = Tracker(lan[0], work)
    seed = Seed(lan[1], work, data, '-t', 'udp://' + tracker.address, port=next(ports))
    check('tr=udp%3A%2F%2F' in seed.start['magnet'], 'the magnet link does not name the tracker', seed.start['magnet'])
    get = start(lan[2], work, seed.start['magnet'])
    get.ends(0, 30)
    check(content.sha256(get.path('by udp.bin')) == digest, 'not identical')
    plain = start(lan[3], work, 'by udp.bin', '-t', 'udp://' + tracker.address)
    plain.ends(4, 10)
    check('without a catalogue' in plain.events[-1]['message'], 'a NAME at a UDP tracker', plain.events[-1])
    lonely = start(lan[3], work, 'magnet:?xt=urn:btih:%s&tr=udp://%s' % ('5' * 40, tracker.address), '--wait', '3s')
    lonely.ends(5, 15)
    waits = lonely.all('metadata')
    check(waits and not lonely.all('start'), 'nothing tells that only peers can tell what it is', lonely.out)
    check(waits[0]['bytes_done'] == 0 and waits[0]['bytes_total'] is None and waits[0]['peers'] == 0, 'metadata from nobody', waits)
    seed.kill(), tracker.kill()
    say('swarm tracker by -t udp:// and a magnet link: identical; a NAME there is refused')


def opentracker_udp(work, lan):
    data = os.path.join(work, 'source', 'by opentracker.bin')
    digest = content.random_file(data, SIZE)
    announce = 'udp://%s:6969/announce' % lan[0].ip4
    torrent = Torrent(data, PIECE, announce)
    tracker = Opentracker(lan[0], work, [torrent.infohash])
    by_udp(work, lan, announce, torrent, digest, 'opentracker')
    tracker.kill()


def chosen_by_magnet(work, lan):
    """so= (BEP 53) names files by index; -f, if it is given, has the last word."""
    source = os.path.join(work, 'source', 'five')
    truth = {name: content.random_file(os.path.join(source, name), 300000 + i) for i, name in enumerate('abcde')}
    tracker = Tracker(lan[0], work)
    seed = Seed(lan[1], work, source, tracker=tracker)
    tracker.knows('five')
    for so, options, names in (('so=1,3-4', (), 'bde'), ('so=0', (), 'a'), ('so=0', ('-f', 'c'), 'c')):
        get = start(lan[2], work, seed.start['magnet'] + '&' + so, *options)
        get.ends(0, 30)
        check(sorted(os.listdir(get.path('five'))) == list(names), '%s saved other files' % so, os.listdir(get.path('five')))
        check(all(content.sha256(os.path.join(get.path('five'), n)) == truth[n] for n in names), '%s: not identical' % so)
    nothing = start(lan[2], work, seed.start['magnet'] + '&so=7')
    code = nothing.wait(20)
    check(code in (2, 3), 'a file that is not there is no success: %d' % code, nothing.out)
    check(not os.listdir(nothing.folder), 'files that nobody chose', os.listdir(nothing.folder))
    seed.kill(), tracker.kill()
    say('so= in a magnet link: exactly those files; -f counts more; an index that is not there ends with %d' % code)


def https(work, lan):
    """A .torrent over https, by an authority that openssl makes; and each failure with its text, its code and nothing saved."""
    folder = os.path.join(work, 'https')
    os.makedirs(os.path.join(folder, 'www'))
    # They end with their standard input.
    server = Process(lan[2], ['sh', '-c', 'tail -f /dev/null | exec "$0" "$@"', sys.executable, os.path.join(HERE, '..', 'uv', 'servers.py'), folder], name='servers.py')
    server.line('ready', 30)
    at = dict(line.split() for line in server.stdout if ' ' in line)
    data = os.path.join(work, 'source', 'by https.bin')
    digest = content.random_file(data, SIZE)
    tracker = Tracker(lan[0], work)
    torrent = Torrent(data, PIECE, tracker.announce)
    torrent.save(os.path.join(folder, 'www', 'x.torrent'))
    seed = Seed(lan[1], work, data, '--torrent', os.path.join(folder, 'www', 'x.torrent'), port=next(ports))
    trusting = ['env', 'SSL_CERT_DIR=', 'SSL_CERT_FILE=' + os.path.join(folder, 'ca.pem')]
    url = lambda kind, host: 'https://%s:%s/x.torrent' % (host, at[kind])
    for host in ('localhost', '127.0.0.1'):
        get = start(lan[2], work, url('secure_files', host), prefix=trusting)
        get.ends(0, 30)
        check(content.sha256(get.path('by https.bin')) == digest, 'not identical')
    rows = [
        ('secure_files', 'localhost', [], 'untrusted', 'is not signed by an authority that this machine trusts'),
        ('self', 'localhost', trusting, 'untrusted', 'is not signed by an authority that this machine trusts'),
        ('expired', 'localhost', trusting, 'certificate_expired', 'expired on 2020-02-01'),
        ('future', 'localhost', trusting, 'certificate_not_yet_valid', 'is not valid before 2090-01-01'),
        ('other', 'localhost', trusting, 'wrong_host', 'is for www.other.example, other.example'),
        ('names', '127.0.0.1', trusting, 'wrong_host', 'is for localhost, *.swarm.example'),
        ('old', 'localhost', trusting, 'tls_too_old', 'does not speak TLS 1.2 or newer'),
        ('plain', 'localhost', trusting, 'not_tls', 'does not speak TLS'),
        ('mute', 'localhost', trusting, 'tls_refused', 'hung up during the TLS handshake'),
        ('secure_files', 'localhost', ['env', 'SSL_CERT_DIR=', 'SSL_CERT_FILE=/nowhere/ca.pem'], 'no_ca_store', '/nowhere/ca.pem'),
    ]
    for kind, host, prefix, word, text in rows:
        get = start(lan[2], work, url(kind, host), prefix=prefix)
        get.ends(4, 15)
        said = get.events[-1]
        check(said['event'] == 'error' and said['code'] == 4 and said['error'] == word, '%s: another error' % kind, said)
        check(text in said['message'] and '%s:%s' % (host, at[kind]) in said['message'] or word == 'no_ca_store' and text in said['message'], '%s: another message' % kind, said)
        check(said['hint'], '%s: an error ends with what to do' % kind, said)
        check(not os.listdir(get.folder), '%s left files' % kind, os.listdir(get.folder))
    for p in (seed, tracker, server):
        p.kill()
    say('a .torrent over https: identical by name and by address; %d failures, each with its text and exit 4' % len(rows))


if __name__ == '__main__':
    case.run(main)
