"""Whether what a run keeps is what a later run and README's table make of it: rows of one measure are replaced in their place, an
interrupted run goes on with what is missing, and the table says who is ahead, what was given up, and what each figure costs."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
import bench
import readme_table
import results
from measuring import row

ORDER = ['first', 'second', 'third']


def main():
    with tempfile.TemporaryDirectory() as folder:
        replaces(os.path.join(folder, 'results.json'))
    goes_on()
    table()


def keep(path, name, *rows):
    results.keep(path, name, list(rows), ORDER, machine='a machine', clients={'lt': '1.2'}, command='run ' + name, took_s=1.5, binary='b')


def replaces(path):
    keep(path, 'third', row('transfer', 'swarm', [9], 's'))
    keep(path, 'first', row('transfer', 'lt', [4, 5, 9], 's', base='lt'), row('transfer', 'swarm', [1, 2, 3], 's', base='lt', limit=0.3))
    keep(path, 'third', row('transfer', 'swarm', [7], 's'))
    kept = results.load(path)
    found = [(r['measure'], r['who'], r['value'], r.get('times')) for r in kept['rows']]
    expect(found, [('first', 'lt', 5.0, 1.0), ('first', 'swarm', 2.0, 0.4), ('third', 'swarm', 7.0, None)])
    expect([results.met(r) for r in kept['rows']], [None, False, None])
    expect(kept['measures']['first'], {'took_s': 1.5, 'binary': 'b'})
    expect(os.listdir(os.path.dirname(path)), ['results.json'])


def goes_on():
    ordinary = [n for n, m in bench.MEASURES.items() if m.ordinary]
    expect(bench.names('', {'pair'}), ordinary)
    expect(bench.names('missing', {'pair', 'core'}), [n for n in ordinary if n not in ('pair', 'core')])
    expect(bench.names('udp,pair', {'pair'}), ['udp', 'pair'])


def table():
    rows = [row('a, 1 MiB', 'swarm', [2, 1, 3], 's', cpu_s=0.5, rss_seed_mib=8, rss_get_mib=24), row('a, 1 MiB', 'lt', [1.9], 's', cpu_s=1),
            row('a, 1 MiB', 'aria2', [120], 's', late=True), row('a, 1 MiB', 'lt to lt', [1.95], 's'),
            row('4 + 4', 'all', [1000], 'MiB/s', better='more'), row('4 + 4', 'floor', [1051], 'MiB/s', better='more'), row('nobody', 'lt', [1], 's')]
    kept = {'machine': 'a machine', 'clients': {'lt': '1.2'}, 'rows': [{'measure': 'first', **r} for r in rows]}
    text = readme_table.section(kept)
    expect(readme_table.faults(text), [])
    expect([l for l in text.split('\n') if l.startswith('|')][2:], [
        '| a, 1 MiB | 2.00 s (0.50 CPU s, 8.00 / 24.0 MiB) | lt: 1.90 s (1.00 CPU s); aria2: > 120 s; lt to lt: 1.95 s | lt | first |',
        '| 4 + 4 | all: 1,000 MiB/s | floor: 1,051 MiB/s | floor | first |'])
    expect('libtorrent 1.2' in text, True)
    expect(readme_table.faults(text.replace('| 2.00 s', '| about 2 s')) != [], True)


def expect(found, wanted):
    if found != wanted:
        raise AssertionError('%r\n  instead of %r' % (found, wanted))


if __name__ == '__main__':
    main()
