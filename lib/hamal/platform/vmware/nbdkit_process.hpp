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
  /// Given to it as password=+FILE, where FILE is in memory and of mode 0600: on no disk, in no
  /// command line, gone with the two processes.
  std::string password;
  std::string object;  ///< the disk, for messages
};

/// It gets what of our environment programs and their messages need, and no other variable.
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
  /// Its own, of mode 0700; gone with it.
  const std::filesystem::path& directory() const noexcept { return m_directory; }

 private:
  void start(const NbdkitCommand& command);
  void await(const NbdkitCommand& command, const CancelToken& cancel);
  void end() noexcept;
  bool ends_within(int milliseconds) const noexcept;

  std::filesystem::path m_directory;
  UniqueFd m_lock;   ///< of the directory
  UniqueFd m_alive;  ///< nbdkit ends when nobody holds it
  pid_t m_pid = -1;
};

}  // namespace hamal::vmware
