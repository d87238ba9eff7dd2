#include "hamal/sync/read_ahead.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "hamal/util/error.hpp"

namespace hamal {

struct ReadAhead::Slot final : IoCompletion {
  void io_done(std::exception_ptr failure) noexcept override {
    error = std::move(failure);
    pending = false;
  }
  Extent extent;
  std::vector<std::byte> buffer;
  bool pending = false;
  std::exception_ptr error;
};

ReadAhead::ReadAhead(BlockReader& reader, ExtentSourcePtr extents, const CancelToken& cancel,
                     std::uint32_t request, unsigned depth)
    : m_reader(reader),
      m_extents(std::move(extents)),
      m_cancel(cancel),
      m_request(std::min(request, reader.max_request())) {
  for (unsigned i = 0; i < std::max(depth, 1U); ++i) {
    m_slots.push_back(std::make_unique<Slot>());
    m_free.push_back(m_slots.back().get());
  }
  m_queue = m_reader.open_queue();
}

ReadAhead::~ReadAhead() = default;

bool ReadAhead::take(Extent& piece) {
  while (m_place == m_window.size()) {
    m_place = 0;
    if (!m_extents || !m_extents->next(m_window)) {
      m_extents.reset();
      m_window.clear();
      return false;
    }
  }
  const Extent& extent = m_window[m_place];
  const std::uint64_t left = extent.length - m_taken;
  const bool cut = extent.kind == ExtentKind::data && left > m_request;
  piece = {extent.offset + m_taken, cut ? m_request : left, extent.kind};
  m_taken = cut ? m_taken + m_request : 0;
  m_place += cut ? 0 : 1;
  return true;
}

void ReadAhead::fill() {
  Extent piece;
  while (!m_free.empty() && take(piece)) {
    Slot& slot = *m_free.back();
    m_free.pop_back();
    m_busy.push_back(&slot);
    slot.extent = piece;
    slot.error = nullptr;
    if (piece.kind == ExtentKind::data) {
      slot.buffer.resize(m_request);
      slot.pending = true;
      m_queue->read(piece.offset, std::span(slot.buffer).first(piece.length), slot);
    }
  }
}

void ReadAhead::wait(const Slot& slot) {
  std::vector<pollfd> fds;
  while (slot.pending) {
    fds.assign(1, pollfd{m_cancel.poll_fd(), POLLIN, 0});
    m_queue->add_poll_fds(fds);
    // A queue without descriptors completes inside progress(): there is nothing to sleep on.
    const int timeout = fds.size() == 1 ? 0 : -1;
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) {
      throw system_error("cannot wait for data", m_reader.uri(), errno);
    }
    m_cancel.check();
    m_queue->progress();
  }
}

bool ReadAhead::next(Piece& piece) {
  m_cancel.check();
  if (m_lent != nullptr) {
    m_free.push_back(m_lent);
    m_lent = nullptr;
  }
  fill();
  if (m_busy.empty()) {
    return false;
  }
  Slot& slot = *m_busy.front();
  wait(slot);
  m_busy.pop_front();
  m_lent = &slot;
  if (slot.error) {
    std::rethrow_exception(slot.error);
  }
  piece = {slot.extent.offset, slot.extent.length, slot.extent.kind, {}};
  if (piece.kind == ExtentKind::data) {
    piece.bytes = std::span(slot.buffer).first(piece.length);
  }
  return true;
}

}  // namespace hamal
