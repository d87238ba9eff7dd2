// Allocation and dirty bitmaps of an NBD export, window by window.
#pragma once
#include <memory>
#include <string>

#include "hamal/extent/extent.hpp"

namespace hamal {

class NbdConnection;

/// What base:allocation says; data for all of the disk where it is not offered.
ExtentSourcePtr nbd_allocated_extents(std::shared_ptr<NbdConnection> connection);

/// What is dirty in `context`, which the connection offers: zero where it also reads as zeros, else
/// data.
ExtentSourcePtr nbd_dirty_extents(std::shared_ptr<NbdConnection> connection,
                                  const std::string& context);

}  // namespace hamal
