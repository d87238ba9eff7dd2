#include "hamal/platform/repository/version_names.hpp"

#include <charconv>

#include "hamal/util/units.hpp"

namespace hamal::repository_platform {

std::string vm_id_of(const repository::VmName& vm) {
  return percent_encode(vm.platform) + "/" + percent_encode(vm.vm_id);
}

std::optional<repository::VmName> parse_vm_id(std::string_view id) {
  const std::size_t slash = id.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto platform = percent_decode(id.substr(0, slash));
  const auto vm = percent_decode(id.substr(slash + 1));
  if (!platform || !vm || platform->empty() || vm->empty()) {
    return std::nullopt;
  }
  return repository::VmName{*platform, *vm};
}

std::string change_id_of(std::uint64_t generation, const repository::DiskVersion& disk) {
  constexpr std::size_t k_digits = 16;
  const std::string content =
      disk.layers.empty() ? "empty"
                          : repository::to_hex(disk.layers.front().digest).substr(0, k_digits);
  return std::to_string(generation) + "." + content;
}

std::optional<std::uint64_t> generation_of(std::string_view id) {
  id = id.substr(0, id.find('.'));
  std::uint64_t generation = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), generation);
  if (id.empty() || error != std::errc() || end != id.data() + id.size()) {
    return std::nullopt;
  }
  return generation;
}

std::string to_uri(const Source& source) {
  // A bucket without a prefix: what follows its name must be set apart from it.
  const bool bare =
      source.repository.starts_with("s3://") && source.repository.find('/', 5) == std::string::npos;
  return source.repository + (bare ? "/" : "") + "?vm=" + percent_encode(source.vm) +
         "&disk=" + percent_encode(source.disk) + "&at=" + std::to_string(source.generation);
}

std::optional<Source> parse_source(std::string_view uri) {
  const std::size_t vm = uri.rfind("?vm=");
  const std::size_t disk = uri.rfind("&disk=");
  const std::size_t at = uri.rfind("&at=");
  if (vm == std::string_view::npos || disk == std::string_view::npos ||
      at == std::string_view::npos || !(vm < disk && disk < at)) {
    return std::nullopt;
  }
  const auto vm_id = percent_decode(uri.substr(vm + 4, disk - vm - 4));
  const auto disk_id = percent_decode(uri.substr(disk + 6, at - disk - 6));
  const auto generation = generation_of(uri.substr(at + 4));
  if (!vm_id || !disk_id || !generation) {
    return std::nullopt;
  }
  return Source{std::string(uri.substr(0, vm)), *vm_id, *disk_id, *generation};
}

}  // namespace hamal::repository_platform
