// Checks the keys of the section.
#include "hamal/platform/qemu/settings.hpp"

#include <fmt/format.h>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::qemu {
namespace {

Error wrong(const NamedSection& section, const std::string& key, const std::string& problem,
            const std::string& allowed) {
  const auto found = section.origins.find(key);
  const ConfigOrigin& origin = found == section.origins.end() ? section.origin : found->second;
  return {ErrorKind::usage, fmt::format("[platform {}] {}: {}", section.name, key, problem),
          fmt::format("{}:{}", origin.file, origin.line), allowed};
}

std::string require_path(const NamedSection& section, const std::string& key) {
  std::string path = section.require(key);
  if (path.front() != '/') {
    throw wrong(section, key, "not an absolute path: " + path, "write it from / on");
  }
  return path;
}

}  // namespace

QemuSettings read_settings(const std::string& name, const NamedSection& section,
                           const SyncSection& sync) {
  QemuSettings settings;
  settings.platform = name;
  settings.scratch.platform = name;
  settings.qmp.socket = require_path(section, "qmp");
  settings.nbd_socket = require_path(section, "nbd_socket");
  settings.vm_name = section.get("vm", name);
  settings.vm_id = section.get("vm_id");
  settings.scratch.directory = section.get("scratch_dir", sync.scratch_dir);
  if (!settings.scratch.directory.empty() && settings.scratch.directory.front() != '/') {
    throw wrong(section, "scratch_dir", "not an absolute path: " + settings.scratch.directory,
                "write it from / on, as QEMU sees it");
  }
  const std::string floor = section.get("scratch_min_free", "1G");
  const auto bytes = parse_size(floor);
  if (!bytes) {
    throw wrong(section, "scratch_min_free", "not a size: " + floor, "for example 512M, 10G");
  }
  settings.scratch.min_free = *bytes;
  const std::string patience = section.get("qmp_timeout", "15s");
  const auto timeout = parse_duration(patience);
  if (!timeout || timeout->count() <= 0) {
    throw wrong(section, "qmp_timeout", "not a duration: " + patience, "for example 15s, 1m");
  }
  settings.qmp.greeting_timeout = *timeout;
  return settings;
}

}  // namespace hamal::qemu
