// Feeds arbitrary bytes to the reader of the data stream; once as they are, once cut into records
// whose checksums are made right, since the fuzzer would never guess one.
#define XXH_INLINE_ALL
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hamal/stream/data_stream.hpp"
#include "hamal/util/unique_fd.hpp"

namespace {

void read(const std::string& bytes) {
  const hamal::UniqueFd fd(::memfd_create("fuzz", MFD_CLOEXEC));
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::lseek(fd.get(), 0, SEEK_SET) != 0) {
    std::abort();
  }
  try {
    hamal::DataStreamReader reader(fd.get(), "fuzz");
    for (;;) {
      const hamal::StreamRecord record = reader.next();
      if (std::holds_alternative<hamal::EndRecord>(record)) {
        return;
      }
      if (const auto* data = std::get_if<hamal::DataRecord>(&record)) {
        const std::uint64_t size = reader.header().disks.at(data->disk).size;
        if (data->bytes.empty() || data->offset >= size ||
            data->bytes.size() > size - data->offset) {
          std::abort();
        }
        // Touches both ends: the span must be there.
        [[maybe_unused]] static volatile std::byte sink;
        sink = data->bytes.front();
        sink = data->bytes.back();
      }
    }
  } catch (const hamal::Error&) {
    return;
  }
}

void append_record(std::string& to, const std::string& tag, const std::string& payload) {
  std::string start = tag;
  for (unsigned i = 0; i < 4; ++i) {
    start += static_cast<char>(payload.size() >> (8 * i));
  }
  const std::string hashed = start + payload;
  const XXH64_hash_t checksum = XXH3_64bits(hashed.data(), hashed.size());
  to += start;
  for (unsigned i = 0; i < 8; ++i) {
    to += static_cast<char>(checksum >> (8 * i));
  }
  to += payload;
}

/// Input: a tag's number and a length, one byte each, then that much payload; again and again.
std::string with_checksums(const std::string& bytes) {
  static const char* const k_tags[] = {"HEAD", "PLAN", "DATA", "ZERO",
                                       "DONE", "FAIL", "note", "Next"};
  std::string stream(hamal::k_data_stream_magic);
  append_record(stream, "HEAD",
                R"({"format":"hamal-data","version":1,"platform":"p","vm_id":"v","disks":[)"
                R"({"id":"a","size":65536,"mode":"full"},{"id":"b","size":4096,"mode":"full"}]})");
  for (std::size_t i = 0; i + 2 <= bytes.size();) {
    const std::string tag = k_tags[static_cast<unsigned char>(bytes[i]) % 8];
    const std::size_t length =
        std::min<std::size_t>(static_cast<unsigned char>(bytes[i + 1]), bytes.size() - i - 2);
    append_record(stream, tag, bytes.substr(i + 2, length));
    i += 2 + length;
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  read(std::string(hamal::k_data_stream_magic) + bytes);
  read(with_checksums(bytes));
  return 0;
}
