// What can be relied on of the file system that a folder is on.
#pragma once

namespace swarm::disk {

/// Once syncfs() has succeeded, is all that was written to this file system before on the disk, files and names, and
/// would it have told of anything that was lost? Where that is so, one call stands for an fdatasync of every file and an
/// fsync of every folder. Asked of the folder's descriptor, which is to be open since before the first write.
///
/// True for ext2 to ext4, XFS, Btrfs, F2FS and tmpfs from Linux 5.17 on: since 5.8 it tells of lost data, since 5.17 of
/// what the file system itself failed to write. Elsewhere, as on FUSE, whose servers may not even hear of it: false.
bool syncfs_is_enough(int folder);

}  // namespace swarm::disk
