#include "hamal/platform/vmware/disk_reader.hpp"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/platform/vmware/folder_reader.hpp"
#include "hamal/platform/vmware/vddk_reader.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr std::uint32_t k_block = 512;

std::string object_of(const FrozenDisk& frozen) {
  return frozen.machine.name + "/" + frozen.disk.id();
}

bool has_vddk(const Settings& settings) {
  return !settings.vddk.libdir.empty() || settings.vddk.plugin != VddkSettings().plugin;
}

/// The operator's NBD URI of this disk.
std::string nbd_uri_of(const Settings& settings, const FrozenDisk& frozen) {
  const std::array<std::pair<std::string_view, std::string>, 5> words{{
      {"{vm}", frozen.machine.name},
      {"{vm_id}", frozen.machine.id},
      {"{object}", frozen.machine.object.id},
      {"{disk}", frozen.disk.id()},
      {"{snapshot}", frozen.snapshot.object.id},
  }};
  std::string uri = settings.nbd_uri;
  for (const auto& word : words) {
    const std::string value = percent_encode(word.second);
    for (std::size_t at = uri.find(word.first); at != std::string::npos;
         at = uri.find(word.first, at + value.size())) {
      uri.replace(at, word.first.size(), value);
    }
  }
  return uri;
}

std::unique_ptr<BlockReader> open_nbd(const Settings& settings, const FrozenDisk& frozen,
                                      const PlatformContext& context) {
  const std::string uri = nbd_uri_of(settings, frozen);
  auto reader = std::make_unique<NbdReader>(uri, std::vector<std::string>{}, &context.cancel);
  if (reader->size() != frozen.disk.size) {
    throw Error(ErrorKind::failed,
                fmt::format("the export has {} bytes, and the snapshot's disk {}", reader->size(),
                            frozen.disk.size),
                uri, "check nbd_uri: it must serve this disk of this snapshot");
  }
  return reader;
}

std::unique_ptr<BlockReader> open_https(const std::shared_ptr<VimClient>& client,
                                        const Settings& settings, const FrozenDisk& frozen,
                                        const std::string& uri, std::uint32_t max_request) {
  const FolderEncoding encoding = settings.folder_encoding.value_or(
      client->content().type == ApiType::vcenter ? FolderEncoding::twice : FolderEncoding::single);
  const std::string path =
      folder_path(frozen.disk.file, datacenter_path(*client, frozen.machine.host), encoding);
  return open_folder_reader(client, uri, path, frozen.disk.size, max_request);
}

}  // namespace

const char* word_of(ReadBy by) noexcept {
  switch (by) {
    case ReadBy::vddk:
      return "vddk";
    case ReadBy::https:
      return "https";
    case ReadBy::nbd:
      return "nbd";
    case ReadBy::automatic:
      break;
  }
  return "auto";
}

ReadChoice choose_reader(const Settings& settings, const FrozenDisk& frozen) {
  switch (settings.read_by) {
    case ReadBy::vddk:
      return {ReadBy::vddk, "read_by says so"};
    case ReadBy::nbd:
      return {ReadBy::nbd, "read_by says so"};
    case ReadBy::automatic:
      if (has_vddk(settings)) {
        return {ReadBy::vddk, "VDDK is configured"};
      }
      break;
    case ReadBy::https:
      break;
  }
  const std::string why = why_not_folder(frozen.machine, frozen.disk);
  if (!why.empty()) {
    throw Error(ErrorKind::failed, "the disk cannot be read over https: " + why, object_of(frozen),
                "read it by VDDK: hamal-vmware(7), READING DISKS");
  }
  return {ReadBy::https, "the vm is off and has no other snapshots"};
}

std::unique_ptr<BlockReader> open_disk_reader(const std::shared_ptr<VimClient>& client,
                                              const Settings& settings, const FrozenDisk& frozen,
                                              const std::string& uri, const VddkSlots& slots,
                                              const PlatformContext& context) {
  const ReadChoice choice = choose_reader(settings, frozen);
  const std::uint32_t most = context.config.platform_type("vmware").max_read_blocks * k_block;
  context.log.info("{}: read by {}: {}", object_of(frozen), word_of(choice.by), choice.reason);
  if (choice.by == ReadBy::vddk) {
    return open_vddk_reader(settings, client->content().type, frozen.machine,
                            frozen.snapshot.object, frozen.disk, uri, most, slots, context.cancel);
  }
  if (choice.by == ReadBy::nbd) {
    return open_nbd(settings, frozen, context);
  }
  return open_https(client, settings, frozen, uri, most);
}

}  // namespace hamal::vmware
