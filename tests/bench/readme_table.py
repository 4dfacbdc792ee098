"""README's Numbers table, made of what the benchmark kept:

    readme_table.py RESULTS.json README.md       writes the table between the two marks
    readme_table.py --check README.md            fails unless what stands between them is what this writes

A line of the table is a measure: swarm's figure, everybody else's, and who is ahead of swarm by more than 5 %."""
import re
import sys

import results

BEGIN, END = '<!-- numbers: written by tests/bench/readme_table.py -->', '<!-- end of numbers -->'
HEAD = ['| | swarm | beside it | ahead of swarm |', '|---|---|---|---|']
FIGURE = r'[\d,.]+ \S+'
COSTS = r' \(%s(?:; [^()|]+)?\)' % r'(?:[\d,.]+ CPU s)?(?:, )?(?:[\d,.]+(?: / [\d,.]+)? MiB)?'
LINE = re.compile(r'^\| [^|]+ \| [^|]*?{f}(?:{c})?(?:, [^|]*?{f}(?:{c})?)* \| (?:|[^|]+? {f}(?:, [^|]+? {f})*) \| (?:|[^|]+) \|$'.format(f=FIGURE, c=COSTS))


def is_swarms(r):
    return 'swarm' in r['who'] or r.get('base') == r['who'] and r['what'].startswith('CPU of') or not r.get('rival', True)


def figure(r):
    return '%s %s' % (results.figure(r['value']), r['unit'])


def costs(r):
    parts = []
    if 'cpu_s' in r:
        parts.append('%s CPU s' % results.figure(r['cpu_s']))
    memory = [results.figure(r[k]) for k in ('rss_seed_mib', 'rss_get_mib') if k in r]
    if memory:
        parts.append(' / '.join(memory) + ' MiB')
    return ' (%s)' % ', '.join(parts) if parts else ''


def lines(kept):
    """A line a `what`, in the order in which they were measured."""
    out = []
    for what in dict.fromkeys(r['what'] for r in kept['rows']):
        rows = [r for r in kept['rows'] if r['what'] == what]
        others = [r for r in rows if r['who'] in OTHERS or r['who'].split(' to ') == [r['who'].split(' to ')[0]] * 2]
        ours = [r for r in rows if r not in others]
        named = len(ours) > 1 or ours and ours[0]['who'] != 'swarm'
        mine = ', '.join(('%s ' % r['who'] if named else '') + figure(r) + costs(r) for r in ours)
        beside = ', '.join('%s %s' % (r['who'], figure(r)) for r in others)
        worst = ours and (max if ours[0]['better'] == 'less' else min)(r['value'] for r in ours if not r['who'].endswith(', again'))
        ahead = [r['who'] for r in others if ours and (r['value'] < worst / 1.05 if r['better'] == 'less' else r['value'] > worst * 1.05)]
        if ours:
            out.append('| %s | %s | %s | %s |' % (what, mine, beside, ', '.join(ahead)))
    return out


OTHERS = {'floor', 'lt', 'aria2', 'rtorrent', 'transmission', 'mktorrent', 'opentracker', 'iperf3', 'dd'}


def section(kept):
    commands = sorted({r['command'] for r in kept['rows']})
    said = 'Measured by `SWARM_BENCH=all meson compile -C build bench` on %s; medians of interleaved rounds. CPU seconds are both sides\', MiB the\npeak memory of the seed and of the downloader. `floor` is a program that has no protocol at all (tests/bench/floor.cc).' % kept['machine']
    return '\n'.join([BEGIN, said, '', *HEAD, *lines(kept), END]) if commands else ''


def between(text):
    begin, end = text.find(BEGIN), text.find(END)
    return None if begin < 0 or end < begin else (begin, end + len(END))


def faults(text):
    """What is not as this writes it, in words."""
    place = between(text)
    if not place:
        return ['no marks: %s … %s' % (BEGIN, END)]
    inner = text[place[0]:place[1]].split('\n')
    table = [l for l in inner if l.startswith('|')]
    if table[:2] != HEAD:
        return ['the head of the table is another one']
    if len(table) < 3:
        return ['the table is empty']
    return ['not as readme_table.py writes it: ' + l for l in table[2:] if not LINE.match(l)]


def main():
    if sys.argv[1] == '--check':
        with open(sys.argv[2]) as f:
            wrong = faults(f.read())
        print('\n'.join(wrong) or 'as readme_table.py writes it')
        sys.exit(1 if wrong else 0)
    kept, readme = results.load(sys.argv[1]), sys.argv[2]
    with open(readme) as f:
        text = f.read()
    place = between(text)
    if not place:
        sys.exit('%s has no marks: %s … %s' % (readme, BEGIN, END))
    with open(readme, 'w') as f:
        f.write(text[:place[0]] + section(kept) + text[place[1]:])
    with open(readme) as f:
        sys.exit('\n'.join(faults(f.read())))


if __name__ == '__main__':
    main()
