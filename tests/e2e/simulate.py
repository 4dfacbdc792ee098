"""`swarm simulate` as a person and a script meet it: its figures, its exit codes, its files, its end by Ctrl-C, and that two runs of
one random seed are the same."""
import json
import os
import re
import signal
import xml.dom.minidom

import case
import hosts
from case import check, say
from swarm import Swarm

SMALL = ['simulate', '--nodes', '6', '--size', '4MiB', '--piece-size', '64KiB', '--up', '20Mbit', '--down', '20Mbit', '--rtt', '1ms']
DONE = ['v', 'event', 'nodes', 'finished', 'first_seconds', 'median_seconds', 'last_seconds', 'bound_seconds', 'ratio', 'seed_copies',
        'wasted_bytes', 'event_hash']


def main(work):
    with hosts.Local(1) as (host,):
        figures(host, work)
        twice(host, work)
        files(host, work)
        scenarios(host, work)
        failures(host, work)
        mistakes(host, work)
        interrupted(host, work)
        on_a_terminal(host, work)


def simulate(host, work, *options, code=0, seconds=60, **kind):
    return Swarm(host, [*SMALL, *options], work=work, **kind).ends(code, seconds)


def figures(host, work):
    run = simulate(host, work)
    check(list(run.events[-1])[:len(DONE)] == DONE, 'the last line has other fields', run.events[-1])
    start, done = run.events[0], run.events[-1]
    check(start['event'] == 'start' and start['nodes'] == 6 and start['random_seed'] == 1, 'start is wrong', start)
    check(done['event'] == 'done' and done['nodes'] == done['finished'] == 6, 'not all finished', done)
    check(0 < done['bound_seconds'] <= done['first_seconds'] <= done['median_seconds'] <= done['last_seconds'], 'times out of order', done)
    check(abs(done['ratio'] - done['last_seconds'] / done['bound_seconds']) < 1e-3, 'the ratio is another', done)
    check(abs(done['bound_seconds'] - 4 * 2**20 / 2.5e6 * (1 + 3 / 64)) < 1e-6, 'the bound is another', done)
    check(done['seed_copies'] >= 1 and done['wasted_bytes'] >= 0 and re.fullmatch('[0-9a-f]{16}', done['event_hash']), 'figures', done)
    check(all(json.loads(l) for l in run.stdout) and not run.stderr, 'more than JSON Lines', run.err)
    text = simulate(host, work, json_lines=False)
    for word in ('first whole', 'median', 'last whole', 'bound', 'seeds sent', 'wasted', 'event hash', '6 of 6', done['event_hash']):
        check(word in text.out, 'the summary does not say %s' % word, text.out)
    say('the figures: %.3f s, %.2f times the bound' % (done['last_seconds'], done['ratio']))


def twice(host, work):
    faults = ['--churn', '600%/min', '--crash', '900%/min', '--partition', '2@500ms+1s', '--liars', '1', '--free-riders', '1', '--join', 'poisson:5/s']
    outputs = {seed: [simulate(host, work, *faults, '--random-seed', seed).out for _ in range(2)] for seed in ('7', '8')}
    for seed, (one, other) in outputs.items():
        check(one == other, 'two runs of random seed %s differ' % seed, one[-400:], other[-400:])
    check(outputs['7'][0].split('event_hash')[1][:20] != outputs['8'][0].split('event_hash')[1][:20], 'other chance, the same run')
    say('two runs of one random seed say the same, byte for byte')


def files(host, work):
    trace, picture, profile = (os.path.join(work, name) for name in ('trace.jsonl', 'curves.svg', 'lines.json'))
    with open(profile, 'w') as f:
        json.dump({'nodes': [{'name': 'fast', 'share': 2, 'up': '40Mbit', 'down': ['40Mbit', '80Mbit'], 'rtt': '2ms'},
                             {'name': 'slow', 'up': '5Mbit', 'down': '20Mbit', 'rtt': ['10ms', '20ms']}],
                   'seeds': {'up': '40Mbit', 'down': '40Mbit'}}, f)
    argv = ['simulate', '--nodes', '6', '--size', '2MiB', '--piece-size', '64KiB', '--profile', profile, '--trace', trace, '--svg', picture]
    run = Swarm(host, [*argv, '--compare', 'rarest'], work=work).ends(0, 60)
    done = run.events[-1]
    check(done['policy'] == 'spread' and done['compared']['policy'] == 'rarest' and done['compared']['finished'] == 6, 'not both', done)
    check(done['bound'].startswith('max(F/u_seed'), 'unequal lines have another bound', done['bound'])
    with open(trace) as f:
        events = [json.loads(line) for line in f]
    check(all({'seconds', 'node', 'what'} <= set(e) for e in events), 'a line of the trace lacks something')
    times = [e['seconds'] for e in events]
    check(times == sorted(times), 'the trace is out of order')
    check(sorted(e['node'] for e in events if e['what'] == 'finished') == ['node%d' % (i + 1) for i in range(6)], 'six nodes finish')
    stored = [(e['node'], e['piece']) for e in events if e['what'] == 'stored']
    check(sorted(stored) == sorted(('node%d' % (i + 1), p) for i in range(6) for p in range(32)), 'each stores each piece once', len(stored))
    with open(picture) as f:
        drawn = xml.dom.minidom.parse(f)
    check(len(drawn.getElementsByTagName('polyline')) == 4, 'two curves for each of two runs')
    say('%d events traced, two runs drawn' % len(events))


def scenarios(host, work):
    help_text = Swarm(host, ['simulate', '--help'], work=work, json_lines=False).ends(0).out
    for name in ('churn', 'partition', 'liars', 'tracker-dies'):
        done = Swarm(host, ['simulate', '--scenario', name, '--random-seed', '3'], work=work).ends(0, 60).events[-1]
        check(done['finished'] == done['nodes'] and not done['violations'], '%s is not right' % name, done)
    check('--scenario NAME' in help_text and '--seed-leaves-after COPIES' in help_text, 'not in --help', help_text)


def failures(host, work):
    lost = simulate(host, work, '--seed-leaves-after', '0.5', code=5)
    check(lost.events[-1]['ending'] == 'lost' and lost.events[-1]['pieces_lost'] > 0, 'not lost', lost.events[-1])
    replay = re.search(r'pieces left with the nodes that had them\. Replay it with: (swarm simulate .*)$', lost.err, re.M)
    check(replay, 'no replay command', lost.err)
    again = Swarm(host, replay[1].split()[1:], work=work).ends(5, 60)
    check(again.events[-1]['event_hash'] == lost.events[-1]['event_hash'], 'the replay is another run')
    late = simulate(host, work, '--max-time', '500ms', code=1)
    check('6 of 6 nodes are not whole after 0.5 s' in late.err, 'not late', late.err)


def mistakes(host, work):
    for argv, code, text in [
            (['--profile', 'nosuch.json'], 3, r'--profile: nosuch\.json is no profile and no file\. Use lan, wan, mixed or a file'),
            (['--trace', '/nonexistent/x'], 7, r'--trace /nonexistent/x: No such file or directory'),
            (['--svg', '/nonexistent/x'], 7, r'--svg /nonexistent/x: No such file or directory'),
            (['--nodes', 'many'], 2, r"--nodes: 'many' is not a number of nodes\. Use 1 to 100000"),
            (['--node', '3'], 2, r"no option '--node'\. Did you mean '--nodes'\?"),
            (['--tracker', 'nas'], 2, r"'--tracker' is no option of 'swarm simulate'")]:
        run = Swarm(host, ['simulate', '--size', '1MiB', '--nodes', '2', *argv], work=work, json_lines=False).ends(code, 30)
        check(re.search(text, run.err), '%s: another answer' % argv, run.err)
    with open(os.path.join(work, 'bad.json'), 'w') as f:
        f.write('{"nodes": [{"up": "1M", "down": "fast"}]}')
    bad = Swarm(host, ['simulate', '--profile', 'bad.json'], work=work, json_lines=False).ends(2)
    check('bad.json: nodes[0].down: expected a rate above 0' in bad.err, 'another answer', bad.err)


def interrupted(host, work):
    run = Swarm(host, [*SMALL, '--speed', '0.2'], work=work)
    run.event('progress')
    run.send(signal.SIGINT)
    run.ends(130)
    done = run.events[-1]
    check(done['event'] == 'done' and done['ending'] == 'interrupted' and done['virtual_seconds'] >= 1, 'no summary so far', done)
    say('Ctrl-C after %.2f virtual seconds ends with the summary so far' % done['virtual_seconds'])


def on_a_terminal(host, work):
    run = simulate(host, work, '--speed', '1', json_lines=False, terminal=True)
    for word in ('NODE', 'leecher', 'x real time', 'last whole', 'upper line'):
        check(word in run.out, 'the terminal does not show %s' % word, run.out[-2000:])


if __name__ == '__main__':
    case.run(main)
