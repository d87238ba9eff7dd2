#include "hamal/platform/vmware/datastores.hpp"

#include <fmt/core.h>

#include <charconv>
#include <set>

#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {

std::string why_low(VimClient& client, const std::vector<Disk>& disks, std::uint64_t min_free,
                    Logger& log) {
  std::set<std::string> stores;
  for (const Disk& disk : disks) {
    if (!disk.datastore.empty()) {
      stores.insert(disk.datastore);
    }
  }
  for (const std::string& store : stores) {
    try {
      const ObjectProperties properties =
          retrieve(client, {"Datastore", store}, {"summary.name", "summary.freeSpace"});
      const std::string text = properties.text("summary.freeSpace");
      std::uint64_t free = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), free);
      if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
        log.info("datastore {}: its free space is not known", store);
      } else if (free < min_free) {
        return fmt::format("the datastore {} has {} left, less than datastore_min_free ({})",
                           escape_control(properties.text("summary.name").substr(0, 100)),
                           format_size(free), format_size(min_free));
      }
    } catch (const VimFault& fault) {
      log.info("datastore {}: its free space cannot be read: {}", store, fault.what());
    }
  }
  return {};
}

}  // namespace hamal::vmware
