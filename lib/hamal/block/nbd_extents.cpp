// Turns block_status replies into extents. Replies are foreign input: each must begin where it was
// asked and make progress.
#include "hamal/block/nbd_extents.hpp"

#include <algorithm>
#include <utility>

#include "hamal/block/awaited_io.hpp"
#include "hamal/block/nbd_channel.hpp"

namespace hamal {
namespace {

/// Lengths in a reply have 32 bits; a multiple of every alignment that servers have.
constexpr std::uint64_t k_max_status = (1ULL << 32) - (1U << 20);
/// After so much of the disk a window is handed out even if it is short, so that the copy begins.
constexpr std::uint64_t k_window_span = 64ULL << 30;

constexpr std::uint32_t k_flag_zero = 2;   ///< base:allocation, NBD_STATE_ZERO
constexpr std::uint32_t k_flag_dirty = 1;  ///< qemu:dirty-bitmap

/// Walks the entries of one context.
class Cursor {
 public:
  explicit Cursor(const std::vector<NbdStatusReply::Entry>& entries) : m_entries(entries) {}
  std::uint64_t left() const { return m_entries[m_index].length - m_used; }
  std::uint32_t flags() const { return m_entries[m_index].flags; }
  void advance(std::uint64_t length) {
    m_used += length;
    if (m_used == m_entries[m_index].length) {
      ++m_index;
      m_used = 0;
    }
  }

 private:
  const std::vector<NbdStatusReply::Entry>& m_entries;
  std::size_t m_index = 0;
  std::uint64_t m_used = 0;
};

class NbdExtents final : public ExtentSource {
 public:
  /// `bitmap` empty: all that is allocated.
  NbdExtents(std::shared_ptr<NbdConnection> connection, const std::string& bitmap)
      : m_connection(std::move(connection)),
        m_channel(m_connection),
        m_dirty_only(!bitmap.empty()) {
    m_has_allocation = m_connection->offers(k_base_allocation);
    if (m_has_allocation) {
      m_reply.names.emplace_back(k_base_allocation);
    }
    if (m_dirty_only) {
      m_reply.names.push_back(bitmap);
    }
    m_reply.entries.resize(m_reply.names.size());
  }

  bool next(std::vector<Extent>& window) override {
    window.clear();
    const std::uint64_t start = m_position;
    while (m_position < m_connection->size() && window.size() < k_window_extents &&
           (window.empty() || m_position - start < k_window_span)) {
      step(window);
    }
    return !window.empty();
  }

 private:
  void step(std::vector<Extent>& window) {
    const std::uint64_t length = std::min(m_connection->size() - m_position, k_max_status);
    if (m_reply.names.empty()) {
      add(window, length, ExtentKind::data);
      return;
    }
    ask(length);
    std::uint64_t known = length;
    for (std::size_t i = 0; i < m_reply.names.size(); ++i) {
      known = std::min(known, check(m_reply.names[i], m_reply.entries[i], length));
    }
    std::vector<Cursor> cursors(m_reply.entries.begin(), m_reply.entries.end());
    while (known > 0) {
      std::uint64_t part = known;
      for (const Cursor& cursor : cursors) {
        part = std::min(part, cursor.left());
      }
      const bool zero = m_has_allocation && (cursors.front().flags() & k_flag_zero) != 0;
      if (m_dirty_only && (cursors.back().flags() & k_flag_dirty) == 0) {
        m_position += part;
      } else {
        add(window, part, zero ? ExtentKind::zero : ExtentKind::data);
      }
      for (Cursor& cursor : cursors) {
        cursor.advance(part);
      }
      known -= part;
    }
  }

  void ask(std::uint64_t length) {
    for (auto& entries : m_reply.entries) {
      entries.clear();
    }
    m_reply.fault.clear();
    AwaitedIo done;
    m_channel.block_status(m_position, length, m_reply, done);
    NbdChannelQueue queue(m_channel);
    done.wait(queue);
    if (!m_reply.fault.empty()) {
      lie(m_reply.fault);
    }
  }

  /// How much of the request the entries cover.
  std::uint64_t check(const std::string& context, const std::vector<NbdStatusReply::Entry>& entries,
                      std::uint64_t asked) const {
    if (entries.empty()) {
      lie("says nothing about \"" + context + "\"");
    }
    std::uint64_t covered = 0;
    for (const NbdStatusReply::Entry& entry : entries) {
      if (entry.length == 0) {
        lie("has an empty extent in \"" + context + "\"");
      }
      if (covered >= asked) {
        lie("says more about \"" + context + "\" than was asked");
      }
      covered += entry.length;
    }
    // The last extent may reach beyond what was asked, never beyond the disk.
    if (covered > m_connection->size() - m_position) {
      lie("has an extent in \"" + context + "\" that goes beyond the end of the disk");
    }
    return std::min(covered, asked);
  }

  [[noreturn]] void lie(const std::string& what) const {
    throw Error(
        ErrorKind::failed,
        "the NBD server's block status at offset " + std::to_string(m_position) + " " + what,
        m_connection->uri(), "the server breaks the protocol and cannot be trusted");
  }

  void add(std::vector<Extent>& window, std::uint64_t length, ExtentKind kind) {
    if (!window.empty() && window.back().end() == m_position && window.back().kind == kind) {
      window.back().length += length;
    } else {
      window.push_back({m_position, length, kind});
    }
    m_position += length;
  }

  std::shared_ptr<NbdConnection> m_connection;
  NbdChannel m_channel;
  bool m_dirty_only;
  bool m_has_allocation = false;
  NbdStatusReply m_reply;
  std::uint64_t m_position = 0;
};

}  // namespace

ExtentSourcePtr nbd_allocated_extents(std::shared_ptr<NbdConnection> connection) {
  return std::make_unique<NbdExtents>(std::move(connection), std::string());
}

ExtentSourcePtr nbd_dirty_extents(std::shared_ptr<NbdConnection> connection,
                                  const std::string& context) {
  if (!connection->offers(context)) {
    throw Error(ErrorKind::failed, "the NBD server does not offer \"" + context + "\"",
                connection->uri(),
                "export the bitmap (qemu-nbd --bitmap=NAME, block-export-add bitmaps), or run a "
                "full");
  }
  return std::make_unique<NbdExtents>(std::move(connection), context);
}

}  // namespace hamal
