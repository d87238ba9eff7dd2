// Opens arbitrary bytes as a spool; once as they are, once as the body of a file whose footer and
// checksum are right.
#define XXH_INLINE_ALL
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "hamal/extent/spool.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"

namespace {

void open(const std::string& bytes) {
  const hamal::UniqueFd fd(::memfd_create("fuzz", MFD_CLOEXEC));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::abort();
  }
  try {
    const hamal::Spool spool("/proc/self/fd/" + std::to_string(fd.get()));
    const auto source = spool.extents();
    std::uint64_t end = 0;
    for (std::vector<hamal::Extent> window; source->next(window);) {
      for (const hamal::Extent& extent : window) {
        if (hamal::extent_problem(extent, end, end, spool.disk_size())) {
          std::abort();
        }
        end = extent.end();
      }
    }
  } catch (const hamal::Error&) {
    return;
  }
}

std::string u64(std::uint64_t value) {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes += static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  open(bytes);
  if (size < 24) {
    return 0;
  }
  // Totals and the disk's size from the input too.
  const std::string body = bytes.substr(24);
  std::string file = std::string("HAMALSP\x01", 8) + bytes.substr(0, 7) + '\0' + body;
  file += u64(static_cast<unsigned char>(bytes[7])) + bytes.substr(8, 16) + u64(body.size());
  file += u64(XXH3_64bits(file.data(), file.size())) + "HAMALSPE";
  open(file);
  return 0;
}
