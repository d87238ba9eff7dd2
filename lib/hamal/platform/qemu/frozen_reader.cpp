// The two precautions described in frozen_reader.hpp.
#include "hamal/platform/qemu/frozen_reader.hpp"

#include <filesystem>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/platform/qemu/split_queue.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::qemu {
namespace {

class AllData final : public ExtentSource {
 public:
  explicit AllData(ExtentSourcePtr source) : m_source(std::move(source)) {}
  bool next(std::vector<Extent>& window) override {
    const bool more = m_source->next(window);
    for (Extent& extent : window) {
      extent.kind = ExtentKind::data;
    }
    return more;
  }

 private:
  ExtentSourcePtr m_source;
};

ExtentSourcePtr all_data(ExtentSourcePtr source) {
  return coalesce(std::make_unique<AllData>(std::move(source)));
}

/// Written down whole; the file is gone when the spool is.
Spool write_down(ExtentSource& source, std::uint64_t size, const std::string& directory) {
  make_private_directories(directory);
  const std::filesystem::path path =
      std::filesystem::path(directory) / ("qemu-" + random_hex(16) + ".spool");
  spool_extents(path, size, source);
  Spool spool(path);
  std::filesystem::remove(path);
  return spool;
}

bool tells_the_truth(const ReadContext& context) {
  return QmpClient(context.qmp, &context.cancel).version() >= QmpGreeting{8, 0};
}

}  // namespace

FrozenReader::FrozenReader(std::unique_ptr<NbdReader> reader, Settler settler)
    : m_reader(std::move(reader)), m_settler(std::move(settler)) {}

std::unique_ptr<ReadQueue> FrozenReader::open_queue() {
  return split_queue(m_reader->open_queue(), k_cbw_cluster);
}

ExtentSourcePtr settle(ExtentSourcePtr claimed, std::uint64_t size, const ReadContext& context,
                       const FrozenPlace& place, const std::string& bitmap,
                       std::uint64_t granularity) {
  if (tells_the_truth(context)) {
    return claimed;
  }
  if (bitmap.empty()) {
    return all_data(std::move(claimed));
  }
  const Spool spool = write_down(*claimed, size, context.spool_directory);
  claimed.reset();
  auto written = std::make_shared<TemporaryExport>(context, place, std::vector<std::string>{bitmap},
                                                   granularity);
  ExtentSourcePtr unsettled =
      align(all_data(TemporaryExport::dirty(std::move(written))), k_cbw_cluster, size);
  return coalesce(
      unite(spool.extents(), intersect(spool.extents(), std::move(unsettled), KindOf::second)));
}

}  // namespace hamal::qemu
