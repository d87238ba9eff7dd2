#include "hamal/repository/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_magic = "HAMALJN1";
enum FrameKind : std::uint32_t { k_heading = 1, k_entries = 2, k_progress = 3 };

struct FrameHeader {
  std::uint32_t kind = 0;
  std::uint32_t bytes = 0;
  std::uint64_t checksum = 0;
};
static_assert(sizeof(FrameHeader) == 16);

struct PackedEntry {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t pack_offset = 0;
  SessionId session{};
  RecordId id{};
  std::uint32_t pack = 0;
  std::uint32_t stored = 0;
  std::uint32_t plain = 0;
  std::uint32_t skip = 0;
  ExtentKind kind = ExtentKind::data;
  Origin origin = Origin::stored;
  std::array<std::uint8_t, 6> unused{};
};
static_assert(sizeof(PackedEntry) == 96);

constexpr std::size_t k_frame_entries = 1024;
constexpr std::uint32_t k_max_frame = 64U << 20;

PackedEntry packed(const StagedEntry& staged) {
  const LayerEntry& e = staged.entry;
  return {e.extent.offset,
          e.extent.length,
          e.place.offset,
          e.place.pack.session,
          e.id,
          e.place.pack.number,
          e.place.length,
          e.plain,
          e.skip,
          e.extent.kind,
          staged.origin,
          {}};
}

StagedEntry unpacked(const PackedEntry& p) {
  return {{{p.offset, p.length, p.kind},
           {{p.session, p.pack}, p.pack_offset, p.stored},
           p.id,
           p.plain,
           p.skip},
          p.origin};
}

std::string pack_progress(const StageProgress& progress) {
  std::string text(8 + progress.finished.size() * 16, '\0');
  char* at = text.data();
  const auto put = [&at](std::uint64_t value) {
    std::memcpy(at, &value, 8);
    at += 8;
  };
  put(progress.zero_bytes);
  for (const Extent& range : progress.finished) {
    put(range.offset);
    put(range.length);
  }
  return text;
}

StageProgress unpack_progress(const std::string& text) {
  StageProgress progress;
  const char* at = text.data();
  const auto get = [&at] {
    std::uint64_t value = 0;
    std::memcpy(&value, at, 8);
    at += 8;
    return value;
  };
  progress.zero_bytes = get();
  for (std::size_t left = (text.size() - 8) / 16; left > 0; --left) {
    const std::uint64_t offset = get();
    progress.finished.push_back({offset, get(), ExtentKind::data});
  }
  return progress;
}

// False at the end of the file.
bool read_some(int fd, void* into, std::size_t bytes, std::uint64_t offset,
               const std::filesystem::path& path) {
  auto* at = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno != EINTR) {
      throw system_error("cannot read the journal", path, errno);
    }
    if (got == 0) {
      return false;
    }
    if (got > 0) {
      at += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
  }
  return true;
}

bool valid_size(const FrameHeader& header) {
  switch (header.kind) {
    case k_heading:
      return true;
    case k_entries:
      return header.bytes % sizeof(PackedEntry) == 0;
    case k_progress:
      return header.bytes >= 8 && (header.bytes - 8) % 16 == 0;
    default:
      return false;
  }
}

// Every whole frame from the beginning; returns where the first that is none begins.
std::uint64_t scan(
    int fd, const std::filesystem::path& path,
    const std::function<void(std::uint32_t kind, const std::string& payload)>& each) {
  std::uint64_t at = k_magic.size();
  std::string payload;
  for (;;) {
    FrameHeader header;
    if (!read_some(fd, &header, sizeof(header), at, path) || header.bytes > k_max_frame ||
        !valid_size(header)) {
      return at;
    }
    payload.resize(header.bytes);
    if (!read_some(fd, payload.data(), payload.size(), at + sizeof(header), path) ||
        XXH3_64bits(payload.data(), payload.size()) != header.checksum) {
      return at;
    }
    each(header.kind, payload);
    at += sizeof(header) + payload.size();
  }
}

void visit_entries(int fd, const std::filesystem::path& path,
                   const std::function<void(const StagedEntry&)>& visit) {
  scan(fd, path, [&](std::uint32_t kind, const std::string& payload) {
    if (kind != k_entries) {
      return;
    }
    for (std::size_t at = 0; at < payload.size(); at += sizeof(PackedEntry)) {
      PackedEntry one;
      std::memcpy(&one, payload.data() + at, sizeof(one));
      visit(unpacked(one));
    }
  });
}

bool has_magic(int fd, const std::filesystem::path& path) {
  std::array<char, k_magic.size()> magic{};
  return read_some(fd, magic.data(), magic.size(), 0, path) &&
         std::string_view(magic.data(), magic.size()) == k_magic;
}

}  // namespace

Journal::Journal(std::filesystem::path path, const std::string& heading)
    : m_path(std::move(path)), m_file(open_file(m_path, O_RDWR | O_CREAT | O_APPEND)) {
  if (!load(heading)) {
    begin(heading);
  }
}

Journal::~Journal() {
  try {
    flush();
  } catch (const Error&) {
    m_pending.clear();  // costs the next process an upload
  }
}

bool Journal::load(const std::string& heading) {
  if (!has_magic(m_file.get(), m_path)) {
    return false;
  }
  bool ours = false;
  const std::uint64_t end =
      scan(m_file.get(), m_path, [&](std::uint32_t kind, const std::string& payload) {
        if (kind == k_heading) {
          ours = payload == heading;
        } else if (kind == k_progress) {
          m_progress = unpack_progress(payload);
        }
      });
  if (!ours) {
    m_progress = {};
    return false;
  }
  if (::ftruncate(m_file.get(), static_cast<off_t>(end)) != 0) {
    throw system_error("cannot cut the journal", m_path, errno);
  }
  return true;
}

void Journal::begin(const std::string& heading) {
  if (::ftruncate(m_file.get(), 0) != 0) {
    throw system_error("cannot cut the journal", m_path, errno);
  }
  write_all(m_file.get(), k_magic, m_path);
  write_frame(k_heading, heading);
}

void Journal::write_frame(std::uint32_t kind, const std::string& payload) {
  const FrameHeader header{kind, static_cast<std::uint32_t>(payload.size()),
                           XXH3_64bits(payload.data(), payload.size())};
  std::string frame(sizeof(header) + payload.size(), '\0');
  std::memcpy(frame.data(), &header, sizeof(header));
  std::memcpy(frame.data() + sizeof(header), payload.data(), payload.size());
  write_all(m_file.get(), frame, m_path);
}

void Journal::add(const StagedEntry& entry) {
  const PackedEntry one = packed(entry);
  const std::lock_guard lock(m_mutex);
  if (entry.origin == Origin::stored && entry.entry.extent.kind == ExtentKind::data) {
    if (one.pack != m_pack) {
      flush_locked();  // the pack before is closed: what it holds is soon in the store
    }
    m_pack = one.pack;
  }
  m_pending.append(reinterpret_cast<const char*>(&one), sizeof(one));
  if (m_pending.size() >= k_frame_entries * sizeof(one)) {
    flush_locked();
  }
}

void Journal::flush_locked() {
  if (!m_pending.empty()) {
    write_frame(k_entries, m_pending);
    m_pending.clear();
  }
}

void Journal::flush() {
  const std::lock_guard lock(m_mutex);
  flush_locked();
}

void Journal::note(const StageProgress& progress) {
  const std::lock_guard lock(m_mutex);
  flush_locked();
  write_frame(k_progress, pack_progress(progress));
  m_progress = progress;
}

void Journal::each(const std::function<void(const StagedEntry&)>& visit) {
  flush();
  visit_entries(m_file.get(), m_path, visit);
}

void read_journal(const std::filesystem::path& path,
                  const std::function<void(const StagedEntry&)>& visit) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return;
  }
  const UniqueFd file = open_file(path, O_RDONLY);
  if (has_magic(file.get(), path)) {
    visit_entries(file.get(), path, visit);
  }
}

}  // namespace hamal::repository
