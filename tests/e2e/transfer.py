"""One seed, three downloaders at once: everything identical, everybody gives while taking, and the tracker shows it.

SWARM_SIZE_MIB sets the file's size (256; 1024 with SWARM_BIG=1)."""
import os
import time

import case
import content
import hosts
from case import BIG, MIB, check, say
from process import plain
from swarm import Get, Seed, Tracker

SIZE = int(os.environ.get('SWARM_SIZE_MIB', 1024 if BIG else 256)) * MIB
MBIT = 400


def main(work):
    with hosts.Lan(5, mbit=MBIT) as lan:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(lan[0], work, console='terminal')
        seed = Seed(lan[1], work, data, tracker=tracker)
        row = tracker.knows('big.bin')
        check((row['bytes'], row['infohash']) == (SIZE, seed.infohash), 'the catalogue differs from the seed', row)
        began = time.monotonic()
        gets = [Get(h, work, 'big.bin', tracker=tracker) for h in lan[2:]]
        samples = watch(tracker, gets)
        for g in gets:
            g.ends(0, 120 if BIG else 60)
        wall = time.monotonic() - began
        for g in gets:
            check(content.sha256(g.path('big.bin')) == digest, '%s: not identical' % g.host.name)
            check(os.listdir(g.folder) == ['big.bin'], 'left beside the file:', os.listdir(g.folder))
            check(g.out.count('"done"') == 1 and g.events[-1]['event'] == 'done', 'done is not the last line of stdout')
        say('%d MiB to 3 downloaders identical after %.1f s (one transfer at %d Mbit/s: %.1f s)' % (SIZE // MIB, wall, MBIT, SIZE * 8 / MBIT / 1e6))
        everybody_gives(seed, gets)
        roles_percent_and_rates(samples, [h.ip4 for h in lan])
        log_tells(tracker, seed)


def watch(tracker, gets):
    """`status --json` as often as it answers while somebody downloads: [(moment, status)]."""
    samples = []
    while any(g.running for g in gets):
        samples.append((time.monotonic(), tracker.status()))
        check(samples[-1][0] - samples[0][0] < 120 * case.PATIENCE, 'the transfer takes too long')
    return samples


def everybody_gives(seed, gets):
    seed.send(2)
    seed.ends(130)
    up = [g.event('done')['bytes_up'] for g in gets]
    down = [g.event('done')['bytes_down'] for g in gets]
    from_seed = seed.event('done')['bytes_up']
    say('sent: seed %.2f copies, downloaders %s' % (from_seed / SIZE, ' '.join('%.2f' % (u / SIZE) for u in up)))
    check(all(u > 0 for u in up), 'a downloader gave nothing', up)
    check(all(SIZE <= d <= 1.1 * SIZE for d in down), 'bytes_down is not the file plus a little waste', down)
    check(from_seed + sum(up) >= 3 * SIZE, 'less was sent than arrived', from_seed, up)


def roles_percent_and_rates(samples, addresses):
    """Off the network's own speed nothing is compared exactly: rates are means over a second or more."""
    percents, rates, ups, downs = {}, {}, 0, 0
    for moment, status in samples:
        for node in status['nodes']:
            for file in (f for f in node['files'] if f['name'] == 'big.bin'):
                host = addresses.index(node['addr'].rpartition(':')[0])
                check(node['role'] == ('seeder' if file['percent'] >= 100 else 'leecher') or host > 1, 'a wrong role', node)
                check(host != 1 or node['role'] == 'seeder' and file['percent'] == 100, 'the seed is shown wrong', node)
                percents.setdefault(host, []).append((moment, file['percent'], file['bytes_done']))
                ups, downs = ups + file['rate_up'], downs + file['rate_down']
                if 0 < file['percent'] < 100:
                    rates.setdefault(host, []).append(file['rate_down'])
    check(sorted(percents) == [1, 2, 3, 4], 'status did not show one seed and three downloaders', sorted(percents))
    for host in (2, 3, 4):
        shown = [p for _, p, _ in percents[host]]
        check(shown == sorted(shown), 'percent went back', shown)
        check(len({p for p in shown if 0 < p < 100}) >= 3, 'percent did not grow', shown)
        moving = [(t, b) for t, p, b in percents[host] if 0 < p < 100]
        true_rate = (moving[-1][1] - moving[0][1]) / (moving[-1][0] - moving[0][0])
        told = sum(rates[host]) / len(rates[host])
        check(0.5 * true_rate < told < 2 * true_rate, 'rate_down %.1f MiB/s where bytes_done grows by %.1f' % (told / MIB, true_rate / MIB))
    check(0.5 * downs < ups < 2 * downs, 'what all send does not match what all receive', ups, downs)
    say('status: %d looks, roles, percent and rates match' % len(samples))


def log_tells(tracker, seed):
    """The console's scrolling log and its table, as a person saw them."""
    tracker.line('left')
    screen = plain(tracker.out)
    for word in ('joined', 'shares', 'complete', 'left', 'sha1 ok', 'NODE', 'ROLE', 'seeder', 'leecher', 'big.bin'):
        check(word in screen, 'the tracker\'s console never said %r' % word)
    tracker.send(2)
    tracker.ends(130)
    say('the console told who joined, shares, completed and left, piece checks and the table')


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE + 64 * MIB)
