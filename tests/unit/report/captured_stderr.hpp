// What a piece of code writes on descriptor 2.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "hamal/util/file.hpp"

namespace hamal::test {

class CapturedStderr {
 public:
  explicit CapturedStderr(const std::filesystem::path& file)
      : m_file(file), m_before(::dup(STDERR_FILENO)) {
    const UniqueFd fd = open_file(m_file, O_WRONLY | O_CREAT | O_APPEND);
    ::dup2(fd.get(), STDERR_FILENO);
  }
  ~CapturedStderr() { ::dup2(m_before.get(), STDERR_FILENO); }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  std::string text() const { return read_file(m_file); }

 private:
  std::filesystem::path m_file;
  UniqueFd m_before;
};

}  // namespace hamal::test
