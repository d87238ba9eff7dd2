#include "hamal/util/clone_file.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace hamal {

int clone_file(int from, int to) noexcept {
  return ::ioctl(to, FICLONE, from) == 0 ? 0 : errno;  // NOLINT: ioctl is variadic
}

bool means_no_clones(int error) noexcept {
  return error == EOPNOTSUPP || error == EINVAL || error == EXDEV || error == ENOTTY ||
         error == ENOSYS;
}

}  // namespace hamal
