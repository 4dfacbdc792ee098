"""Wrong bytes, from a peer that lies and from a disk that forgets: found, named, never served and never given the file's name."""
import base64
import json
import os
import re
import signal

import case
import content
import hosts
from bencode import Torrent
from case import MIB, check, say
from swarm import PEER_PORT, Get, Seed, Tracker, indices
from wire_peer import WireReader, WireSeed

SIZE, PIECE = 48 * MIB, 256 << 10


def main(work):
    with hosts.Lan(6, mbit=100) as lan:
        data = os.path.join(work, 'source', 'big.bin')
        digest = content.random_file(data, SIZE)
        tracker = Tracker(lan[0], work)
        torrent = Torrent(data, PIECE, tracker.announce)
        file = torrent.save(os.path.join(work, 'big.bin.torrent'))
        liar(work, lan, torrent, file, digest)
        rotten_parts(work, lan, torrent, file, digest)


# A peer that lies.

def liar(work, lan, torrent, file, digest):
    seed = Seed(lan[1], work, torrent.path, '--torrent', file)
    liar = WireSeed(lan[2], torrent, PEER_PORT, lie=spoil_even_pieces)
    gets = [Get(lan[3], work, file, '--peer', liar.name), Get(lan[4], work, file, '--peer', liar.name, '--pieces', 'failures', json_lines=False)]
    readers = [WireReader(lan[5], torrent, (h.ip4, PEER_PORT)) for h in lan[3:5]]
    for g in gets:
        g.ends(0, 60)
        check(content.sha256(g.path('big.bin')) == digest, '%s: not identical' % g.host.name)
    bad = gets[0].bad_pieces()
    check(bad and all(liar.name in e['from'] for e in bad), 'the liar is not named', bad)
    check(all(i % 2 == 0 for e in bad for i in indices(e)), 'a true piece was called bad', bad)
    check(gets[0].event('done')['hash_failures'] == len(bad), 'hash_failures differs from the failures told')
    check(re.search(r'piece \d+ .*MISMATCH from .*' + re.escape(liar.name), gets[1].err), 'the log does not name the liar', gets[1].err[-500:])
    wasted = len({(peer, piece) for peer, piece, _ in liar.served if piece % 2 == 0})
    for r in readers:
        r.close()
        check(not r.wrong, 'wrong bytes were served on: pieces', r.wrong)
    liar.close(), seed.kill()
    say('a liar: named in %d bad pieces, asked for %d of its lies by two, %d pieces read back from them true' % (len(bad), wasted, sum(len(r.verified) for r in readers)))


def spoil_even_pieces(piece, begin, block):
    return block[:-1] + bytes([block[-1] ^ 0x40]) if piece % 2 == 0 else block


# A disk that forgets.

class Rot:
    """A download that is stopped half-way, loses one bit of a claimed piece, and resumes."""

    def __init__(self, how, claims, get):
        self.how, self.claims, self.get = how, claims, get
        self.part, self.record = get.path('big.bin.part'), get.path('big.bin.progress.json')

    def stop(self):
        if self.how == 'stopped':
            self.get.send(signal.SIGINT)
            self.get.ends(130, 5)
        else:
            self.get.kill()

    def flip(self, torrent):
        with open(self.record) as f:
            record = json.load(f)
        present = [p for p in claimed(record[self.claims]) if p < len(torrent.hashes) and self.read(torrent, p) == torrent.read(p)]
        check(present, 'nothing claimed as %s after %s' % (self.claims, self.how))
        self.piece = case.random.choice(present)
        at = self.piece * PIECE + case.random.randrange(torrent.piece_size(self.piece))
        with open(self.part, 'r+b') as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 1 << case.random.randrange(8)]))

    def resume(self, work):
        if self.how == 'rebooted':
            self.get.prefix = other_boot(work)
        self.get = self.get.again()

    def read(self, torrent, piece):
        with open(self.part, 'rb') as f:
            f.seek(piece * PIECE)
            return f.read(torrent.piece_size(piece))


def rotten_parts(work, lan, torrent, file, digest):
    seed = Seed(lan[1], work, torrent.path, '--torrent', file)
    rots = [Rot(how, claims, Get(h, work, file, folder=os.path.join(work, how)))
            for h, how, claims in zip(lan[2:5], ('killed', 'stopped', 'rebooted'), ('verified', 'verified', 'durable'))]
    for r in rots:
        r.get.has_pieces(len(torrent.hashes) // 3)
    for r in rots:
        r.stop()
    seed.kill()
    for r in rots:
        r.flip(torrent)
    # Alone with their parts, the three are asked for the rotten piece before all others.
    for r in rots:
        r.resume(work)
        r.reader = WireReader(lan[5], torrent, (r.get.host.ip4, PEER_PORT), first=[r.piece])
    for r in rots:
        r.get.event('piece', 20, where=lambda e: r.piece in indices(e) and not e['ok'])
        case.until(lambda: r.reader.verified, 'a piece served by the resumed download (%s)' % r.how, 30)
    seed = seed.again()
    for r in rots:
        r.get.ends(0, 60)
        r.reader.close()
        check(content.sha256(r.get.path('big.bin')) == digest, '%s: not identical' % r.how)
        check(not r.reader.wrong, '%s: served wrong bytes of pieces' % r.how, r.reader.wrong)
        check(r.get.event('start')['pieces_have'] > 0, '%s: nothing was resumed' % r.how)
        say('a bit flipped in a download that was %s: piece %d found bad, %d pieces read back true, identical' % (r.how, r.piece, len(r.reader.verified)))
    seed.kill()


def claimed(bitmap):
    bits = base64.b64decode(bitmap)
    return [i for i in range(len(bits) * 8) if bits[i // 8] >> (7 - i % 8) & 1]


def other_boot(work):
    """What a command is started with to find another boot id than the machine's: what a reboot leaves behind. The mount is seen
    by that command alone, as every command on a test host has mounts of its own."""
    fake = os.path.join(work, 'boot_id')
    with open(fake, 'w') as f:
        f.write('00000000-1111-4222-8333-444444444444\n')
    return ('sh', '-c', 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"', fake)


if __name__ == '__main__':
    case.run(main, bytes_needed=8 * SIZE)
