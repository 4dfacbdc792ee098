"""What the shells make of --completion: bash completes words as a person would have it; zsh and fish, where installed, find no
fault in their scripts.

    completion.py SWARM      SWARM is the binary"""
import os
import shutil
import subprocess
import sys
import tempfile

SWARM = os.path.abspath(sys.argv[1])

# Runs the function that `complete -p` names on one line of words, as readline does, and prints what it found.
ASK = r'''
eval "$("$1" --completion bash)" || exit 9
[[ $(complete -p swarm) == 'complete -F _swarm swarm' ]] || exit 8
shift
COMP_WORDS=(swarm "$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
_swarm swarm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
exit 0
'''


def complete(work, *words):
    r = subprocess.run(['bash', '--norc', '-uc', ASK, 'bash', SWARM, *words], cwd=work, capture_output=True, text=True, timeout=20)
    assert r.returncode == 0 and not r.stderr, (words, r)
    return sorted(r.stdout.splitlines())


def bash(work):
    for name in ('movie.mkv', 'two words.iso', 'debian.torrent', '-dash'):
        open(os.path.join(work, name), 'w').close()
    os.makedirs(os.path.join(work, 'photos'))
    files = sorted(os.listdir(work))
    commands = ['get', 'seed', 'simulate', 'status', 'tracker']
    for words, wanted in [
        ([''], commands),
        (['s'], ['seed', 'simulate', 'status']),
        (['simulate', '--compare', 'r'], ['rarest']),
        (['-t', 'nas', ''], commands),
        (['-t', 'get', 'se'], ['seed']),                       # a tracker called 'get' is no command
        (['--comp'], ['--completion']),
        (['--completion', ''], ['bash', 'fish', 'zsh']),
        (['get', '--tr'], ['--tracker']),
        (['get', '--col'], ['--color']),
        (['get', '--color', ''], ['always', 'auto', 'never']),
        (['get', '--color', 'al'], ['always']),
        (['get', '--color', '=', ''], ['always', 'auto', 'never']),    # how readline splits --color=
        (['get', '--color', '='], ['always', 'auto', 'never']),
        (['get', '--color', '=', 'n'], ['never']),
        (['--color', 'never', 'seed', '--pieces', 'fa'], ['failures']),
        (['--color', '=', 'never', 'seed', '--progress', 'p'], ['plain']),
        (['seed', 'mo'], ['movie.mkv']),
        (['seed', 'two'], ['two words.iso']),
        (['seed', 'movie.mkv', 'd'], ['debian.torrent']),
        (['seed', '--', '-d'], ['-dash']),
        (['seed', ''], files),
        (['get', '-d', ''], ['photos']),
        (['get', '-o', 'ph'], ['photos']),
        (['tracker', '--state', 'p'], ['photos']),
        (['tracker', '--token-file', 'm'], ['movie.mkv']),
        (['tracker', ''], []),
        (['get', '--up', ''], []),
        (['get', '-t', 'm'], []),
        (['status', '-w', 'mov'], ['movie.mkv']),              # its number may be left out
        (['tracker', '--cat'], ['--catalogued-only']),
        (['seed', '--cat'], []),
    ]:
        got = complete(work, *words)
        assert got == wanted, 'swarm %s: %s instead of %s' % (' '.join(words), got, wanted)
    every = complete(work, 'get', '-')
    shown = subprocess.run([SWARM, 'get', '--help'], capture_output=True, text=True, check=True).stdout
    told = sorted(w.rstrip(',').partition('[')[0] for l in shown.splitlines() if l.startswith(('  -', '      --')) for w in l[:30].split() if w.startswith('-'))
    assert sorted(set(every) - {'--version'}) == told, (every, told)


def others(work):
    for shell, check in [('bash', ['-n']), ('zsh', ['-n']), ('fish', ['--no-execute'])]:
        script = os.path.join(work, 'script.' + shell)
        with open(script, 'wb') as f:
            f.write(subprocess.run([SWARM, '--completion', shell], stdout=subprocess.PIPE, check=True, timeout=20).stdout)
        if not shutil.which(shell):
            print('%s is not installed: its script is not checked' % shell)
            continue
        r = subprocess.run([shell, *check, script], capture_output=True, text=True, timeout=20, env={**os.environ, 'HOME': work})
        assert r.returncode == 0 and not r.stderr, r


with tempfile.TemporaryDirectory(prefix='swarm-completion-') as folder:
    shell_work = os.path.join(folder, 'work')
    os.makedirs(shell_work)
    bash(shell_work)
    others(folder)
print('passed')
