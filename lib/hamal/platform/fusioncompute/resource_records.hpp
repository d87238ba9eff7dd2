// What this host knows of its backup resources: a file each, so that one that a killed process left
// is found and released.
//
// hamal_lib_dir/fusion_compute/resources/RANDOM.json says which; RANDOM.lock is locked as long as
// the process lives that reads by it. The server lists no resources, so one whose preparation was
// asked for and never answered is known to nobody: it ends with its lease.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::fusioncompute {

/// Of a resource that is being prepared or used by this process.
class ResourceRecord {
 public:
  /// Durable before it returns: then the server may be asked.
  ResourceRecord(const std::string& lib_dir, const std::string& platform,
                 const std::string& volume_uri, const CancelToken& cancel);
  void set_uri(const std::string& resource_uri);
  /// The resource is gone, or was never made.
  void forget() noexcept;

 private:
  void write(const std::string& resource_uri) const;

  std::string m_platform;
  std::string m_volume_uri;
  std::filesystem::path m_stem;
  FileLock m_lock;
};

struct Leftover {
  std::filesystem::path stem;
  std::string resource_uri;  ///< empty: not known
  FileLock lock;
};

/// Those of dead processes, for these volumes; locked.
std::vector<Leftover> find_leftovers(const std::string& lib_dir, const std::string& platform,
                                     const std::vector<std::string>& volume_uris);
void forget(const Leftover& leftover) noexcept;

}  // namespace hamal::fusioncompute
