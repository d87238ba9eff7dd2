// Raw images in a directory, or one image named by its endpoint.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// [platform NAME] type = file: `path` is a directory of vms (image_tree.hpp); `offline = True` is
/// the operator's standing word that the images are still. An empty section is the ad-hoc platform:
/// each vm is then an endpoint (file:PATH, /dev/…) or a path.
///
/// A snapshot is a reflink of each image into a hidden directory beside it, where the file system
/// can. Two files cannot be frozen at one moment, so a snapshot of several disks needs
/// Offline::yes. With Offline::yes the image itself is read and nothing is created. Nothing is
/// tracked: every run is a full.
std::unique_ptr<Platform> make_file_platform(const std::string& name, const NamedSection& section,
                                             const PlatformContext& context);

}  // namespace hamal
