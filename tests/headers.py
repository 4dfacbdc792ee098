#!/usr/bin/env python3
"""Compiles every header below src/ by itself, twice over in one unit, with the flags that its folder is built with.

usage: headers.py SOURCE_ROOT BUILD_ROOT
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile


def main(source_root, build_root):
    src = pathlib.Path(source_root) / 'src'
    headers = sorted(src.rglob('*.hh'))
    commands = folder_commands(src, pathlib.Path(build_root))
    longest = max(commands.values(), key=len)
    # The canary: a header that leans on what its includer has included.
    with tempfile.NamedTemporaryFile('w', suffix='.hh') as canary:
        canary.write('#pragma once\nstd::string leans_on_others();\n')
        canary.flush()
        if not fault(canary.name, longest, build_root):
            print('the canary compiled: this test finds nothing')
            return 1

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = list(pool.map(
            lambda h: fault(h.relative_to(src), commands.get(h.relative_to(src).parts[0], longest), build_root),
            headers))
    for text in filter(None, faults):
        print(text)
    print(f'{len(headers)} headers, {sum(1 for text in faults if text)} do not compile alone')
    return 1 if any(faults) or not headers else 0


def folder_commands(src, build_root):
    """One compiler command for each folder of src/, without input and output."""
    commands = {}
    for entry in json.loads((build_root / 'compile_commands.json').read_text()):
        path = pathlib.Path(os.path.normpath(build_root / entry['file']))
        if path.suffix != '.cc' or src not in path.parents:
            continue
        words, skip = [], False
        for word in shlex.split(entry['command']):
            if skip or word in ('-o', '-MF', '-MQ', '-c'):
                skip = not skip and word != '-c'
            elif word not in ('-MD', entry['file']):
                words.append(word)
        commands[path.relative_to(src).parts[0]] = words
    return commands


def fault(header, command, build_root):
    """What the compiler says about the header alone; empty if it is content."""
    done = subprocess.run(command + ['-fsyntax-only', '-x', 'c++', '-'], cwd=build_root, text=True, capture_output=True,
                          input=f'#include "{header}"\n#include "{header}"\n', check=False)
    return '' if done.returncode == 0 else f'{header}:\n{done.stderr}'


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
