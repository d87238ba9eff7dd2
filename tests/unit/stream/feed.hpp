// Streams for tests: headers, bytes on a descriptor at once or in dribs, and what a reader says of
// them.
#pragma once
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::test {

inline StreamHeader two_disks() {
  StreamHeader header{.platform = "lab",
                      .platform_type = "qemu",
                      .vm_id = "web01",
                      .vm_name = "Web \"1\"",
                      .snapshot_id = "snap-8",
                      .created = "2026-11-22T22:24:35.123Z",
                      .disks = {}};
  header.disks.push_back({.id = "vda",
                          .label = "/images/a.qcow2",
                          .size = 1 << 20,
                          .mode = SyncMode::full,
                          .reason = "first run",
                          .base_change_id = "",
                          .change_id = "id-8",
                          .source = "lab:web01/vda@snap-8",
                          .read_by = "",
                          .read_by_reason = ""});
  header.disks.push_back({.id = "vd\"b\\",
                          .label = "/images/b.qcow2",
                          .size = 1 << 30,
                          .mode = SyncMode::incremental,
                          .reason = "",
                          .base_change_id = "id-7",
                          .change_id = "id-8",
                          .source = "lab:web01/vdb@snap-8",
                          .read_by = "",
                          .read_by_reason = ""});
  return header;
}

inline StreamHeader one_disk(std::uint64_t size = 1 << 20) {
  StreamHeader header = two_disks();
  header.disks.pop_back();
  header.disks[0].size = size;
  return header;
}

/// All of it there at once.
inline UniqueFd memory_file(std::string_view bytes) {
  UniqueFd fd(::memfd_create("stream", MFD_CLOEXEC));
  if (!fd || ::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0) {
    throw std::runtime_error("memfd");
  }
  return fd;
}

/// A pipe into which a thread writes `step` bytes at a time.
class Dribble {
 public:
  Dribble(std::string bytes, std::size_t step, bool non_blocking = false) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw std::runtime_error("pipe");
    }
    m_read = UniqueFd(ends[0]);
    if (non_blocking) {
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);  // NOLINT: variadic
    }
    m_thread = std::thread([bytes = std::move(bytes), step, end = UniqueFd(ends[1])] {
      for (std::size_t i = 0; i < bytes.size(); i += step) {
        const std::size_t count = std::min(step, bytes.size() - i);
        if (::write(end.get(), bytes.data() + i, count) != static_cast<ssize_t>(count)) {
          return;
        }
      }
    });
  }
  ~Dribble() { m_thread.join(); }
  int fd() const { return m_read.get(); }

 private:
  UniqueFd m_read;
  std::thread m_thread;
};

/// The whole message, and the exit status it leads to.
struct Refusal {
  std::string message = "accepted";
  int status = 0;
};

template <typename Action>
Refusal refusal_of(Action action) {
  try {
    action();
  } catch (const StreamFailed& error) {
    return {error.what(), error.status()};
  } catch (const Error& error) {
    return {error.what(), static_cast<int>(exit_status(error))};
  }
  return {};
}

inline ByteSink append_to(std::string& bytes) {
  return [&bytes](std::string_view part) { bytes += part; };
}

}  // namespace hamal::test
