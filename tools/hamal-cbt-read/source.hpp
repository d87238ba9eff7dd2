// From the operand of hamal-cbt-read to a platform and a snapshot document.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "common/session.hpp"
#include "hamal-cbt-read/options.hpp"

namespace hamal {

struct ReadSource {
  std::unique_ptr<Platform> platform;
  SnapshotDocument document;
  std::vector<std::size_t> disks;  ///< places in the document, at least one
};

ReadSource open_source(const ReadRequest& request, Session& session);

}  // namespace hamal
