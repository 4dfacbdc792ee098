"""The rows that were measured: kept as JSON, shown as a table.

The file: {"machine": …, "clients": {who: name and version}, "rows": [measuring.row() with `measure`, `command` and `times`, the quotient to
its base], "measures": {name: {"took_s": …, "binary": what was measured}}}."""
import json
import os

OTHERS = {'floor', 'lt', 'aria2', 'rtorrent', 'transmission', 'mktorrent', 'opentracker', 'iperf3', 'dd'}


def is_other(r):
    """Whether the row is somebody else's: alone, or with himself."""
    return set(r['who'].split(' to ')) <= OTHERS


def load(path):
    kept = {'machine': '', 'clients': {}, 'rows': [], 'measures': {}}
    if os.path.exists(path):
        with open(path) as f:
            kept.update(json.load(f))
    return kept


def keep(path, measure, rows, order, *, machine, clients, command, **about):
    """Replaces the rows of this measure, or puts them where `order` has it."""
    kept = load(path)
    rows = [{'measure': measure, 'command': command, **r} for r in rows]
    for r in rows:
        if r.get('base'):
            base = next((b for b in rows if b['what'] == r['what'] and b['who'] == r['base']), None)
            r['times'] = round(r['value'] / base['value'], 4) if base and base['value'] else None
    kept['rows'] = [r for r in kept['rows'] if r['measure'] != measure] + rows
    kept['rows'].sort(key=lambda r: order.index(r['measure']) if r['measure'] in order else len(order))
    kept.update(machine=machine, clients={**kept['clients'], **clients})
    kept['measures'][measure] = about
    temporary = path + '.new'
    with open(temporary, 'w') as f:
        json.dump(kept, f, indent=1)
        f.write('\n')
    os.replace(temporary, path)


def figure(value):
    """Three digits that count; thousands apart."""
    if value >= 100:
        return '{:,.0f}'.format(value)
    return '%.1f' % value if value >= 10 else '%.2f' % value if value >= 0.1 else '%.3f' % value


def value(r):
    """A row's figure with its unit; what was given up took longer."""
    return '%s%s %s' % ('> ' if r.get('late') else '', figure(r['value']), r['unit'])


def met(r):
    """Whether a row keeps its limit; nothing where it has none."""
    if r.get('limit') is None:
        return None
    have = r.get('times') if r.get('base') else r['value']
    if have is None:
        return None
    return have <= r['limit'] if r['better'] == 'less' else have >= r['limit']


def cells(r):
    """measure, who, figure, × base, limit, CPU, memory, spread, note."""
    low, high = min(r['samples']), max(r['samples'])
    limit = '' if r.get('limit') is None else '%s %g%s%s' % ('≤' if r['better'] == 'less' else '≥', r['limit'], ' ×' if r.get('base') else '', '' if met(r) is not False else ' MISSED')
    memory = ' / '.join(figure(r[k]) for k in ('rss_seed_mib', 'rss_get_mib') if k in r)
    return [r['what'], r['who'], value(r),
            '%.2f × %s' % (r['times'], r['base']) if r.get('times') and r['who'] != r['base'] else '', limit,
            figure(r['cpu_s']) if 'cpu_s' in r else '', memory,
            '%s–%s' % (figure(low), figure(high)) if len(r['samples']) > 1 else '', r.get('note', '')]


HEAD = ['', '', 'median', 'compared', 'goal', 'CPU s', 'peak RSS MiB', 'of', '']


def table(rows):
    lines = [HEAD] + [cells(r) for r in rows]
    for before, now in zip(reversed(lines[:-1]), reversed(lines[1:])):
        if now[0] == before[0]:
            now[0] = ''
    widths = [max(len(l[i]) for l in lines) for i in range(len(HEAD))]
    return '\n'.join('  '.join(c.ljust(w) for c, w in zip(l, widths)).rstrip() for l in lines)
