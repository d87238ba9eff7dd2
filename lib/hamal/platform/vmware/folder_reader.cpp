#include "hamal/platform/vmware/folder_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "hamal/extent/sources.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr unsigned k_max_queues = 4;
constexpr std::string_view k_suffix = ".vmdk";
constexpr const char* k_other_ways = "read it by VDDK: hamal-vmware(7), READING DISKS";

class FolderReader final : public BlockReader {
 public:
  FolderReader(std::shared_ptr<VimClient> client, std::string uri, std::string path,
               std::uint64_t size, std::uint32_t max_request)
      : m_client(std::move(client)),
        m_uri(std::move(uri)),
        m_path(std::move(path)),
        m_size(size),
        m_max_request(max_request) {}

  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_size; }
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override { return k_max_queues; }
  std::uint32_t max_request() const noexcept override { return m_max_request; }
  std::uint32_t preferred_request() const noexcept override { return m_max_request; }
  ExtentSourcePtr allocated() override { return whole_disk(m_size, ExtentKind::data); }

  void fetch(std::uint64_t offset, std::span<std::byte> into) {
    const HttpReply reply = m_client->get(m_path, offset, into);
    const std::string range =
        fmt::format("bytes {}-{}/{}", offset, offset + into.size() - 1, m_size);
    if (reply.status != 206) {
      const bool passing = reply.status == 503 || reply.status == 502 || reply.status == 429;
      throw Error(
          ErrorKind::failed,
          fmt::format("the datastore's file cannot be read over https: HTTP {}", reply.status),
          m_uri, k_other_ways, passing ? Transience::transient : Transience::permanent);
    }
    if (reply.header("content-range") != range || reply.into_size != into.size()) {
      throw Error(ErrorKind::failed,
                  fmt::format(R"(the server sends "{}" where "{}" was asked for)",
                              std::string(reply.header("content-range").substr(0, 100)), range),
                  m_uri, k_other_ways);
    }
  }

 private:
  std::shared_ptr<VimClient> m_client;
  std::string m_uri;
  std::string m_path;
  std::uint64_t m_size;
  std::uint32_t m_max_request;
};

class FolderQueue final : public ReadQueue {
 public:
  explicit FolderQueue(FolderReader& reader) : m_reader(reader) {}
  void add_poll_fds(std::vector<pollfd>& /*fds*/) const override {}
  void progress() override {}
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    complete_at_once(done, [&] { m_reader.fetch(offset, into); });
  }

 private:
  FolderReader& m_reader;
};

std::unique_ptr<ReadQueue> FolderReader::open_queue() {
  return std::make_unique<FolderQueue>(*this);
}

std::string encode(const std::string& text, FolderEncoding encoding) {
  const std::string once = percent_encode(text);
  return encoding == FolderEncoding::single ? once : percent_encode(once);
}

/// "name-000001.vmdk" is a delta on another disk.
bool is_delta(const std::string& file) {
  if (!file.ends_with(k_suffix)) {
    return false;
  }
  const std::string_view stem = std::string_view(file).substr(0, file.size() - k_suffix.size());
  const std::size_t dash = stem.rfind('-');
  return dash != std::string_view::npos && stem.size() - dash == 7 &&
         stem.find_first_not_of("0123456789", dash + 1) == std::string_view::npos;
}

}  // namespace

std::string why_not_folder(const Machine& machine, const Disk& disk) {
  if (machine.power != "poweredOff") {
    return "the vm is not powered off";
  }
  if (machine.snapshots.size() > 1) {
    return "the vm has other snapshots";
  }
  if (disk.encrypted) {
    return "the disk is encrypted";
  }
  if (disk.backing != "VirtualDiskFlatVer2BackingInfo") {
    return "the disk is not a flat file but a " + disk.backing;
  }
  if (is_delta(disk.file) || !disk.file.ends_with(k_suffix)) {
    return "the disk is not the base of its chain: " + disk.file;
  }
  return {};
}

std::string folder_path(const std::string& file, const std::string& datacenter,
                        FolderEncoding encoding) {
  const std::size_t close = file.find("] ");
  if (!file.starts_with('[') || close == std::string::npos || !file.ends_with(k_suffix)) {
    throw Error(ErrorKind::failed, "not the path of a disk on a datastore", file);
  }
  const std::string store = file.substr(1, close - 1);
  const std::string path =
      file.substr(close + 2, file.size() - close - 2 - k_suffix.size()) + "-flat.vmdk";
  return "/folder/" + percent_encode(path, "/") + "?dcPath=" + encode(datacenter, encoding) +
         "&dsName=" + encode(store, encoding);
}

std::string datacenter_path(VimClient& client, const std::string& host) {
  constexpr int k_deepest = 100;
  std::string path;
  ManagedObject at{"HostSystem", host};
  for (int depth = 0; depth < k_deepest; ++depth) {
    const ObjectProperties here = retrieve(client, at, {"name", "parent"});
    const XmlElement* const parent = here.find("parent");
    if (parent == nullptr) {
      break;  // the root folder, whose name is no part of it
    }
    if (at.type == "Datacenter" || !path.empty()) {
      path = path.empty() ? here.text("name") : fmt::format("{}/{}", here.text("name"), path);
    }
    at = parent->reference();
  }
  if (path.empty()) {
    throw Error(ErrorKind::failed, "the host is in no datacenter that the user may see", host,
                "grant System.View on it");
  }
  return path;
}

std::unique_ptr<BlockReader> open_folder_reader(std::shared_ptr<VimClient> client,
                                                const std::string& uri, const std::string& path,
                                                std::uint64_t size, std::uint32_t max_request) {
  auto reader = std::make_unique<FolderReader>(std::move(client), uri, path, size, max_request);
  std::array<std::byte, 512> sample;
  if (size > 0) {
    reader->fetch(0, std::span(sample).first(std::min<std::uint64_t>(size, sample.size())));
  }
  return reader;
}

}  // namespace hamal::vmware
