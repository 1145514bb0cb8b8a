package compare

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystem names that of a directory.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	for magic, name := range map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs, which keeps nothing: syncs cost nothing here", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", 0x2fc12fc1: "zfs"} {
		if int64(s.Type) == magic {
			return name
		}
	}
	return fmt.Sprintf("%#x", s.Type)
}
