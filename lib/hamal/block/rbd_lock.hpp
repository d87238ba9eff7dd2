// One writer per image.
//
// librbd's exclusive lock is handed over on request, also by a machine that runs: so the image is
// refused first when anyone else has it open for writing (watches it). A process that was killed is
// still a watcher for half a minute, and its last writes may be under way: what we write down in
// the image (hamal.writer) tells that the other is a run of ours, of this host, that is dead. Only
// then is its lock broken, which blocklists it. A lock of anybody else's is left, also when nobody
// seems to live who had it: librbd itself would take it over.
#pragma once
#include <string>

namespace hamal {

class RbdImage;

class RbdLock {
 public:
  /// `image` is open for writing. Throws Error: busy when another run of hamal has it, wrong_target
  /// when someone else has.
  static void take(RbdImage& image);
  /// Never throws: the lock ends with the connection anyway.
  static void release(RbdImage& image) noexcept;
};

/// What tells this process from all others: the host's boot, the process's namespace, its id and
/// when it started.
std::string writer_tag();
/// Whether that tag is of a process of this host's boot and namespace that has ended.
bool writer_is_dead(const std::string& tag);

}  // namespace hamal
