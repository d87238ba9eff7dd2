// Apply-the-diff over random sequences: what changed between two snapshots of an image, copied onto
// the older one, makes the newer one. HAMAL_RBD_DIFF_CASES sequences (20 by default), each from
// its own seed; HAMAL_RBD_DIFF_SEED runs that one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "ceph_lab.hpp"
#include "hamal/block/rbd_extents.hpp"
#include "hamal/block/rbd_reader.hpp"
#include "hamal/block/rbd_writer.hpp"
#include "io_helpers.hpp"

namespace hamal::testing {
namespace {

using Bytes = std::vector<std::byte>;

// layering; and with exclusive-lock, object-map, fast-diff, deep-flatten.
constexpr std::uint64_t k_plain_features = 1;
constexpr std::uint64_t k_all_features = 61;

unsigned from_environment(const char* name, unsigned fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

/// One image and what it must hold, now and at each snapshot.
class Sequence {
 public:
  explicit Sequence(unsigned seed)
      : m_random(seed),
        m_order(static_cast<int>(12 + m_random() % 6)),
        m_features(m_random() % 3 == 0 ? k_plain_features : k_all_features),
        m_uri(CephLab::get().new_uri()) {
    m_now.resize(one_of(1U << 19) + 4096);
    create_image(m_uri, m_now.size(), m_features, m_order);
  }

  void run() {
    const unsigned snapshots = 3 + one_of(3);
    for (unsigned i = 0; i < snapshots; ++i) {
      for (unsigned changes = one_of(6); changes > 0; --changes) {
        change();
      }
      if (i > 0 && m_random() % 8 == 0) {
        continue_as_clone();
      } else {
        snapshot();
      }
    }
  }

  /// Every pair of snapshots of the image, and each alone.
  void check() {
    for (auto to = m_then.begin(); to != m_then.end(); ++to) {
      RbdReader reader(RbdImage::open(CephLab::get().attach(m_uri + "@" + to->first)));
      ASSERT_TRUE(read_all(reader) == to->second) << "the model of " << to->first << " is wrong";
      Bytes full(to->second.size(), std::byte{0xab});
      apply(reader, reader.allocated(), full, to->second, to->first + " alone");
      for (auto from = m_then.begin(); from != to; ++from) {
        for (const RbdDiff diff : {RbdDiff::exact, RbdDiff::fast}) {
          if (m_rolled_back && diff == RbdDiff::fast) {
            continue;  // the object map does not know (hamal.conf(5), diff)
          }
          Bytes copy = from->second;
          copy.resize(to->second.size());
          apply(reader, reader.changed(from->first, diff), copy, to->second,
                from->first + " to " + to->first + (diff == RbdDiff::fast ? ", fast" : ", exact"));
        }
      }
    }
  }

 private:
  unsigned one_of(unsigned count) { return static_cast<unsigned>(m_random() % count); }

  /// A range that often begins or ends where an object or a sector does.
  std::pair<std::size_t, std::size_t> range() {
    const std::size_t object = std::size_t{1} << static_cast<unsigned>(m_order);
    const std::size_t unit = m_random() % 3 == 0 ? object : m_random() % 2 == 0 ? 4096 : 1;
    const std::size_t begin = m_random() % m_now.size() / unit * unit;
    const std::size_t wanted = std::max<std::size_t>(one_of(100'000) / unit * unit, unit);
    return {begin, std::min(wanted, m_now.size() - begin)};
  }

  void change() {
    const auto [offset, length] = range();
    const auto begin = m_now.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (one_of(10)) {
      case 0:
      case 1:
        std::fill(begin, end, std::byte{0});
        zero_image(m_uri, offset, length);
        break;
      case 2:
      case 3:
        discard_image(m_uri, offset, length);
        // A discard promises nothing: the image says what is left.
        read_back();
        break;
      case 4:
        resize(one_of(1U << 19) + 4096);
        break;
      case 5:
        if (m_is_clone) {
          flatten_image(m_uri);
          m_is_clone = false;
          break;
        }
        [[fallthrough]];
      case 6:
        if (!m_then.empty() && m_random() % 2 == 0) {
          roll_back();
          break;
        }
        [[fallthrough]];
      default:
        std::generate(begin, end, [&] { return static_cast<std::byte>(m_random() | 1U); });
        write_image(m_uri, offset, std::span(m_now).subspan(offset, length));
    }
  }

  void resize(std::size_t size) {
    RbdImage::open_shared(CephLab::get().attach(m_uri))->resize(size);
    m_now.resize(size);
  }

  void roll_back() {
    auto to = m_then.begin();
    std::advance(to, one_of(static_cast<unsigned>(m_then.size())));
    roll_back_image(m_uri, to->first);
    read_back();
    m_rolled_back = true;
  }

  void read_back() {
    RbdReader reader(RbdImage::open(CephLab::get().attach(m_uri)));
    m_now = read_all(reader);
  }

  void snapshot() {
    const std::string name = "s" + std::to_string(m_then.size());
    RbdImage::open_shared(CephLab::get().attach(m_uri))->create_snapshot(name);
    m_then[name] = m_now;
  }

  // The snapshots so far were of the parent.
  void continue_as_clone() {
    RbdImage::open_shared(CephLab::get().attach(m_uri))->create_snapshot("parent");
    const std::string child = CephLab::get().new_uri();
    clone_image(m_uri, "parent", child, m_features, m_order);
    m_uri = child;
    m_is_clone = true;
    m_rolled_back = false;
    m_then.clear();
    snapshot();
  }

  static void apply(RbdReader& reader, const ExtentSourcePtr& extents, Bytes& onto,
                    const Bytes& expected, const std::string& what) {
    std::uint64_t at = 0;
    for (const Extent& extent : all_extents(*extents)) {
      ASSERT_GE(extent.offset, at) << what;
      ASSERT_LE(extent.end(), onto.size()) << what;
      at = extent.end();
      const auto part = std::span(onto).subspan(extent.offset, extent.length);
      if (extent.kind == ExtentKind::zero) {
        std::fill(part.begin(), part.end(), std::byte{0});
      } else {
        reader.read(extent.offset, part);
      }
    }
    const auto [wrong, unused] = std::mismatch(onto.begin(), onto.end(), expected.begin());
    ASSERT_TRUE(wrong == onto.end()) << what << ": differs at " << (wrong - onto.begin());
  }

  std::mt19937 m_random;
  int m_order;
  std::uint64_t m_features;
  std::string m_uri;
  bool m_is_clone = false;
  bool m_rolled_back = false;
  Bytes m_now;
  std::map<std::string, Bytes> m_then;
};

// Seen to fail with extents of kind zero left out of the diff.
TEST(RbdDiff, AppliedToTheOlderSnapshotMakesTheNewer) {
  if (const std::string why = CephLab::why_missing(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  const unsigned cases = from_environment("HAMAL_RBD_DIFF_CASES", 20);
  const unsigned only = from_environment("HAMAL_RBD_DIFF_SEED", 0);
  for (unsigned seed = only == 0 ? 1 : only; seed <= (only == 0 ? cases : only); ++seed) {
    SCOPED_TRACE("HAMAL_RBD_DIFF_SEED=" + std::to_string(seed));
    Sequence sequence(seed);
    sequence.run();
    sequence.check();
    ASSERT_FALSE(HasFatalFailure());
  }
}

// A rollback puts the snapshot's object map in the place of the image's, by which the object is as
// it was. Break it: let an exact diff ask the map which objects it has to look at.
TEST(RbdDiff, AnExactOneSeesWhatARollbackPutBack) {
  if (const std::string why = CephLab::why_missing(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  const std::string uri = CephLab::get().new_uri();
  const auto snapshot = [&](const char* name) {
    RbdImage::open_shared(CephLab::get().attach(uri))->create_snapshot(name);
  };
  const Bytes before(8192, std::byte{1});
  const Bytes after(8192, std::byte{2});
  create_image(uri, 1U << 20, k_all_features, 16);
  write_image(uri, 0, before);
  snapshot("s1");
  snapshot("s2");
  write_image(uri, 0, after);
  snapshot("base");
  roll_back_image(uri, "s2");
  snapshot("now");
  RbdReader reader(RbdImage::open(CephLab::get().attach(uri + "@now")));
  const auto changed = all_extents(*reader.changed("base", RbdDiff::exact));
  ASSERT_FALSE(changed.empty());
  EXPECT_EQ(changed.front().offset, 0U);
  EXPECT_GE(changed.front().length, before.size());
}

}  // namespace
}  // namespace hamal::testing
