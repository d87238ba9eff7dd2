// QueryChangedDiskAreas: what changed on a disk between two change ids, as extents.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hamal/extent/extent.hpp"
#include "hamal/platform/vmware/vim_client.hpp"
#include "hamal/report/log.hpp"

namespace hamal::vmware {

/// What is asked for. Key and size are those of the snapshot's configuration, not the vm's.
struct AreasWanted {
  ManagedObject vm;
  ManagedObject snapshot;
  std::int32_t key = 0;
  std::uint64_t size = 0;  ///< bytes
  std::string since;       ///< a change id, or "*": what is allocated
  std::string object;      ///< "web01/2000", for messages
};

/// One answer: it covers [start, start + length).
struct AreasAnswer {
  std::uint64_t length = 0;
  std::vector<Extent> extents;
};

/// The answer to a question about what begins at `start`. Throws Error that names what is wrong
/// with it: another start, no progress, areas that are outside, empty, unsorted, overlapping or
/// no whole numbers (rule 6).
AreasAnswer parse_areas(const XmlElement& reply, std::uint64_t start, const AreasWanted& wanted);

/// Asks for the first part at once: nullptr when the server cannot tell (FileFault): everything
/// may have changed. When it cannot tell later, the rest of the disk is data. References outlive
/// the source.
ExtentSourcePtr changed_areas(std::shared_ptr<VimClient> client, const AreasWanted& wanted,
                              Logger& log);

/// The part of a change id before "/": changes are known between ids of one epoch. Empty for what
/// is no change id.
std::string epoch_of(const std::string& change_id);
/// Why the changes between them cannot be asked for; empty when they can.
std::string why_not_comparable(const std::string& base, const std::string& now);

}  // namespace hamal::vmware
