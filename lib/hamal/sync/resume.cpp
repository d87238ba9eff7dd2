#include "hamal/sync/resume.hpp"

#include "hamal/extent/algebra.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

class AsData final : public ExtentSource {
 public:
  explicit AsData(ExtentSourcePtr source) : m_source(std::move(source)) {}
  bool next(std::vector<Extent>& window) override {
    if (!m_source->next(window)) {
      return false;
    }
    for (Extent& extent : window) {
      extent.kind = ExtentKind::data;
    }
    return true;
  }

 private:
  ExtentSourcePtr m_source;
};

}  // namespace

std::optional<Spool> recorded_plan(const InProgress& mark) {
  try {
    return Spool(mark.plan_path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

Continuation continuation(const InProgress& mark, const StreamDisk& disk,
                          const std::string& snapshot_id) {
  if (mark.mode != disk.mode || mark.base_change_id != disk.base_change_id) {
    return Continuation::none;
  }
  if (mark.snapshot_id == snapshot_id && mark.change_id == disk.change_id) {
    return Continuation::same_snapshot;
  }
  return disk.mode == SyncMode::incremental ? Continuation::united_plans : Continuation::none;
}

ExtentTotals unite_plans(const std::filesystem::path& into, std::uint64_t disk_size,
                         const Spool& recorded, const Spool& planned) {
  const auto united =
      coalesce(unite(std::make_unique<AsData>(recorded.extents()), planned.extents()));
  return spool_extents(into, disk_size, *united);
}

}  // namespace hamal
