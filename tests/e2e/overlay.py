"""--interface tailscale: the machine's address in the overlay is found on whatever interface has it, IPv4 before IPv6, and what
is no such address is left alone; where there is none, that is said."""
import os
import re

import case
import content
import hosts
from case import MIB, check, say
from swarm import Swarm

ADDRESSES = ['100.64.0.3', '100.127.255.9']        # the first and nearly the last of 100.64.0.0/10


def main(work):
    with hosts.Lan(3) as (seeding, getting, bare):
        for host, address in zip((seeding, getting), ADDRESSES):
            hosts.ip(host.name, 'addr add %s/10 dev v0' % address, 'addr add fd7a:115c:a1e0::%s/48 dev v0 nodad' % address[-1])
        share(work, seeding, getting)
        only_six(work, bare)
        none(work, bare)


def share(work, seeding, getting):
    tracker = Swarm(seeding, ['tracker', '--interface', 'tailscale', '--listen', ':0', '--state', os.path.join(work, 'state')], work=work)
    listening = tracker.event('listening')
    check(listening['addresses'] == ['%s:%d' % (ADDRESSES[0], listening['port'])], 'the tracker listens elsewhere', listening)
    data = os.path.join(work, 'a.bin')
    content.random_file(data, MIB)
    where = '%s:%d' % (ADDRESSES[0], listening['port'])
    Swarm(seeding, ['seed', data, '-t', where, '--interface', 'tailscale', '--port', '0'], work=work).event('start')
    Swarm(getting, ['get', 'a.bin', '-t', where, '--interface', 'tailscale', '--port', '0', '-d', os.path.join(work, 'got')], work=work).ends(0, 30)
    met = {e['addr'].rsplit(':', 1)[0] for e in tracker.all('joined')}
    check(met == set(ADDRESSES), 'a node came from another address', met)
    check(content.sha256(os.path.join(work, 'got', 'a.bin')) == content.sha256(data), 'not identical')
    say('tracker, seed and download met at the overlay\'s addresses')


def only_six(work, host):
    hosts.ip(host.name, 'addr add fd7a:115c:a1e0::77/128 dev lo nodad')
    tracker = Swarm(host, ['tracker', '--interface', 'tailscale', '--listen', ':0', '--state', os.path.join(work, 'six')], work=work)
    listening = tracker.event('listening')
    check(listening['addresses'] == ['[fd7a:115c:a1e0::77]:%d' % listening['port']], 'the tracker listens elsewhere', listening)
    tracker.kill()
    hosts.ip(host.name, 'addr del fd7a:115c:a1e0::77/128 dev lo')
    say('an overlay of IPv6 alone is found, too')


def none(work, host):
    hosts.ip(host.name, 'addr add 100.128.0.1/32 dev lo', 'addr add fd7a:115c:a1e1::1/128 dev lo nodad')     # just beside both
    s = Swarm(host, ['tracker', '--interface', 'tailscale', '--state', os.path.join(work, 'none')], work=work, json_lines=False).ends(2)
    check(re.search(r"no Tailscale address on this machine \(100\.64\.0\.0/10 or fd7a:115c:a1e0::/48\)\. Run 'tailscale up', or", s.err), 'no clear answer', s.err)
    say('without one, the answer says what to do')


if __name__ == '__main__':
    case.run(main)
