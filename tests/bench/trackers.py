"""Announces a second at a tracker that has one core to itself, the load on the others; swarm beside opentracker.

With two cores it is the load that ends first when every announce has a connection of its own, so the CPU that each costs the tracker
stands beside the rate."""
import json
import os
import re
import shutil
import subprocess

import hosts
from account import Account
from clients import Opentracker
from measuring import CannotMeasure, measure, median, row
from swarm import Tracker

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 3
HASHES = 10_000


def on_core(core, argv):
    """argv kept to one core, for trackers, or to the others, for the load."""
    return ['taskset', '-c', core, *argv] if shutil.which('taskset') and os.cpu_count() > 1 else list(argv)


class OneCore(hosts.Host):
    """A host whose processes share the first core."""

    def command(self, argv):
        return super().command(on_core('0', argv))


def start(bench, name, host, hashes):
    if name == 'swarm':
        return Tracker(host, bench.work)
    return Opentracker(host, bench.work, hashes).process


def load(argv):
    """What a load generator says, on the other cores."""
    rest = '1-%d' % (os.cpu_count() - 1) if os.cpu_count() > 1 else '0'
    return subprocess.run(on_core(rest, argv), check=True, capture_output=True, text=True, timeout=60).stdout


def measured(bench, what, once, limit):
    """A row a tracker; `once(host)` loads the one that runs there and gives announces a second. A new tracker each time: none has
    peers of an earlier round."""
    said = subprocess.run([bench.program('udp_load'), 'hashes', str(HASHES)], check=True, capture_output=True, text=True).stdout.split()
    hashes, names = [bytes.fromhex(h) for h in said], ['swarm', *(['opentracker'] if shutil.which('opentracker') else [])]
    with hosts.Lan(1) as lan:       # a network of its own: nothing else has the ports, and nobody else's firewall is asked
        host = lan[0]
        host.__class__ = type('OneCoreLan', (OneCore, type(host)), {})
        def one(name):
            tracker = start(bench, name, host, hashes)
            with Account(tracker) as spent:
                rate, note = once(host, said)
            tracker.kill()
            each = '%.1f µs of CPU each' % (1e6 * spent.cpu() / rate / SECONDS)
            return rate, spent.cpu(), spent.peak_mib, each + (', ' + note if note else '')
        got = bench.interleaved(names, one)
    base = 'opentracker' if 'opentracker' in got else None
    return [row(what, who, [g[0] for g in all_of], 'announces/s', better='more', base=base, limit=limit if who == 'swarm' and base else None,
                cpu_s=median([g[1] for g in all_of]), rss_seed_mib=max(g[2] for g in all_of), note=all_of[-1][3]) for who, all_of in got.items()]


@measure()
def udp(bench):
    """announces over UDP (BEP 15)"""
    def once(host, hashes):
        said = json.loads(load(inside(host, [bench.program('udp_load'), host.ip4, '6969', str(SECONDS), str(HASHES)])))
        return said['announces_per_s'], '%.0f bytes a reply%s' % (said['reply_bytes'], ', %d refused' % said['refused'] if said['refused'] else '')
    return measured(bench, 'announces, UDP', once, 1.5)


@measure()
def http(bench):
    """announces over HTTP, a connection each, and kept alive (wrk)"""
    if not shutil.which('wrk'):
        raise CannotMeasure('wrk is not installed')
    rows = []
    for what, header, limit in (('announces, HTTP, a connection each', 'Connection: close', 1.2), ('announces, HTTP, kept alive', 'Connection: keep-alive', 5)):
        def once(host, hashes):
            script = os.path.join(bench.work, 'announce.lua')
            with open(script, 'w') as f:
                f.write(announce_script(hashes))
            said = load(inside(host, ['wrk', '-t', '1', '-c', '64', '-d', '%ds' % SECONDS, '-H', header, '-s', script, 'http://%s:6969' % host.ip4]))
            return float(re.search(r'Requests/sec:\s*([\d.]+)', said)[1]), ''
        rows += measured(bench, what, once, limit)
    return rows


def inside(host, argv):
    return ['ip', 'netns', 'exec', host.name, *argv]


def announce_script(hashes):
    """wrk's: an announce of a random peer for one of these torrents."""
    escaped = ['"%s"' % ''.join('%' + h[i:i + 2] for i in range(0, 40, 2)) for h in hashes]
    return '''local hashes = {%s}
math.randomseed(7)
request = function()
  local peer = math.random(1, 1000000000)
  return wrk.format('GET', '/announce?info_hash=' .. hashes[math.random(#hashes)] .. '&peer_id=-XX0001-' .. string.format('%%012d', peer)
    .. '&port=' .. (peer %% 60000 + 1024) .. '&uploaded=0&downloaded=0&left=1&compact=1&numwant=50')
end
''' % ','.join(escaped)


MEASURES = {f.__name__: f for f in (udp, http)}
