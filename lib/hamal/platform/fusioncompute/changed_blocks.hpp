// Which blocks of a volume changed before a snapshot: getcbt, page by page.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "hamal/extent/extent.hpp"
#include "hamal/platform/fusioncompute/vrm_client.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/report/log.hpp"

namespace hamal::fusioncompute {

struct ChangesWanted {
  std::string volume_uri;
  std::string snap_uuid;
  std::string tracking_begun;
  std::uint64_t since = 0;  ///< a chgID; 0: all that holds anything
  std::uint64_t size = 0;   ///< bytes of the volume
  std::string object;       ///< for messages
};

/// The blocks of a page that begins with block `first`, as data extents inside the disk. Throws
/// Error when the page does not fit the disk: it ends too early, or has blocks set behind the end.
/// `asked` is a multiple of 8.
std::vector<Extent> extents_of(const ChangedPage& page, std::uint64_t first, std::uint64_t asked,
                               const ChangesWanted& wanted);

/// Asks for the first page now: VrmError when the server does not know. When it does not know any
/// more later, all the rest is in it. Validated, sorted, joined. The log outlives it.
ExtentSourcePtr changed_blocks(std::shared_ptr<VrmClient> client, const ChangesWanted& wanted,
                               Logger& log);

}  // namespace hamal::fusioncompute
