// Disks that an NBD server exports, whoever runs it.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// [platform NAME] type = nbd: `uri`, or `disk.NAME = URI` for each disk, are the one vm's disks;
/// `vm` and `vm_id` name it. An empty section is the ad-hoc platform: each vm is then an NBD URI
/// with the one disk "0".
///
/// `bitmap` names a dirty bitmap that the servers export and that the operator owns: it records at
/// least every write since before the snapshot that was committed last. We read it and never
/// advance or clear it. Its name is the change id
/// ("bitmap:NAME"): an incremental is what is dirty in it.
///
/// An export cannot be frozen from here: snapshots need Offline::yes, the operator's word that it
/// is a frozen view or that nothing writes to it. They create nothing at the server.
std::unique_ptr<Platform> make_nbd_platform(const std::string& name, const NamedSection& section,
                                            const PlatformContext& context);

}  // namespace hamal
