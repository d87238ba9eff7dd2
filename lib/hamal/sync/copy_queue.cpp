#include "hamal/sync/copy_queue.hpp"

#include <algorithm>
#include <array>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// By how often the read failed: how long to wait, and how large the parts are then.
struct Attempt {
  unsigned pauses;
  std::uint64_t part;
};
constexpr std::array<Attempt, 3> k_attempts{{{1, 1ULL << 62}, {5, 64U << 10}, {20, 4096}}};
// A disk with more bad places than that has failed altogether.
constexpr std::size_t k_max_unreadable = 4096;

}  // namespace

CopyQueue::CopyQueue(ExtentSource& plan, std::uint32_t data_piece, std::uint64_t zero_piece,
                     FinishedRanges& finished, std::chrono::milliseconds retry_pause)
    : m_plan(plan, data_piece, zero_piece), m_finished(finished), m_retry_pause(retry_pause) {}

CopyQueue::Next CopyQueue::next(CopyPiece& piece, TimePoint now, TimePoint& when) {
  const std::lock_guard lock(m_mutex);
  if (!m_dealt) {
    if (m_plan.next(piece.extent)) {
      piece.covers_from = m_dealt_end;
      piece.failures = 0;
      m_dealt_end = piece.extent.end();
      return Next::piece;
    }
    m_dealt = true;
  }
  if (m_retries.empty()) {
    return Next::end;
  }
  const auto first = m_retries.begin();
  if (first->first > now) {
    when = first->first;
    return Next::later;
  }
  piece = first->second;
  m_retries.erase(first);
  ++m_retried;
  return Next::piece;
}

void CopyQueue::finished(const CopyPiece& piece) {
  m_finished.add(piece.covers_from, piece.extent.end());
}

void CopyQueue::read_failed(const CopyPiece& piece, const std::exception_ptr& error,
                            TimePoint now) {
  const std::lock_guard lock(m_mutex);
  if (piece.failures == k_attempts.size()) {
    m_unreadable.add(piece.extent.offset, piece.extent.end());
    if (!m_unreadable_reason) {
      m_unreadable_reason = error;
    }
    ++m_given_up;
    require_some_readable(m_unreadable_reason);
    return;
  }
  if (piece.failures == 0) {
    ++m_failed_pieces;
    require_some_readable(error);
  }
  const Attempt& attempt = k_attempts[piece.failures];
  std::uint64_t covers_from = piece.covers_from;
  for (std::uint64_t at = piece.extent.offset; at < piece.extent.end();) {
    const std::uint64_t boundary = at - at % attempt.part + attempt.part;
    const std::uint64_t end = std::min(boundary, piece.extent.end());
    m_retries.emplace(
        now + attempt.pauses * m_retry_pause,
        CopyPiece{{at, end - at, piece.extent.kind}, covers_from, piece.failures + 1});
    covers_from = end;
    at = end;
  }
}

void CopyQueue::require_some_readable(const std::exception_ptr& error) const {
  if (std::max(m_failed_pieces, m_given_up) > k_max_unreadable) {
    throw Error(ErrorKind::failed,
                "more than " + std::to_string(k_max_unreadable) +
                    " places of the source cannot be read: " + describe(error),
                {}, "see to the source's storage first");
  }
}

bool CopyQueue::dealt() const {
  const std::lock_guard lock(m_mutex);
  return m_dealt;
}

bool CopyQueue::has_retries() const {
  const std::lock_guard lock(m_mutex);
  return !m_retries.empty();
}

std::uint64_t CopyQueue::retried() const {
  const std::lock_guard lock(m_mutex);
  return m_retried;
}

std::vector<Extent> CopyQueue::unreadable() const {
  return m_unreadable.ranges();
}

std::exception_ptr CopyQueue::unreadable_reason() const {
  const std::lock_guard lock(m_mutex);
  return m_unreadable_reason;
}

}  // namespace hamal
