// Feeds arbitrary bytes to the reader of the extent stream: it accepts or throws an Error, nothing
// else.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "hamal/extent/totals.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/stream/detect.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/util/unique_fd.hpp"

namespace {

/// A valid start gets the fuzzer past the header.
const std::string k_header =
    R"({"format":"hamal-extents","version":1,"platform":"p","vm_id":"v","disks":[)"
    R"({"id":"a","size":1048576,"mode":"full"},{"id":"b","size":4096,"mode":"full"}]})"
    "\n";

void read(const std::string& bytes) {
  const hamal::UniqueFd fd(::memfd_create("fuzz", MFD_CLOEXEC));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0) {
    std::abort();
  }
  try {
    std::string prefix;
    hamal::detect_stream(fd.get(), prefix);
    hamal::ExtentStreamReader reader(fd.get(), "fuzz", prefix);
    std::vector<std::uint64_t> ends(reader.header().disks.size(), 0);
    std::size_t disk = 0;
    for (std::vector<hamal::Extent> window; reader.next(disk, window);) {
      for (const hamal::Extent& extent : window) {
        const std::uint64_t size = reader.header().disks.at(disk).size;
        if (hamal::extent_problem(extent, ends[disk], ends[disk], size)) {
          std::abort();
        }
        ends[disk] = extent.end();
      }
    }
  } catch (const hamal::Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  read(k_header + bytes);
  return 0;
}
