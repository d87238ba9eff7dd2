#include "common/period_run.hpp"

#include <sys/stat.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace hamal {

std::string period_lock_environment(int fd) {
  return std::string(k_period_lock_variable) + "=" + std::to_string(fd);
}

bool is_period_run(const Session& session, const std::string& platform, const std::string& vm_id) {
  const char* const variable = std::getenv(k_period_lock_variable);
  if (variable == nullptr) {
    return false;
  }
  const std::string_view text = variable;
  int fd = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  struct stat handed {};
  struct stat lock {};
  // A variable that went further than the descriptor, or than the vm, says nothing.
  return error == std::errc{} && stop == text.data() + text.size() && ::fstat(fd, &handed) == 0 &&
         ::stat(session.lock_path("period", vm_lock_name(platform, vm_id)).c_str(), &lock) == 0 &&
         handed.st_dev == lock.st_dev && handed.st_ino == lock.st_ino;
}

}  // namespace hamal
