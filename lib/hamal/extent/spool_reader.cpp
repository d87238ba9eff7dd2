// Reading a spool (extent/spool.hpp).
#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "hamal/extent/generated.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/extent/spool_format.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {

using namespace spool_format;

struct Spool::Content {
  std::string path;
  UniqueFd fd;
  std::uint64_t disk_size = 0;
  std::uint64_t body_length = 0;
  ExtentTotals totals;
};

namespace {

constexpr std::size_t k_buffer_size = 256U << 10;

[[noreturn]] void throw_damaged(const std::string& path, std::string what) {
  throw Error(ErrorKind::failed, "the extent spool " + what, path,
              "what was planned is not known any more: the disk needs a full");
}

void read_at(const Spool::Content& content, char* into, std::size_t size, std::uint64_t offset) {
  pread_all(content.fd.get(), std::as_writable_bytes(std::span(into, size)), offset, content.path);
}

/// Decodes the body through a buffer of its own; the file was checked whole before, but is not
/// believed.
class SpoolSource final : public GeneratedSource {
 public:
  explicit SpoolSource(std::shared_ptr<const Spool::Content> content)
      : m_content(std::move(content)), m_left(m_content->body_length) {}

 private:
  bool produce(Extent& extent) override {
    if (m_index == m_buffer.size() && m_left == 0) {
      if (m_totals != m_content->totals) {
        throw_damaged(m_content->path, "does not hold what its footer counts");
      }
      return false;
    }
    const std::uint64_t head = varint();
    extent.kind = (head & 1) != 0 ? ExtentKind::zero : ExtentKind::data;
    const std::uint64_t gap = head >> 1;
    const std::uint64_t size = m_content->disk_size;
    // Both sides stay below 2^64: a gap has 63 bits, a size too.
    extent.offset = m_end + gap;
    extent.length = varint();
    if (extent_problem(extent, m_end, m_end, size)) {
      throw_damaged(m_content->path, "holds an extent that is not inside the disk");
    }
    m_end = extent.end();
    m_totals.add(extent);
    return true;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t part = byte();
      if (shift == 63 && part > 1) {
        break;
      }
      value |= (part & 0x7f) << shift;
      if ((part & 0x80) == 0) {
        return value;
      }
    }
    throw_damaged(m_content->path, "holds a number of more than 64 bits");
  }

  unsigned char byte() {
    if (m_index == m_buffer.size()) {
      if (m_left == 0) {
        throw_damaged(m_content->path, "ends in the middle of an extent");
      }
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(m_left, k_buffer_size));
      m_buffer.resize(size);
      read_at(*m_content, m_buffer.data(), size, m_position);
      m_position += size;
      m_left -= size;
      m_index = 0;
    }
    return static_cast<unsigned char>(m_buffer[m_index++]);
  }

  std::shared_ptr<const Spool::Content> m_content;
  std::string m_buffer;
  std::size_t m_index = 0;
  std::uint64_t m_position = k_header_size;
  std::uint64_t m_left;
  std::uint64_t m_end = 0;
  ExtentTotals m_totals;
};

std::uint64_t checksum_of(const Spool::Content& content, std::uint64_t length) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash(XXH3_createState(),
                                                                             &XXH3_freeState);
  XXH3_64bits_reset(hash.get());
  std::string buffer(k_buffer_size, '\0');
  for (std::uint64_t done = 0; done < length;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(length - done, buffer.size()));
    read_at(content, buffer.data(), size, done);
    XXH3_64bits_update(hash.get(), buffer.data(), size);
    done += size;
  }
  return XXH3_64bits_digest(hash.get());
}

}  // namespace

Spool::Spool(const std::filesystem::path& path) {
  const auto content = std::make_shared<Content>();
  content->path = path.string();
  content->fd = open_file(path, O_RDONLY);
  struct stat status {};
  if (::fstat(content->fd.get(), &status) != 0) {
    throw system_error("cannot look at", content->path, errno);
  }
  const auto file_size = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || file_size < k_header_size + k_footer_size) {
    throw_damaged(content->path, "is truncated, or no spool at all");
  }
  char header[k_header_size];
  read_at(*content, header, sizeof header, 0);
  const std::string_view magic(header, k_magic.size());
  if (magic.substr(0, 7) != k_magic.substr(0, 7)) {
    throw_damaged(content->path, "does not start as one");
  }
  if (const auto version = static_cast<unsigned char>(magic.back()); version > k_version) {
    throw Error(ErrorKind::failed,
                "the extent spool was written by a newer hamal: version " +
                    std::to_string(version) + ", this one reads " + std::to_string(k_version),
                content->path, "run the version of hamal that wrote it");
  }
  char footer[k_footer_size];
  read_at(*content, footer, sizeof footer, file_size - k_footer_size);
  content->disk_size = get_u64(header + k_magic.size());
  content->totals = {get_u64(footer), get_u64(footer + 8), get_u64(footer + 16)};
  content->body_length = get_u64(footer + 24);
  if (std::string_view(footer + k_checksum_offset + 8, 8) != k_footer_magic ||
      content->body_length != file_size - k_header_size - k_footer_size) {
    throw_damaged(content->path, "is truncated: it does not end as one");
  }
  if (magic != k_magic || content->disk_size > k_max_disk_size ||
      checksum_of(*content, file_size - k_footer_size + k_checksum_offset) !=
          get_u64(footer + k_checksum_offset)) {
    throw_damaged(content->path, "is damaged: its checksum does not match");
  }
  m_content = content;
}

Spool::~Spool() = default;
Spool::Spool(Spool&&) noexcept = default;
Spool& Spool::operator=(Spool&&) noexcept = default;

const ExtentTotals& Spool::totals() const noexcept {
  return m_content->totals;
}
std::uint64_t Spool::disk_size() const noexcept {
  return m_content->disk_size;
}
ExtentSourcePtr Spool::extents() const {
  return std::make_unique<SpoolSource>(m_content);
}

}  // namespace hamal
