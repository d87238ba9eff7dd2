// The diffs of librbd as extents.
//
// An exact diff asks the OSDs for the clones of every object of the range. The object map would
// know in no time which of them changed; but a rollback writes the map of the snapshot over that of
// the image, and what it put back counts as unchanged since then. So only who chose `fast` is told
// by the map, and only what an image holds at all is asked of it otherwise.
#include "hamal/block/rbd_extents.hpp"

#include <rbd/librbd.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "hamal/block/rbd_image.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

/// One question to librbd covers so many objects: bounds the answer that is held.
constexpr std::uint64_t k_objects_by_map = 16384;
constexpr std::uint64_t k_objects_exactly = 1024;

enum class Gaps { zero, left_out };

int collect(std::uint64_t offset, std::size_t length, int exists, void* into) {
  try {
    static_cast<std::vector<Extent>*>(into)->push_back(
        {offset, length, exists != 0 ? ExtentKind::data : ExtentKind::zero});
    return 0;
  } catch (...) {
    return -ENOMEM;
  }
}

class RbdExtents final : public ExtentSource {
 public:
  RbdExtents(std::shared_ptr<RbdImage> image, std::string from, RbdDiff diff, Gaps gaps)
      : m_image(std::move(image)),
        m_from(std::move(from)),
        m_gaps(gaps),
        m_by_map((m_from.empty() || diff == RbdDiff::fast) && m_image->why_no_fast_diff().empty()) {
    if (!m_from.empty()) {
      m_base = snapshot_of(*m_image);
    }
  }

  bool next(std::vector<Extent>& window) override {
    window.clear();
    while (m_found.empty() && m_position < m_image->size()) {
      step();
    }
    if (m_found.empty()) {
      require_base();
    }
    const std::size_t count = std::min(m_found.size(), k_window_extents);
    const auto end = m_found.begin() + static_cast<std::ptrdiff_t>(count);
    window.assign(m_found.begin(), end);
    m_found.erase(m_found.begin(), end);
    return !window.empty();
  }

 private:
  // A base that was removed meanwhile has taken its part of the answer along.
  void require_base() const {
    const auto image = m_from.empty() ? nullptr : RbdImage::find(m_image->endpoint());
    if (!m_from.empty() &&
        (!image || image->id() != m_image->id() || snapshot_of(*image) != m_base)) {
      throw Error(ErrorKind::failed,
                  "the snapshot " + m_from + " was removed while its changes were listed",
                  m_image->uri(), "run again", Transience::transient);
    }
  }

  std::uint64_t snapshot_of(const RbdImage& image) const {
    const auto snapshot = image.find_snapshot(m_from);
    return snapshot ? snapshot->id : 0;  // no snapshot's
  }

  void step() {
    const std::uint64_t objects = m_by_map ? k_objects_by_map : k_objects_exactly;
    const std::uint64_t end =
        std::min(m_position + objects * m_image->object_size(), m_image->size());
    const std::vector<Extent> extents = ask({m_position, end - m_position}, m_by_map);
    std::uint64_t at = m_position;
    for (const Extent& extent : extents) {
      if (m_gaps == Gaps::zero && extent.offset > at) {
        m_found.push_back({at, extent.offset - at, ExtentKind::zero});
      }
      m_found.push_back(extent);
      at = extent.end();
    }
    if (m_gaps == Gaps::zero && end > at) {
      m_found.push_back({at, end - at, ExtentKind::zero});
    }
    m_position = end;
  }

  /// Sorted, merged and inside the range; whatever librbd said otherwise is an error.
  std::vector<Extent> ask(const Extent& range, bool whole_objects) const {
    std::vector<Extent> extents;
    const int status =
        rbd_diff_iterate2(m_image->handle(), m_from.empty() ? nullptr : m_from.c_str(),
                          range.offset, range.length, 1, whole_objects ? 1 : 0, collect, &extents);
    if (status < 0) {
      throw ceph_error("cannot ask what changed" + (m_from.empty() ? "" : " since " + m_from),
                       m_image->uri(), status);
    }
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
    std::vector<Extent> merged;
    for (const Extent& extent : extents) {
      if (extent.offset < (merged.empty() ? range.offset : merged.back().end()) ||
          extent.length == 0 || extent.length > range.end() - range.offset ||
          extent.offset > range.end() - extent.length) {
        throw Error(ErrorKind::failed,
                    "librbd says that " + std::to_string(extent.length) + " bytes at offset " +
                        std::to_string(extent.offset) + " changed, where " +
                        std::to_string(range.length) + " bytes at offset " +
                        std::to_string(range.offset) + " were asked about",
                    m_image->uri());
      }
      if (!merged.empty() && merged.back().end() == extent.offset &&
          merged.back().kind == extent.kind) {
        merged.back().length += extent.length;
      } else {
        merged.push_back(extent);
      }
    }
    return merged;
  }

  std::shared_ptr<RbdImage> m_image;
  std::string m_from;
  Gaps m_gaps;
  bool m_by_map;
  std::uint64_t m_base = 0;
  std::uint64_t m_position = 0;
  std::deque<Extent> m_found;
};

}  // namespace

ExtentSourcePtr rbd_allocated_extents(std::shared_ptr<RbdImage> image) {
  return std::make_unique<RbdExtents>(std::move(image), "", RbdDiff::fast, Gaps::zero);
}

ExtentSourcePtr rbd_changed_extents(std::shared_ptr<RbdImage> image, const std::string& from,
                                    RbdDiff diff) {
  return std::make_unique<RbdExtents>(std::move(image), from, diff, Gaps::left_out);
}

}  // namespace hamal
