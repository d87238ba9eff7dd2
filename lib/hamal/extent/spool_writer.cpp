// Writing a spool (extent/spool.hpp).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

#include "hamal/extent/spool.hpp"
#include "hamal/extent/spool_format.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {

using namespace spool_format;

namespace {

constexpr std::size_t k_buffer_size = 256U << 10;

struct HashDeleter {
  void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
};

}  // namespace

struct SpoolWriter::State {
  std::filesystem::path path;
  std::filesystem::path partial;
  std::uint64_t disk_size = 0;
  UniqueFd fd;
  std::unique_ptr<XXH3_state_t, HashDeleter> hash{XXH3_createState()};
  std::string buffer;
  std::uint64_t body_length = 0;
  Extent previous{};
  ExtentTotals totals;
  bool finished = false;

  void write_out() {
    XXH3_64bits_update(hash.get(), buffer.data(), buffer.size());
    write_all(fd.get(), buffer, partial.string());
    buffer.clear();
  }

  void put_varint(std::uint64_t value) {
    while (value >= 0x80) {
      buffer.push_back(static_cast<char>(static_cast<unsigned char>(value | 0x80)));
      value >>= 7;
      ++body_length;
    }
    buffer.push_back(static_cast<char>(static_cast<unsigned char>(value)));
    ++body_length;
  }

  void put(const Extent& extent) {
    if (auto problem = extent_problem(extent, previous.offset, previous.end(), disk_size)) {
      throw std::logic_error("spool: extent (" + describe(extent) + ") " + *problem);
    }
    const std::uint64_t gap = extent.offset - previous.end();
    put_varint(gap << 1 | (extent.kind == ExtentKind::zero ? 1U : 0U));
    put_varint(extent.length);
    totals.add(extent);
    previous = extent;
  }
};

SpoolWriter::SpoolWriter(std::filesystem::path path, std::uint64_t disk_size)
    : m_state(std::make_unique<State>()) {
  if (disk_size > k_max_disk_size) {
    throw std::logic_error("spool: the disk is larger than a disk can be");
  }
  m_state->path = std::move(path);
  m_state->partial = m_state->path;
  // One fixed name, so that what a killed run left is overwritten by the next.
  m_state->partial += ".partial";
  m_state->disk_size = disk_size;
  m_state->fd = open_file(m_state->partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (::fchmod(m_state->fd.get(), 0600) != 0) {
    throw system_error("cannot set the mode of", m_state->partial.string(), errno);
  }
  XXH3_64bits_reset(m_state->hash.get());
  m_state->buffer.reserve(k_buffer_size);
  m_state->buffer.resize(k_header_size);
  k_magic.copy(m_state->buffer.data(), k_magic.size());
  put_u64(m_state->buffer.data() + k_magic.size(), disk_size);
}

SpoolWriter::~SpoolWriter() {
  if (!m_state->finished) {
    ::unlink(m_state->partial.c_str());
  }
}

void SpoolWriter::append(std::span<const Extent> extents) {
  for (const Extent& extent : extents) {
    if (m_state->buffer.size() + k_max_record > k_buffer_size) {
      m_state->write_out();
    }
    m_state->put(extent);
  }
}

ExtentTotals SpoolWriter::finish() {
  State& state = *m_state;
  state.write_out();
  char footer[k_footer_size];
  put_u64(footer, state.totals.extents);
  put_u64(footer + 8, state.totals.data_bytes);
  put_u64(footer + 16, state.totals.zero_bytes);
  put_u64(footer + 24, state.body_length);
  XXH3_64bits_update(state.hash.get(), footer, k_checksum_offset);
  put_u64(footer + k_checksum_offset, XXH3_64bits_digest(state.hash.get()));
  k_footer_magic.copy(footer + k_checksum_offset + 8, k_footer_magic.size());
  write_all(state.fd.get(), {footer, sizeof footer}, state.partial.string());
  if (::fsync(state.fd.get()) != 0) {
    throw system_error("cannot flush", state.partial.string(), errno);
  }
  if (::rename(state.partial.c_str(), state.path.c_str()) != 0) {
    throw system_error("cannot rename into place", state.path.string(), errno);
  }
  state.finished = true;
  fsync_directory(state.path.parent_path());
  return state.totals;
}

ExtentTotals spool_extents(const std::filesystem::path& path, std::uint64_t disk_size,
                           ExtentSource& source) {
  SpoolWriter writer(path, disk_size);
  std::vector<Extent> window;
  while (source.next(window)) {
    writer.append(window);
  }
  return writer.finish();
}

}  // namespace hamal
