// What is allocated in an RBD image, and what changed between two snapshots of it, window by
// window.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/ceph_cluster.hpp"
#include "hamal/extent/extent.hpp"

namespace hamal {

class RbdImage;

/// Data and zero extents that together cover the image; whole objects where the object map can be
/// believed. Data that a clone has from its parent counts.
ExtentSourcePtr rbd_allocated_extents(std::shared_ptr<RbdImage> image);

/// What changed from the snapshot `from` of the same image to the one that is open: a superset of
/// what was written; zero where it is known to read as zeros. What lies beyond the end of `from` is
/// in it as far as it was written, what lay beyond the end of the open one is not.
/// `exact` costs a look at each object that changed, `fast` only the object map; where that cannot
/// be believed both look at every object.
ExtentSourcePtr rbd_changed_extents(std::shared_ptr<RbdImage> image, const std::string& from,
                                    RbdDiff diff);

}  // namespace hamal
