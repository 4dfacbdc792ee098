"""What is shared in the tests: random files, a folder full of awkward names, and their sha256."""
import hashlib
import os

import case
from case import MIB


def random_file(path, size):
    """Writes `size` random bytes and returns their sha256."""
    digest = hashlib.sha256()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        for at in range(0, size, MIB):
            block = os.urandom(min(MIB, size - at))
            digest.update(block)
            f.write(block)
    return digest.hexdigest()


def sha256(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def tree(folder):
    """{relative path as bytes: sha256} of every file beneath a folder; empty folders and the order do not count."""
    root = os.fsencode(folder)
    found = {}
    for base, _, names in os.walk(root):
        for n in names:
            path = os.path.join(base, n)
            found[os.path.relpath(path, root)] = sha256(path)
    return found


def same_tree(a, b):
    """Nothing, or the first differences in words."""
    differences = ['missing %r' % p for p in a.keys() - b.keys()] + ['unexpected %r' % p for p in b.keys() - a.keys()]
    differences += ['different %r' % p for p in a.keys() & b.keys() if a[p] != b[p]]
    return differences[:5]


LONG = 'x' * 251 + '.bin'              # 255 bytes
LONG_UTF8 = 'ü' * 125 + 'long'         # 254 bytes in 129 characters
AWKWARD = ['two words.txt', 'café.txt', 'cafe\u0301 decomposed.txt', '日本語 ファイル', 'emoji 🐝', ' leading space', '-dash', '--help', '.hidden',
           'foo... bar', "quote's \"double\"", '100% & more; $HOME `x` *?', 'semi;colon|pipe<>', '#hash', '~tilde', 'name.part', 'x.progress.json', LONG, LONG_UTF8]


def awkward_folder(path, count):
    """A folder of `count` files: empty ones, one byte, around the block and piece sizes, a few megabytes; nested 12 deep; every
    name of AWKWARD. Returns its tree()."""
    sizes = [0, 1, 16383, 16384, 16385, 65536, 262144, 524288, 524289, 3 * MIB + 7]
    deep = os.path.join(*('level %d' % i for i in range(12)))
    for i in range(count):
        if i < len(AWKWARD):
            where = AWKWARD[i]
        elif i % 100 == 99:
            where = os.path.join(deep, 'file %04d' % i)
        else:
            where = os.path.join('répertoire %02d' % (i % 37), 'sub %d' % (i % 5), 'file %04d.dat' % i)
        size = sizes[i // 20 % len(sizes)] if i % 20 == 0 else 0 if i % 20 == 1 else case.random.randrange(1, 40000)
        random_file(os.path.join(path, where), size)
    return tree(path)
