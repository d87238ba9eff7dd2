// Servers of tests/lab that tests talk to through their standard input and output.
#pragma once
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "hamal/util/unique_fd.hpp"

namespace hamal::testing {

/// A program that prints KEY=VALUE lines and "ready", and ends when its standard input does: at the
/// latest with this process.
class HeldServer {
 public:
  /// Throws std::runtime_error when it ends before it is ready.
  explicit HeldServer(const std::vector<std::string>& argv);
  ~HeldServer();
  HeldServer(const HeldServer&) = delete;
  HeldServer& operator=(const HeldServer&) = delete;
  const std::string& value(const std::string& key) const { return m_values.at(key); }

 private:
  void read_report(int from);

  pid_t m_pid = -1;
  UniqueFd m_hold;
  std::map<std::string, std::string> m_values;
};

}  // namespace hamal::testing
