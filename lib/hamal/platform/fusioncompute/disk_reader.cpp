// rbd, nbd and file read the frozen disk where its datastore keeps it, past FusionCompute; the
// operator says where by a template, for all datastores or for one (KEY.DATASTORE).
#include "hamal/platform/fusioncompute/disk_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "hamal/block/file_reader.hpp"
#include "hamal/block/nbd_reader.hpp"
#include "hamal/block/rbd_image.hpp"
#include "hamal/block/rbd_reader.hpp"
#include "hamal/platform/fusioncompute/inventory.hpp"
#include "hamal/platform/fusioncompute/vna_reader.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::fusioncompute {
namespace {

struct Way {
  ReadBy by;
  const char* word;
  const char* key;
};

constexpr std::array k_ways{
    Way{ReadBy::rbd, "rbd", "rbd_uri"},
    Way{ReadBy::nbd, "nbd", "nbd_uri"},
    Way{ReadBy::file, "file", "file_path"},
};

[[noreturn]] void refuse_no_way(const Settings& settings, const FrozenDisk& frozen,
                                const std::string& datastore) {
  throw Error(
      ErrorKind::failed,
      fmt::format("there is no way to read this disk: its datastore is {} (storage type {}), and "
                  "[platform {}] names none",
                  datastore.empty() ? frozen.volume.datastore_urn : datastore,
                  frozen.disk.storage_type.empty() ? "unknown" : frozen.disk.storage_type,
                  settings.platform),
      frozen.object(),
      "set rbd_uri for a datastore in Ceph, file_path for one that is mounted on this host, or "
      "nbd_uri for a server that exports its snapshots: hamal-fusioncompute(7), READING DISKS");
}

/// With at most so many queues.
class LimitedReader final : public BlockReader {
 public:
  LimitedReader(std::unique_ptr<BlockReader> reader, unsigned queues)
      : m_reader(std::move(reader)), m_queues(queues) {}
  const std::string& uri() const noexcept override { return m_reader->uri(); }
  std::uint64_t size() const noexcept override { return m_reader->size(); }
  std::unique_ptr<ReadQueue> open_queue() override { return m_reader->open_queue(); }
  unsigned max_queues() const noexcept override {
    return std::min(m_queues, m_reader->max_queues());
  }
  std::uint32_t max_request() const noexcept override { return m_reader->max_request(); }
  std::uint32_t preferred_request() const noexcept override {
    return m_reader->preferred_request();
  }
  int file_descriptor() const noexcept override { return m_reader->file_descriptor(); }
  ExtentSourcePtr allocated() override { return m_reader->allocated(); }

 private:
  std::unique_ptr<BlockReader> m_reader;
  unsigned m_queues;
};

void check_size(std::uint64_t found, std::uint64_t wanted, const std::string& place,
                const char* key) {
  if (found != wanted) {
    throw Error(ErrorKind::failed,
                fmt::format("has {} bytes, and the snapshot's disk {}", found, wanted), place,
                fmt::format("check {}: it must lead to this disk of this snapshot", key));
  }
}

}  // namespace

const char* word_of(ReadBy by) {
  for (const Way& way : k_ways) {
    if (way.by == by) {
      return way.word;
    }
  }
  return by == ReadBy::vna_socket ? "vna_socket" : "auto";
}

std::string describe(const ReadChoice& choice) {
  return fmt::format("read by {}: {}", word_of(choice.by), choice.reason);
}

ReadChoice choose_reader(VrmClient& client, const Settings& settings, const FrozenDisk& frozen) {
  if (settings.read_by == ReadBy::vna_socket) {
    return {ReadBy::vna_socket,
            {},
            "reader says so; its frames are hamal's own, no host of FusionCompute is known to "
            "speak them"};
  }
  const std::string datastore = datastore_name(client, frozen.volume.datastore_urn);
  for (const Way& way : k_ways) {
    if (settings.read_by != ReadBy::automatic && settings.read_by != way.by) {
      continue;
    }
    const std::string own = fmt::format("{}.{}", way.key, datastore);
    if (!datastore.empty() && !settings.section.get(own).empty()) {
      return {way.by, settings.section.get(own), own + " is configured"};
    }
    if (const std::string place = settings.section.get(way.key); !place.empty()) {
      return {way.by, place, fmt::format("{} is configured", way.key)};
    }
  }
  refuse_no_way(settings, frozen, datastore);
}

std::string fill_in(const std::string& text, const FrozenDisk& frozen, const Volume& volume,
                    const std::string& datastore, Encode encode) {
  const std::array<std::pair<std::string_view, std::string>, 8> words{{
      {"{vm}", frozen.machine.name},
      {"{vm_id}", frozen.machine.id()},
      {"{disk}", frozen.disk.id()},
      {"{datastore}", datastore},
      {"{volume}", volume.name_on_device},
      {"{volume_uuid}", volume.uuid.empty() ? frozen.disk.volume_uuid : volume.uuid},
      {"{snapshot}", frozen.volume.name_on_device},
      {"{snapshot_uuid}", frozen.volume.uuid},
  }};
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    bool found = false;
    for (const auto& [word, value] : words) {
      if (text.compare(at, word.size(), word) != 0) {
        continue;
      }
      const bool odd = encode == Encode::path_component &&
                       (value == "." || value == ".." || value.find('/') != std::string::npos ||
                        value.find('\0') != std::string::npos);
      if (value.empty() || odd) {
        throw Error(ErrorKind::failed,
                    fmt::format("{} of {} cannot be filled in: the server says \"{}\"", word, text,
                                percent_encode(value, " ")),
                    frozen.object(), "use another word: hamal-fusioncompute(7), READING DISKS");
      }
      result += encode == Encode::percent ? percent_encode(value) : value;
      at += word.size();
      found = true;
      break;
    }
    if (!found) {
      result += text[at++];
    }
  }
  return result;
}

std::unique_ptr<BlockReader> open_disk_reader(const std::shared_ptr<VrmClient>& client,
                                              const Settings& settings, const FrozenDisk& frozen,
                                              std::uint64_t size, const std::string& uri,
                                              CephClusters& clusters, const HostSlots& slots,
                                              const PlatformContext& context) {
  const ReadChoice choice = choose_reader(*client, settings, frozen);
  context.log.info("{}: {}", frozen.object(), describe(choice));
  if (choice.by == ReadBy::vna_socket) {
    return open_vna_reader(client, settings, frozen, size, uri, slots, context);
  }
  const std::string volume_path = frozen.volume.volume_uri;
  const Volume volume = parse_volume(client->get(volume_path), "GET " + volume_path);
  const std::string datastore = datastore_name(*client, frozen.volume.datastore_urn);
  const std::string place =
      fill_in(choice.place, frozen, volume, datastore,
              choice.by == ReadBy::file ? Encode::path_component : Encode::percent);
  std::unique_ptr<BlockReader> reader;
  const char* key = "file_path";
  if (choice.by == ReadBy::rbd) {
    key = "rbd_uri";
    Endpoint endpoint = parse_endpoint(place);
    if (endpoint.kind != EndpointKind::rbd || endpoint.snapshot.empty()) {
      throw Error(ErrorKind::usage, "rbd_uri does not lead to a snapshot of an image", place,
                  "write rbd://NAME/POOL/{volume}@{snapshot}");
    }
    reader = std::make_unique<RbdReader>(RbdImage::open(clusters.attach(std::move(endpoint))));
  } else if (choice.by == ReadBy::nbd) {
    key = "nbd_uri";
    reader = std::make_unique<NbdReader>(place, std::vector<std::string>{}, &context.cancel);
  } else {
    reader = std::make_unique<FileReader>(file_uri(place), place);
  }
  check_size(reader->size(), size, place, key);
  return std::make_unique<LimitedReader>(std::move(reader),
                                         context.config.fusion_compute.max_writer_num);
}

}  // namespace hamal::fusioncompute
