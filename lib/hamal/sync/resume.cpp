#include "hamal/sync/resume.hpp"

#include <algorithm>
#include <functional>
#include <random>
#include <span>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
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

std::optional<std::uint64_t> first_difference(BlockReader& source, BlockReader& target,
                                              ExtentSourcePtr plan,
                                              const std::vector<Extent>& finished,
                                              const std::string& seed) {
  constexpr std::size_t k_samples = 24;
  constexpr std::uint64_t k_block = 4096;
  // A reservoir: each block of the finished data is as likely as any other, in one pass.
  const auto done = intersect(std::move(plan), vector_source(finished), KindOf::first);
  std::mt19937_64 random(std::hash<std::string>{}(seed));
  std::vector<Extent> samples;
  std::uint64_t seen = 0;
  for (std::vector<Extent> window; done->next(window);) {
    for (const Extent& extent : window) {
      ++seen;
      const std::uint64_t blocks = (extent.length + k_block - 1) / k_block;
      const std::uint64_t at = extent.offset + random() % blocks * k_block;
      const Extent sample{at, std::min(k_block, extent.end() - at), extent.kind};
      if (samples.size() < k_samples) {
        samples.push_back(sample);
      } else if (const std::uint64_t place = random() % seen; place < k_samples) {
        samples[place] = sample;
      }
    }
  }
  // Few extents: more of each.
  const std::size_t distinct = samples.size();
  for (std::size_t i = 0; distinct > 0 && samples.size() < k_samples; ++i) {
    const Extent& range = finished[i % finished.size()];
    const std::uint64_t at =
        range.offset + random() % ((range.length + k_block - 1) / k_block) * k_block;
    samples.push_back({at, std::min(k_block, range.end() - at), ExtentKind::data});
  }
  std::sort(samples.begin(), samples.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<std::byte> wanted(k_block);
  std::vector<std::byte> found(k_block);
  for (const Extent& sample : samples) {
    source.read(sample.offset, std::span(wanted).first(sample.length));
    target.read(sample.offset, std::span(found).first(sample.length));
    if (!std::equal(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(sample.length),
                    found.begin())) {
      return sample.offset;
    }
  }
  return std::nullopt;
}

ExtentTotals unite_plans(const std::filesystem::path& into, std::uint64_t disk_size,
                         const Spool& recorded, const Spool& planned) {
  const auto united =
      coalesce(unite(std::make_unique<AsData>(recorded.extents()), planned.extents()));
  return spool_extents(into, disk_size, *united);
}

}  // namespace hamal
