// RBD images without a platform around them: a machine of one disk, frozen by a snapshot of its
// image.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// Ad hoc: the vm is an endpoint. `rbd:POOL/IMAGE` is frozen by a snapshot of ours, of which the
/// committed one stays as the base of the next run; with Offline::yes the image is read as it is.
/// `rbd:POOL/IMAGE@SNAP` is a snapshot of the operator's, which is never touched.
std::unique_ptr<Platform> make_rbd_platform(const std::string& name, const NamedSection& section,
                                            const PlatformContext& context);

}  // namespace hamal
