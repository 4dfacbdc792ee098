"""One person at three terminals (tmux panes): a tracker, a seed and a download; Ctrl-C, the same command again, a window that is
made narrower, a look at the status, the end of it all. What the terminals really show is kept in screens/ and compared, with
times, rates and whatever else chance decides replaced by names.

SWARM_GOLDEN=write writes the screens anew; a person then reads the difference."""
import contextlib
import os
import re
import shutil
import subprocess

import case
import content
from case import MIB, check, say
from process import clean_environment
from swarm import binary

SIZE = 40 * MIB
SCREENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'screens')
COMPARED = 11      # screens that must have been compared


def main(work):
    if not shutil.which('tmux'):
        raise case.Skip('the terminals are tmux panes, and there is no tmux')
    os.mkdir(os.path.join(work, 'bin'))
    os.symlink(binary(), os.path.join(work, 'bin', 'swarm'))
    content.random_file(os.path.join(work, 'big.bin'), SIZE)
    os.mkdir(os.path.join(work, 'got'))
    with Tmux(work) as tmux:
        try:
            session(tmux)
        except Exception:
            for pane in tmux.panes:
                print('--- %s\n%s' % (pane.name, pane.text()))
            raise
    check(tmux.compared == COMPARED, '%d screens compared, %d expected' % (tmux.compared, COMPARED))


def session(tmux):
    tracker, seed, get = tmux.pane('tracker'), tmux.pane('seed'), tmux.pane('get')

    tracker.type('swarm tracker --listen 127.0.0.1:0 --state state')
    where = tracker.until(r'swarm status -t (127\.0\.0\.1:\d+)')[1]
    tracker.until(r'no files: ')
    tracker.compare('tracker-begins')

    seed.type('swarm seed big.bin -t %s --interface 127.0.0.1 -p 0 --node-name laptop' % where)
    seed.until(r'seeding  0 peers')
    seed.compare('seed-shares')

    get.type('swarm get big.bin -t %s --interface 127.0.0.2 -p 0 --node-name pi -d got --down 6M' % where)
    get.until(r'(?m)^big\.bin  [2-9]\d\.\d% .* 1 peer$')
    get.compare('get-under-way')
    tracker.until(r'pi +leecher .* [1-9]\d?\.\d%')
    tracker.compare('tracker-moving')

    # A window that becomes narrower wraps the footer; the next frame leaves nothing of it behind.
    get.resize(44)
    get.until(r'(?m)^big\.bin  \d\d\.\d% [^\n]*MiB/s$')
    footers = lambda: len(re.findall(r'(?m)^big\.bin  \d', get.text()))
    case.until(lambda: footers() == 1, 'one footer in the narrow window', 5)
    check(not re.search(r'ETA|peer', get.text().splitlines()[-1]), 'the footer did not narrow', get.text())
    get.resize(Tmux.COLUMNS)

    get.press('C-c')
    get.until(r'resume with: .*\n(.*\n)*\$ *$')
    check('^C' not in get.text(), 'the ^C that the terminal echoed is still there', get.text())
    get.compare('get-stopped')

    get.clear()
    get.press('Up', 'Enter')        # the same command again, as a person does it
    get.until(r'resuming big\.bin at')
    get.until(r'100% verified .*\n(.*\n)*\$ *$', 30)
    get.compare('get-done')
    check(content.sha256(tmux.path('got/big.bin')) == content.sha256(tmux.path('big.bin')), 'not identical')

    get.clear()
    get.press('Up', 'Enter')
    get.until(r'already whole.*\n(.*\n)*\$ *$')
    get.compare('get-again')

    get.clear()
    get.type('swarm status -t %s --watch' % where)
    get.until(r'laptop +seeder.* 0 +now(\n.*)*big\.bin +40\.0 MiB')
    get.press('C-c')
    get.until(r'\n\$ *$')
    get.compare('status-watched', RATE='-')

    seed.until(r'seeding  0 peers .* 4\d\.\d MiB sent')
    seed.press('C-c')
    seed.until(r'resume with: .*\n(.*\n)*\$ *$')
    seed.compare('seed-stopped')

    tracker.until(r'no nodes: ')
    tracker.press('C-c')
    tracker.until(r'stopping; .*\n(.*\n)*\$ *$')
    tracker.compare('tracker-stopped')
    listing = tmux.pane('mistake')
    listing.type('swarm gte big.bin')
    listing.until(r'Did you mean .*\n\$ *$')
    listing.compare('mistake')
    say('%d screens as they should be' % tmux.compared)


class Tmux:
    """A server of its own, gone when the `with` ends. Its panes are windows of one session."""
    COLUMNS, ROWS = 100, 60

    def __init__(self, work):
        self.work, self.panes, self.compared = work, [], 0
        self.socket = os.path.join(work, 'tmux.sock')
        self.env = clean_environment(os.path.join(work, 'home'))
        self.env.update(PATH=os.path.join(work, 'bin') + ':' + self.env['PATH'], PS1='$ ', TERM='xterm-256color', NO_COLOR='1')
        self.env.pop('TMUX', None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.run('kill-server')

    def path(self, name):
        return os.path.join(self.work, name)

    def run(self, *words):
        return subprocess.run(['tmux', '-S', self.socket, '-f', '/dev/null', *words], env=self.env, cwd=self.work, check=True,
                              capture_output=True, text=True, timeout=20).stdout

    def pane(self, name):
        size = ['-x', str(self.COLUMNS), '-y', str(self.ROWS)]
        shell = "exec env PS1='$ ' HISTFILE= bash --norc --noprofile"
        if self.panes:
            self.run('new-window', '-d', '-t', 's:', '-n', name, shell)
        else:
            self.run('new-session', '-d', '-s', 's', *size, '-n', name, shell)
            self.run('set-option', '-g', 'status', 'off')
        self.panes.append(Pane(self, name))
        self.panes[-1].resize(self.COLUMNS)
        self.panes[-1].until(r'^\$ *$')
        return self.panes[-1]


class Pane:
    def __init__(self, tmux, name):
        self.tmux, self.name, self.target = tmux, name, 's:' + name

    def text(self):
        """The screen, without blanks at the ends of lines and empty lines at its end."""
        return '\n'.join(l.rstrip() for l in self.tmux.run('capture-pane', '-p', '-t', self.target).rstrip().split('\n'))

    def until(self, pattern, seconds=15):
        return case.until(lambda: re.search(pattern, self.text()), '%s shows %s' % (self.name, pattern), seconds)

    def type(self, line):
        self.tmux.run('send-keys', '-t', self.target, '-l', line)
        self.press('Enter')

    def press(self, *keys):
        self.tmux.run('send-keys', '-t', self.target, *keys)

    def clear(self):
        self.press('C-l')
        self.until(r'^\$ *$')

    def resize(self, columns):
        self.tmux.run('resize-window', '-t', self.target, '-x', str(columns), '-y', str(Tmux.ROWS))

    def compare(self, name, **more):
        """`more` names what also varies here, and what then stands for it."""
        now = normal(self.text()) + '\n'
        for varies, instead in more.items():
            now = now.replace(varies, instead)
        path = os.path.join(SCREENS, name + '.txt')
        self.tmux.compared += 1
        if os.environ.get('SWARM_GOLDEN') == 'write':
            os.makedirs(SCREENS, exist_ok=True)
            with open(path, 'w') as f:
                f.write(now)
            return
        with open(path) as f:
            kept = f.read()
        check(now == kept, 'the screen %s is not as kept' % name, *['kept| ' + l for l in kept.splitlines()], '', *['now | ' + l for l in now.splitlines()])


def normal(text):
    """Without what chance and the clock decide."""
    text = text.replace(os.uname().nodename.split('.')[0] + ':', 'HOST:')
    for pattern, name in [
        (r'\d\d:\d\d:\d\d', 'HH:MM:SS'),
        (r'(127\.0\.0\.\d|HOST):\d{5}', r'\1:PORT'),
        (r'%3A\n?\d{5}', '%3APORT'),
        (r'[0-9a-f]{40}', 'INFOHASH'),
        (r'[█▏▎▍▌▋▊▉][█▏▎▍▌▋▊▉ ]* ', 'BAR '),
        (r'\b\d+(\.\d+)? [KMG]?i?B/s', 'RATE'),
        (r'\b\d+\.\d+/40\.0 MiB', 'DONE/40.0 MiB'),
        (r'(?<![\d.])(?!100)\d+\.\d%', 'PERCENT'),
        (r'ETA \d+:\d+', 'ETA TIME'),
        (r'in \d+\.\d s', 'in SECONDS'),
        (r'\b\d+\.\d MiB sent', 'BYTES sent'),
        (r'\(\d+ of 80 pieces', '(N of 80 pieces'),
        (r'(?m)^(HH:MM:SS(?:  pi  big\.bin)?  )pieces? .* sha1 ok.*\n(?:\1pieces? .* sha1 ok.*\n)*', r'\1PIECES sha1 ok\n'),
        (r'(80  +)\d\.\d\d', r'\1COPIES'),
        (r'(\S) {3,}', r'\1  '),
    ]:
        text = re.sub(pattern, name, text)
    return text


if __name__ == '__main__':
    case.run(main, bytes_needed=4 * SIZE)
