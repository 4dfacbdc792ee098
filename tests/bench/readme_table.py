"""README's Numbers table, made of what the benchmark kept:

    readme_table.py RESULTS.json README.md     writes the table between the two marks
    readme_table.py --check README.md          fails unless what stands between them has the shape that this writes

A line of the table: swarm's figure, everybody else's, who is ahead of swarm by more than 5 %, and the measure that it is of."""
import re
import sys

import results
from results import is_other

BEGIN, END = '<!-- numbers: written by tests/bench/readme_table.py -->', '<!-- end of numbers -->'
HEAD = ['| | swarm | beside it | ahead of swarm | measure |', '|---|---|---|---|---|']
AHEAD = 1.05

FIGURE = r'(?:[\w,+ ]+: )?(?:> )?[\d,]+(?:\.\d+)? \S+?(?: \((?:[\d,.]+ CPU s)?(?:, )?(?:[\d,.]+(?: / [\d,.]+)? MiB)?\))?'
CELLS = [re.compile(p.replace('{f}', FIGURE)) for p in (r'\S.*', r'{f}(?:; {f})*', r'(?:{f}(?:; {f})*)?', r'(?:[\w, ]+)?', r'\w+')]


def figure(r, name):
    return (name + ': ' if name else '') + results.value(r) + costs(r)


def costs(r):
    parts = ['%s CPU s' % results.figure(r['cpu_s'])] if 'cpu_s' in r else []
    memory = [results.figure(r[k]) for k in ('rss_seed_mib', 'rss_get_mib') if k in r]
    parts += [' / '.join(memory) + ' MiB'] if memory else []
    return ' (%s)' % ', '.join(parts) if parts else ''


def line(measure, what, rows):
    others, ours = [r for r in rows if is_other(r)], [r for r in rows if not is_other(r)]
    less = ours[0]['better'] == 'less'
    ahead = [r['who'] for r in others if (ours[0]['value'] / r['value'] if less else r['value'] / ours[0]['value']) > AHEAD]
    return '| %s | %s | %s | %s | %s |' % (what, '; '.join(figure(r, '' if r['who'] == 'swarm' else r['who']) for r in ours),
                                           '; '.join(figure(r, r['who']) for r in others), ', '.join(ahead), measure)


def section(kept):
    rounds = sorted({len(r['samples']) for r in kept['rows']})
    known = {'lt': 'lt is libtorrent', 'rtorrent': 'rTorrent', 'transmission': 'Transmission', 'dd': 'dd of coreutils'}
    clients = ', '.join('%s %s' % (known.get(name, name), version) for name, version in sorted(kept['clients'].items()))
    said = ('Measured by `meson compile -C build bench`, a line alone by `SWARM_BENCH=MEASURE meson compile -C build bench` with the name in its last\n'
            'column, on %s: each the median of %s interleaved round%s.\nCPU seconds are those of both sides, MiB the peak memory of the seed and of the downloader; `>` stands before what was given up then.\n'
            '`floor` is a program without any protocol (tests/bench/floor.cc)%s.' %
            (kept['machine'], ' to '.join(str(n) for n in sorted({rounds[0], rounds[-1]})), 's' * (rounds[-1] > 1), '; ' + clients if clients else ''))
    of = {}
    for r in kept['rows']:
        if r['measure'] == 'micro':
            continue        # what a function takes is of use to who changes it
        of.setdefault((r['measure'], r['what']), []).append(r)
    lines = [line(*key, rows) for key, rows in of.items() if any(not is_other(r) for r in rows)]
    return '\n'.join([BEGIN, said, '', *HEAD, *lines, END])


def between(text):
    begin, end = text.find(BEGIN), text.find(END)
    return None if begin < 0 or end < begin else (begin, end + len(END))


def faults(text):
    """What is not as this writes it, in words."""
    place = between(text)
    if not place:
        return ['no marks: %s … %s' % (BEGIN, END)]
    table = [l for l in text[place[0]:place[1]].split('\n') if l.startswith('|')]
    if table[:2] != HEAD:
        return ['the head of the table is another one']
    return ['the table is empty'] if len(table) < 3 else ['not as readme_table.py writes it: ' + l for l in table[2:] if not is_line(l)]


def is_line(text):
    cells = text[2:-2].split(' | ') if text.startswith('| ') and text.endswith(' |') else []
    return len(cells) == len(CELLS) and all(p.fullmatch(c.strip()) for p, c in zip(CELLS, cells))


def main():
    if sys.argv[1] == '--check':
        with open(sys.argv[2]) as f:
            wrong = faults(f.read())
        print('\n'.join(wrong) or 'as readme_table.py writes it')
        sys.exit(1 if wrong else 0)
    path = sys.argv[2]
    with open(path) as f:
        text = f.read()
    place = between(text) or sys.exit('%s has no marks: %s … %s' % (path, BEGIN, END))
    written = text[:place[0]] + section(results.load(sys.argv[1])) + text[place[1]:]
    if faults(written):
        sys.exit('\n'.join(faults(written)))
    with open(path, 'w') as f:
        f.write(written)


if __name__ == '__main__':
    main()
