"""A disk for a test: an ext4 of its own in a file, on a loop device.

    with disks.Ext4(work, mib=128) as folder:      # empty, mounted; needs root

In memory when `work` is, so that its speed is the same at every turn. It goes when the `with` ends; case.sweep() unmounts that of a
process that died without a chance to."""
import os
import shutil
import subprocess

from case import MIB, Skip


class Ext4:
    """Room of `mib` MiB, with nothing put off: no block is allocated, no table zeroed later than here."""

    def __init__(self, work, mib):
        if os.geteuid() != 0:
            raise Skip('a disk of its own is a loop device, which needs root')
        if not shutil.which('mkfs.ext4'):
            raise Skip('mkfs.ext4 (e2fsprogs) is missing')
        self.image, self.folder = os.path.join(work, 'ext4.image'), os.path.join(work, 'ext4')
        with open(self.image, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, mib * MIB)
        subprocess.run(['mkfs.ext4', '-q', '-m', '0', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0', self.image], check=True)
        os.makedirs(self.folder, exist_ok=True)
        said = subprocess.run(['mount', '-o', 'loop', self.image, self.folder], capture_output=True, text=True)
        if said.returncode != 0:
            os.remove(self.image)
            raise Skip('no loop devices here: ' + said.stderr.strip())

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', self.folder])   # lazily: who was killed may not have gone yet
        os.remove(self.image)


def sync(folder):
    """What was written to the file system of this folder is on its disk."""
    subprocess.run(['sync', '-f', folder], check=True)
