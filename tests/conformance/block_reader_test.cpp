// What every BlockReader promises, over real files, devices and servers.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <thread>

#include "../unit/repository/version_lab.hpp"
#include "ceph_lab.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/block/rbd_reader.hpp"
#include "hamal/store/directory_store.hpp"
#include "hamal/util/error.hpp"
#include "io_helpers.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

/// One way to serve a disk with given content.
struct Kind {
  std::string name;
  /// The smallest unit that the size must be a multiple of.
  std::size_t unit;
  bool knows_holes;
  bool needs_loop;
  /// Makes it and returns its endpoint; whatever must live as long goes into `keep`.
  std::function<std::string(const ScratchDirectory&, std::span<const std::byte>,
                            std::vector<std::shared_ptr<void>>& keep)>
      make;
  /// Where an endpoint is not what is opened.
  std::function<std::unique_ptr<BlockReader>(const ScratchDirectory&, std::span<const std::byte>)>
      open;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

std::string raw_image(const ScratchDirectory& scratch, std::span<const std::byte> content) {
  const std::string path = scratch.file("disk.raw");
  write_sparse(path, content);
  return path;
}

/// A version in a directory: a full of the first half, then two runs that end with this content.
std::unique_ptr<BlockReader> version_reader(const ScratchDirectory& scratch,
                                            std::span<const std::byte> content) {
  using namespace repository;
  const std::string path = scratch.file("repository");
  auto shared = std::make_shared<LabRepository>(
      open_directory_store("dir:" + path, path, process_cancel_token()));
  VersionLab lab(*shared, content.size());
  constexpr std::size_t k_block = 4096;
  const auto run = [&](std::size_t first, std::size_t step) {
    std::vector<Extent> changed;
    for (std::size_t at = first * k_block; at < content.size(); at += step * k_block) {
      const auto part = content.subspan(at, std::min(k_block, content.size() - at));
      std::copy(part.begin(), part.end(), lab.content().begin() + static_cast<std::ptrdiff_t>(at));
      const bool is_zero = std::all_of(part.begin(), part.end(),
                                       [](std::byte byte) { return byte == std::byte{0}; });
      changed.push_back({at, part.size(), is_zero ? ExtentKind::zero : ExtentKind::data});
    }
    lab.run(changed);
  };
  lab.run({{0, content.size() / 2, ExtentKind::data}});
  run(0, 1);
  run(3, 5);
  return open_version_reader(
      shared, {"dir:" + path, "disk 0", content.size(), shared->open_layers(lab.disk())});
}

std::unique_ptr<BlockReader> rbd_reader(const ScratchDirectory&,
                                        std::span<const std::byte> content) {
  return std::make_unique<RbdReader>(RbdImage::open(CephLab::get().attach(make_image(content))));
}

/// A snapshot of an image that was written, grown and emptied afterwards.
std::unique_ptr<BlockReader> rbd_snapshot_reader(const ScratchDirectory&,
                                                 std::span<const std::byte> content) {
  const std::string uri = make_image(content);
  {
    const auto image = RbdImage::open_shared(CephLab::get().attach(uri));
    image->create_snapshot("then");
    image->resize(content.size() + 70000);
  }
  write_image(uri, 0, std::vector<std::byte>(70000, std::byte{0x55}));
  zero_image(uri, content.size() / 2, content.size() / 2);
  return std::make_unique<RbdReader>(RbdImage::open(CephLab::get().attach(uri + "@then")));
}

/// A clone that has some objects of its own and the others from its parent.
std::unique_ptr<BlockReader> rbd_clone_reader(const ScratchDirectory&,
                                              std::span<const std::byte> content) {
  std::vector<std::byte> parent(content.begin(), content.end());
  const std::size_t own = content.size() / 3;
  std::fill_n(parent.begin(), own, std::byte{0});
  const std::string uri = make_image(parent);
  RbdImage::open_shared(CephLab::get().attach(uri))->create_snapshot("base");
  const std::string child = CephLab::get().new_uri();
  constexpr std::uint64_t k_default_features = 61;
  constexpr int k_order = 14;
  clone_image(uri, "base", child, k_default_features, k_order);
  write_image(child, 0, content.first(own));
  return std::make_unique<RbdReader>(RbdImage::open(CephLab::get().attach(child)));
}

std::vector<Kind> kinds() {
  using Keep = std::vector<std::shared_ptr<void>>;
  const auto nbdkit = [](std::vector<std::string> before, std::vector<std::string> after) {
    return [before, after](const ScratchDirectory& scratch, std::span<const std::byte> content,
                           Keep& keep) {
      std::vector<std::string> arguments = before;
      arguments.push_back("file");
      arguments.push_back(raw_image(scratch, content));
      arguments.insert(arguments.end(), after.begin(), after.end());
      std::shared_ptr<Server> server = start_nbdkit(scratch, arguments);
      keep.push_back(server);
      return server->uri();
    };
  };
  const auto qemu = [](std::vector<std::string> options, bool qcow2) {
    return [options, qcow2](const ScratchDirectory& scratch, std::span<const std::byte> content,
                            Keep& keep) {
      std::string image = raw_image(scratch, content);
      if (qcow2) {
        const std::string converted = scratch.file("disk.qcow2");
        run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, converted});
        image = converted;
      }
      std::vector<std::string> arguments = options;
      arguments.insert(arguments.end(), {"--format", qcow2 ? "qcow2" : "raw", image});
      std::shared_ptr<Server> server = start_qemu_nbd(scratch, arguments);
      keep.push_back(server);
      return server->uri();
    };
  };
  return {
      {"file",
       1,
       true,
       false,
       [](const ScratchDirectory& scratch, std::span<const std::byte> content, Keep&) {
         return file_uri(raw_image(scratch, content));
       },
       {}},
      {"loop_device",
       512,
       false,
       true,
       [](const ScratchDirectory& scratch, std::span<const std::byte> content, Keep& keep) {
         auto loop = std::make_shared<LoopDevice>(raw_image(scratch, content));
         keep.push_back(loop);
         return loop->path();
       },
       {}},
      {"version_in_a_directory", 1, true, false, {}, version_reader},
      {"Rbd", 1, true, false, {}, rbd_reader},
      {"RbdSnapshot", 1, true, false, {}, rbd_snapshot_reader},
      {"RbdClone", 1, true, false, {}, rbd_clone_reader},
      {"nbdkit", 1, true, false, nbdkit({}, {}), {}},
      {"nbdkit_one_connection",
       1,
       true,
       false,
       nbdkit({"--filter=multi-conn", "--filter=limit"}, {"multi-conn-mode=disable", "limit=1"}),
       {}},
      {"nbdkit_no_extents", 1, false, false, nbdkit({"--filter=noextents"}, {}), {}},
      {"nbdkit_blocks_of_4096",
       4096,
       true,
       false,
       nbdkit({"--filter=blocksize-policy"},
              {"blocksize-minimum=4096", "blocksize-preferred=65536", "blocksize-maximum=1M",
               "blocksize-error-policy=error"}),
       {}},
      {"qemu_nbd_qcow2", 512, true, false, qemu({"--shared=0", "--read-only"}, true), {}},
      {"qemu_nbd_one_connection", 512, true, false, qemu({"--shared=1"}, false), {}},
  };
}

class BlockReaderConformance : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().name.starts_with("Rbd")) {
      if (const std::string why = CephLab::why_missing(); !why.empty()) {
        GTEST_SKIP() << why;
      }
    }
    if (GetParam().needs_loop) {
      if (const std::string why = why_no_loop_devices(); !why.empty()) {
        GTEST_SKIP() << why;
      }
    }
  }

  /// A size that fills no larger block than the kind needs.
  void serve(std::size_t about) {
    const std::size_t size = about / GetParam().unit * GetParam().unit + GetParam().unit;
    content = sample_content(size, 7);
    reader = GetParam().open
                 ? GetParam().open(scratch, content)
                 : open_block_reader(parse_endpoint(GetParam().make(scratch, content, keep)));
  }

  ScratchDirectory scratch;
  std::vector<std::shared_ptr<void>> keep;
  std::vector<std::byte> content;
  std::unique_ptr<BlockReader> reader;
};

TEST_P(BlockReaderConformance, KnowsItsSizeAndLimits) {
  serve(1U << 20);
  EXPECT_EQ(reader->size(), content.size());
  EXPECT_GE(reader->max_queues(), 1U);
  EXPECT_GE(reader->max_request(), reader->preferred_request());
  EXPECT_GE(reader->preferred_request(), 512U);
}

TEST_P(BlockReaderConformance, ReadsTheContentAnywhere) {
  serve(3U << 20);
  EXPECT_TRUE(read_all(*reader) == content);
  std::mt19937 random(11);
  for (int i = 0; i < 100; ++i) {
    const std::size_t offset = random() % content.size();
    std::vector<std::byte> got(std::min<std::size_t>(random() % 70000, content.size() - offset));
    reader->read(offset, got);
    ASSERT_TRUE(
        std::equal(got.begin(), got.end(), content.begin() + static_cast<std::ptrdiff_t>(offset)))
        << got.size() << " bytes at " << offset;
  }
}

TEST_P(BlockReaderConformance, RefusesToReadBeyondTheEnd) {
  serve(1U << 20);
  std::vector<std::byte> buffer(2);
  EXPECT_THROW(reader->read(content.size() - 1, buffer), Error);
  EXPECT_THROW(reader->read(~std::uint64_t{0}, buffer), Error);
}

TEST_P(BlockReaderConformance, AllocationCoversTheDiskAndItsZerosAreZero) {
  serve(4U << 20);
  const ExtentSourcePtr source = reader->allocated();
  std::uint64_t at = 0;
  std::uint64_t zeros = 0;
  for (const Extent& extent : all_extents(*source)) {
    ASSERT_EQ(extent.offset, at);
    ASSERT_GT(extent.length, 0U);
    ASSERT_LE(extent.end(), content.size());
    if (extent.kind == ExtentKind::zero) {
      const auto begin = content.begin() + static_cast<std::ptrdiff_t>(extent.offset);
      EXPECT_TRUE(std::all_of(begin, begin + static_cast<std::ptrdiff_t>(extent.length),
                              [](std::byte b) { return b == std::byte{0}; }))
          << "at " << extent.offset;
      zeros += extent.length;
    }
    at = extent.end();
  }
  EXPECT_EQ(at, content.size());
  if (GetParam().knows_holes) {
    EXPECT_GT(zeros, content.size() / 4);
  } else {
    EXPECT_EQ(zeros, 0U);
  }
}

TEST_P(BlockReaderConformance, ExtentsOutliveTheReader) {
  serve(1U << 20);
  const ExtentSourcePtr source = reader->allocated();
  reader.reset();
  const auto extents = all_extents(*source);
  ASSERT_FALSE(extents.empty());
  EXPECT_EQ(extents.back().end(), content.size());
}

/// Keeps several requests in flight on one queue until all of its share has been read.
class Copier {
 public:
  Copier(ReadQueue& queue, std::span<std::byte> into, std::size_t first, std::size_t step)
      : m_queue(queue), m_into(into), m_next(first), m_step(step), m_slots(4) {
    for (Slot& slot : m_slots) {
      slot.owner = this;
    }
  }
  void run() {
    for (Slot& slot : m_slots) {
      submit(slot);
    }
    drive(m_queue, m_pending);
    if (m_error) {
      std::rethrow_exception(m_error);
    }
  }

 private:
  struct Slot final : IoCompletion {
    void io_done(std::exception_ptr error) noexcept override { owner->done(*this, error); }
    Copier* owner = nullptr;
  };
  void submit(Slot& slot) {
    constexpr std::size_t k_chunk = 32768;
    const std::size_t at = m_next * k_chunk;
    if (at >= m_into.size() || m_error) {
      return;
    }
    m_next += m_step;
    ++m_in_flight;
    m_pending = true;
    m_queue.read(at, m_into.subspan(at, std::min(k_chunk, m_into.size() - at)), slot);
  }
  void done(Slot& slot, std::exception_ptr error) {
    --m_in_flight;
    if (error) {
      m_error = error;
    }
    submit(slot);
    m_pending = m_in_flight > 0;
  }

  ReadQueue& m_queue;
  std::span<std::byte> m_into;
  std::size_t m_next;
  std::size_t m_step;
  std::vector<Slot> m_slots;
  std::size_t m_in_flight = 0;
  bool m_pending = false;
  std::exception_ptr m_error;
};

TEST_P(BlockReaderConformance, ManyThreadsReadWhileExtentsAreListed) {
  serve(6U << 20);
  constexpr std::size_t k_threads = 4;
  std::vector<std::byte> got(content.size());
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> errors(k_threads);
  for (std::size_t i = 0; i < k_threads; ++i) {
    threads.emplace_back([&, i] {
      try {
        // Also where max_queues() is 1: such queues share the connection.
        const auto queue = reader->open_queue();
        Copier(*queue, got, i, k_threads).run();
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  std::uint64_t covered = 0;
  for (int i = 0; i < 20; ++i) {
    const auto extents = all_extents(*reader->allocated());
    covered = extents.empty() ? 0 : extents.back().end();
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& error : errors) {
    EXPECT_FALSE(error) << describe(error);
  }
  EXPECT_EQ(covered, content.size());
  EXPECT_TRUE(got == content);
}

TEST_P(BlockReaderConformance, AQueueMayBeDroppedWithRequestsInFlight) {
  serve(1U << 20);
  for (int i = 0; i < 10; ++i) {
    std::vector<std::byte> buffer(256U << 10);
    Waiter waiter;
    const auto queue = reader->open_queue();
    queue->read(0, buffer, waiter);
  }
  EXPECT_TRUE(read_all(*reader) == content);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BlockReaderConformance, ::testing::ValuesIn(kinds()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace hamal::testing
