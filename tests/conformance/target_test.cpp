// What every Target promises, over real files, devices and servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <thread>

#include "ceph_lab.hpp"
#include "hamal/target/target.hpp"
#include "hamal/util/error.hpp"
#include "io_helpers.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

struct Kind {
  std::string name;
  std::size_t unit;
  bool needs_loop;
  /// Whether it exists before, holding bytes that are not zero.
  bool holds_old_data;
  std::function<std::string(const ScratchDirectory&, std::size_t size,
                            std::vector<std::shared_ptr<void>>& keep)>
      make;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

std::string old_image(const ScratchDirectory& scratch, std::size_t size) {
  const std::string path = scratch.file("target.raw");
  write_sparse(path, std::vector<std::byte>(size, std::byte{0xee}));
  return path;
}

std::vector<Kind> kinds() {
  using Keep = std::vector<std::shared_ptr<void>>;
  const auto nbdkit = [](std::vector<std::string> before, std::vector<std::string> after) {
    return [before, after](const ScratchDirectory& scratch, std::size_t size, Keep& keep) {
      std::vector<std::string> arguments = before;
      arguments.insert(arguments.end(), {"file", old_image(scratch, size)});
      arguments.insert(arguments.end(), after.begin(), after.end());
      std::shared_ptr<Server> server = start_nbdkit(scratch, arguments);
      keep.push_back(server);
      return server->uri();
    };
  };
  const auto qemu = [](const std::string& shared) {
    return [shared](const ScratchDirectory& scratch, std::size_t size, Keep& keep) {
      std::shared_ptr<Server> server = start_qemu_nbd(
          scratch, {"--shared", shared, "--format", "raw", old_image(scratch, size)});
      keep.push_back(server);
      return server->uri();
    };
  };
  return {
      {"new_file", 1, false, false,
       [](const ScratchDirectory& scratch, std::size_t, Keep&) {
         return file_uri(scratch.file("target.raw"));
       }},
      {"old_file", 1, false, true,
       [](const ScratchDirectory& scratch, std::size_t size, Keep&) {
         return file_uri(old_image(scratch, size));
       }},
      {"loop_device", 512, true, true,
       [](const ScratchDirectory& scratch, std::size_t size, Keep& keep) {
         auto loop = std::make_shared<LoopDevice>(old_image(scratch, size));
         keep.push_back(loop);
         return loop->path();
       }},
      {"larger_loop_device", 512, true, true,
       [](const ScratchDirectory& scratch, std::size_t size, Keep& keep) {
         auto loop = std::make_shared<LoopDevice>(old_image(scratch, size + (1U << 20)));
         keep.push_back(loop);
         return loop->path();
       }},
      {"RbdNew", 1, false, false,
       [](const ScratchDirectory&, std::size_t, Keep&) { return CephLab::get().new_uri(); }},
      {"RbdOld", 1, false, true,
       [](const ScratchDirectory&, std::size_t size, Keep&) {
         return make_image(std::vector<std::byte>(size, std::byte{0xee}));
       }},
      {"nbdkit", 1, false, true, nbdkit({}, {})},
      {"nbdkit_one_connection", 1, false, true,
       nbdkit({"--filter=multi-conn", "--filter=limit"}, {"multi-conn-mode=disable", "limit=1"})},
      {"nbdkit_without_zero", 1, false, true, nbdkit({"--filter=nozero"}, {})},
      {"nbdkit_blocks_of_4096", 4096, false, true,
       nbdkit({"--filter=blocksize-policy"},
              {"blocksize-minimum=4096", "blocksize-preferred=65536", "blocksize-maximum=1M",
               "blocksize-error-policy=error"})},
      {"qemu_nbd", 512, false, true, qemu("0")},
      {"qemu_nbd_one_connection", 512, false, true, qemu("1")},
  };
}

class TargetConformance : public ::testing::TestWithParam<Kind> {
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

  void make(std::size_t about) {
    size = about / GetParam().unit * GetParam().unit + GetParam().unit;
    endpoint = attach_lab(parse_endpoint(GetParam().make(scratch, size, keep)));
    model.assign(size, GetParam().holds_old_data ? std::byte{0xee} : std::byte{0});
  }

  void open(const TargetOptions& options = {}) {
    // A server of one connection takes a moment to see that the last one has ended.
    for (int attempt = 0;; ++attempt) {
      try {
        target = open_target(endpoint, size, options);
        return;
      } catch (const Error& error) {
        if (!error.transient() || attempt == 1200) {
          throw;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
  }

  /// Through a reader of its own, after a flush.
  void expect_content() {
    target->writer().flush();
    const auto reader = target->open_reader();
    ASSERT_EQ(reader->size(), size);
    const auto content = read_all(*reader);
    const auto [at, unused] = std::mismatch(model.begin(), model.end(), content.begin());
    EXPECT_TRUE(at == model.end()) << "differs at " << (at - model.begin());
  }

  void put(WriteQueue& queue, std::size_t offset, std::size_t length, std::byte value) {
    const std::vector<std::byte> data(length, value);
    write(queue, offset, data);
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, value);
  }

  void clear(WriteQueue& queue, std::size_t offset, std::size_t length) {
    zero(queue, offset, length);
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
  }

  ScratchDirectory scratch;
  std::vector<std::shared_ptr<void>> keep;
  std::size_t size = 0;
  Endpoint endpoint;
  std::vector<std::byte> model;
  std::unique_ptr<Target> target;
};

TEST_P(TargetConformance, OpeningChangesNothingAndSaysWhetherItIsNew) {
  make(2U << 20);
  const std::string before = canonical_target(endpoint);
  open();
  // An image in Ceph has an id of its own only once it is there.
  if (GetParam().name != "RbdNew") {
    EXPECT_EQ(target->canonical(), before);
  }
  EXPECT_EQ(canonical_target(endpoint), target->canonical());
  EXPECT_EQ(target->created(), !GetParam().holds_old_data);
  EXPECT_EQ(target->writer().size(), size);
  expect_content();
}

TEST_P(TargetConformance, KeepsWhatIsWrittenAndZeroed) {
  make(4U << 20);
  open();
  const auto queue = target->writer().open_queue();
  put(*queue, 0, 4096, std::byte{1});
  put(*queue, 1U << 20, 1U << 20, std::byte{2});
  clear(*queue, (1U << 20) + 65536, 131072);
  clear(*queue, 3U << 20, 1U << 19);
  // The end of the disk, which fills no block.
  put(*queue, size - GetParam().unit, GetParam().unit, std::byte{3});
  expect_content();
  clear(*queue, size - GetParam().unit, GetParam().unit);
  expect_content();
}

TEST_P(TargetConformance, AcceptsAnyAlignment) {
  make(1U << 20);
  open();
  const auto queue = target->writer().open_queue();
  std::mt19937 random(5);
  for (int i = 0; i < 120; ++i) {
    const std::size_t offset = random() % size;
    const std::size_t length = std::min<std::size_t>(random() % 20000 + 1, size - offset);
    if (random() % 2 == 0) {
      put(*queue, offset, length, static_cast<std::byte>(i + 1));
    } else {
      clear(*queue, offset, length);
    }
  }
  expect_content();
}

TEST_P(TargetConformance, ZeroesTheWholeDisk) {
  make(12U << 20);
  open();
  const auto queue = target->writer().open_queue();
  put(*queue, 12345, 54321, std::byte{7});
  clear(*queue, 0, size);
  expect_content();
}

TEST_P(TargetConformance, ManyThreadsWriteAndOneFlushCoversThem) {
  make(4U << 20);
  open();
  constexpr std::size_t k_threads = 4;
  std::vector<std::exception_ptr> errors(k_threads);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < k_threads; ++i) {
    threads.emplace_back([&, i] {
      try {
        const auto queue = target->writer().open_queue();
        const std::vector<std::byte> data(65536, static_cast<std::byte>(i + 1));
        for (std::size_t at = i * 65536; at + 65536 <= size; at += k_threads * 65536) {
          write(*queue, at, data);
          target->writer().start_writeback(at, data.size());
        }
        target->writer().flush();
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& error : errors) {
    EXPECT_FALSE(error) << describe(error);
  }
  for (std::size_t at = 0; at + 65536 <= size; at += 65536) {
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), 65536,
                static_cast<std::byte>(at / 65536 % k_threads + 1));
  }
  expect_content();
}

TEST_P(TargetConformance, KeepsItsContentWhenItIsClosed) {
  make(1U << 20);
  open();
  put(*target->writer().open_queue(), 4096, 8192, std::byte{5});
  target->writer().flush();
  target.reset();
  TargetOptions options;
  options.known = true;
  open(options);
  EXPECT_FALSE(target->created());
  expect_content();
}

TEST_P(TargetConformance, RefusesADiskThatIsTooLarge) {
  make(1U << 20);
  if (!GetParam().holds_old_data) {
    open();
    target.reset();
  }
  try {
    open_target(endpoint, size + (4U << 20), {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::wrong_target) << error.what();
    EXPECT_EQ(error.object(), endpoint.uri);
  }
  // Nothing was changed by the attempt.
  open();
  expect_content();
}

INSTANTIATE_TEST_SUITE_P(Kinds, TargetConformance, ::testing::ValuesIn(kinds()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace hamal::testing
