// The keys of a [platform NAME] section of type qemu.
#pragma once
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/platform/qemu/qmp_client.hpp"
#include "hamal/platform/qemu/scratch.hpp"

namespace hamal::qemu {

struct QemuSettings {
  std::string platform;  ///< NAME
  QmpSettings qmp;
  std::string nbd_socket;
  std::string vm_name;
  std::string vm_id;  ///< empty: ask QEMU
  ScratchSettings scratch;
};

/// Throws Error(usage) with file, line and key.
QemuSettings read_settings(const std::string& name, const NamedSection& section,
                           const SyncSection& sync);

}  // namespace hamal::qemu
