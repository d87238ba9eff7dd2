// A file that shares all blocks of another one (FICLONE), where the file system can: XFS, btrfs.
#pragma once

namespace hamal {

/// Replaces what `to` holds by what `from` holds; a longer `to` keeps its tail. 0, or an errno.
int clone_file(int from, int to) noexcept;

/// That errno of clone_file() says "not on this file system", and nothing is wrong.
bool means_no_clones(int error) noexcept;

}  // namespace hamal
