"""Nice to a disk: what strace sees of the system calls that reach a file. Hashing reads it once, 128 KiB at a time, each thread in order; a piece is
written from its front to its end in few large writes; consecutive requests are served by large reads. And what ext4 makes of a
download at a speed at which its syncs come often: few extents, with nothing reserved, so that sparse files stay sparse."""
import os
import re
import shutil
import subprocess

import case
import content
import disks
import hosts
from bencode import Torrent
from case import MIB, check, say
from swarm import PEER_PORT, Get, Seed, Swarm

SIZE, PIECE, CHUNK = 32 * MIB, 512 << 10, 128 << 10
CALLS = ('preadv', 'pread64', 'pwritev', 'pwrite64')


def main(work):
    if not shutil.which('strace'):
        raise case.Skip('strace is not installed')
    data = os.path.join(work, 'source', 'disk.bin')
    digest = content.random_file(data, SIZE)
    torrent = Torrent(data, PIECE)
    meta = torrent.save(os.path.join(work, 'disk.torrent'))
    with hosts.Lan(2) as lan:
        hashing(work, lan[0], data)
        transfer(work, lan, data, meta, digest)
        extents(work, lan, data, meta)


def traced(log):
    """LeakSanitizer does not work under ptrace; all else that a sanitizer finds still ends the test."""
    return ('env', 'ASAN_OPTIONS=%s:detect_leaks=0' % os.environ.get('ASAN_OPTIONS', ''), 'strace', '-f', '-y', '-s', '0', '-e', 'signal=none', '-e', 'trace=' + ','.join(CALLS), '-o', log)


def calls(log, path):
    """(call, offset, bytes, thread) of each call that touched a file, in the order in which they ended."""
    begun, out = {}, []
    with open(log) as f:
        for line in f:
            pid, _, text = line.partition(' ')
            text = text.strip()
            if text.endswith('<unfinished ...>'):
                begun[pid] = text[:-len('<unfinished ...>')]
                continue
            resumed = re.match(r'<\.\.\. \w+ resumed>', text)
            if resumed:
                text = begun.pop(pid, '') + text[resumed.end():]
            m = re.match(r'(\w+)\(\d+<([^>]*)>.*, (\d+) *\) += (\d+)$', text)
            if m and m[1] in CALLS and m[2] == path and int(m[4]):
                out.append((m[1], int(m[3]), int(m[4]), pid))
    return out


def hashing(work, host, data):
    log = os.path.join(work, 'hashing.log')
    Swarm(host, ['seed', data, '--dry-run', '--output', os.path.join(work, 'made.torrent')], work=work, prefix=traced(log)).ends(0, 60)
    reads = calls(log, data)
    check(sum(r[2] for r in reads) == SIZE, 'not read once: %d bytes' % sum(r[2] for r in reads))
    check(len(reads) == SIZE // CHUNK, 'read in %d calls' % len(reads))
    # Several threads share the work. Each goes on to later pieces only, has at most two of them under way, which lie side by side, and
    # reads a piece from its front to its end. Together they go through the file once: whoever begins a piece leaves no more behind than
    # what the others have taken and not begun yet, however they are scheduled.
    most_behind = 2 * len({thread for *_, thread in reads})
    threads, begun = {}, set()
    for _, at, n, thread in reads:
        under_way, last = threads.setdefault(thread, ({}, [-1]))
        piece = at // PIECE
        if piece not in under_way:
            check(piece > last[0], 'piece %d is read after piece %d' % (piece, last[0]))
            under_way[piece], last[0] = piece * PIECE, piece
            begun.add(piece)
            behind = piece + 1 - sum(p <= piece for p in begun)
            check(behind <= most_behind, 'piece %d is read while %d before it are not begun' % (piece, behind))
        check(under_way[piece] == at, 'piece %d is not read from front to end' % piece)
        check(max(under_way) - min(under_way) <= 1, 'pieces far from each other are read together', sorted(under_way))
        under_way[piece] += n
        if under_way[piece] == (piece + 1) * PIECE:
            del under_way[piece]
    check(not any(under_way for under_way, _ in threads.values()), 'pieces are left, or shared by threads')
    say('hashing: %d reads of 128 KiB by %d threads, each in order' % (len(reads), len(threads)))


def transfer(work, lan, data, meta, digest):
    read_log, write_log = os.path.join(work, 'reads.log'), os.path.join(work, 'writes.log')
    seed = Seed(lan[0], work, data, '--torrent', meta)  # hashes, and remembers that
    seed.kill()
    seed = Swarm(lan[0], ['seed', data, '--torrent', meta, '--interface', lan[0].ip4, '--port', str(PEER_PORT), '--until-ratio', '1'], work=work, prefix=traced(read_log))
    seed.event('start', 30)
    get = Get(lan[1], work, meta, '--peer', '%s:%d' % (lan[0].ip4, PEER_PORT), prefix=traced(write_log))
    get.ends(0, 60)
    seed.ends(0, 20)
    check(content.sha256(get.path('disk.bin')) == digest, 'not identical')
    writes = [(at, n) for call, at, n, _ in calls(write_log, get.path('disk.bin') + '.part') if call.startswith('pw')]
    check(sum(n for _, n in writes) == SIZE, 'written %d bytes' % sum(n for _, n in writes))
    ends = {}
    for at, n in writes:
        check(at // PIECE == (at + n - 1) // PIECE, 'a write crosses pieces', at, n)
        check(ends.get(at // PIECE, at // PIECE * PIECE) == at, 'piece %d is not written from front to end' % (at // PIECE))
        ends[at // PIECE] = at + n
    check(len(writes) <= SIZE // (64 << 10), 'written in %d calls' % len(writes))
    reads = [(at, n) for call, at, n, _ in calls(read_log, data) if call.startswith('pr')]
    check(SIZE <= sum(n for _, n in reads) <= 1.1 * SIZE, 'serving read %d bytes of %d' % (sum(n for _, n in reads), SIZE))
    check(sum(n for _, n in reads) // len(reads) >= 64 << 10, 'served by %d reads' % len(reads))
    say('a download: %d pieces in %d writes, each piece from front to end; served by %d reads, %d KiB each on average' %
        (SIZE // PIECE, len(writes), len(reads), sum(n for _, n in reads) // len(reads) >> 10))


def extents(work, lan, data, meta):
    if not shutil.which('filefrag'):
        raise case.Skip('filefrag (e2fsprogs) is missing, so extents were not counted; all else passed')
    try:
        disk = disks.Ext4(work, 128)
    except case.Skip as e:
        raise case.Skip('%s, so extents were not counted; all else passed' % e)
    with disk as mount:
        seed = Seed(lan[0], work, data, '--torrent', meta, '--up', '4M')
        get = Get(lan[1], work, meta, '--peer', '%s:%d' % (lan[0].ip4, PEER_PORT), folder=os.path.join(mount, 'got'))
        get.ends(0, 60)
        seed.kill()
        file = get.path('disk.bin')
        found = int(re.search(r'(\d+) extents? found', subprocess.run(['filefrag', file], check=True, capture_output=True, text=True).stdout)[1])
        check(found <= SIZE // MIB, '%d extents' % found)
        say('ext4, at 4 MiB/s: %d MiB in %d extents' % (SIZE // MIB, found))


if __name__ == '__main__':
    case.run(main, bytes_needed=256 * MIB)
