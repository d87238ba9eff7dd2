#include "hamal/util/lock_scope.hpp"

#include <sys/stat.h>

#include <fstream>

namespace hamal {

std::string lock_scope(const std::filesystem::path& folder) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat status {};
  if (boot.empty() || ::stat(folder.c_str(), &status) != 0) {
    return {};
  }
  return boot + "/" + std::to_string(status.st_dev) + "/" + std::to_string(status.st_ino);
}

}  // namespace hamal
