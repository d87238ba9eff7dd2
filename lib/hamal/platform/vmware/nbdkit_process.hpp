// An nbdkit of our own: started for one disk, ended with its object, and with this process however
// that ends.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hamal/util/cancel.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::vmware {

struct NbdkitCommand {
  std::string program;                  ///< a path, or a name in PATH
  std::string plugin;                   ///< a name of nbdkit's, or a path
  std::vector<std::string> parameters;  ///< KEY=VALUE of the plugin
  /// Given to it as password=+FILE, where FILE is in memory: on no disk, in no command line.
  std::string password;
  std::string object;  ///< the disk, for messages
};

/// Not thread-safe.
class NbdkitProcess {
 public:
  /// Waits until it serves; throws Error with its own last words when it ends first, a transient
  /// one after a minute, and as CancelToken::check() does.
  NbdkitProcess(const NbdkitCommand& command, const CancelToken& cancel);
  ~NbdkitProcess();
  NbdkitProcess(const NbdkitProcess&) = delete;
  NbdkitProcess& operator=(const NbdkitProcess&) = delete;

  /// nbd+unix:///?socket=…
  std::string uri() const;
  /// What it complained of last; empty when it did not.
  std::string last_words() const;

 private:
  void start(const NbdkitCommand& command);
  void await(const NbdkitCommand& command, const CancelToken& cancel);
  void end() noexcept;

  std::filesystem::path m_directory;
  UniqueFd m_alive;  ///< nbdkit ends when nobody holds it
  pid_t m_pid = -1;
};

}  // namespace hamal::vmware
