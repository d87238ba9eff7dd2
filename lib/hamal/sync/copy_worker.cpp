#include "hamal/sync/copy_worker.hpp"

#include <algorithm>
#include <cerrno>

#include "hamal/util/error.hpp"
#include "hamal/util/zero_scan.hpp"

namespace hamal {
namespace {

using std::chrono::steady_clock;

// Zeros are looked for at the granularity of file systems and bitmaps.
constexpr std::size_t k_zero_granularity = 4096;
// On a target that holds something a zero run costs an operation: short ones are written as data.
constexpr std::size_t k_min_zero_run_in_place = 64U << 10;

// The disk writes while the copy goes on, so that the flush finds little left: measured, a durable
// copy takes 0.9 s instead of 1.6 s for 1.5 GB. Scattered small writes are left to the flush, which
// sorts them.
constexpr std::size_t k_min_writeback = 128U << 10;

// The bound is for `stop` and `wanted`, which have no descriptor.
constexpr int k_longest_wait_ms = 200;

constexpr std::uint64_t k_mib = 1U << 20;

/// Of the connection, or of what was configured (a key that is missing): reading elsewhere, or
/// less at a time, does not help.
bool is_of_the_whole_source(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    return known.transient() || known.kind() != ErrorKind::failed;
  } catch (...) {
    return false;
  }
}

}  // namespace

class CopyWorker::Slot final : public IoCompletion {
 public:
  Slot(CopyWorker& worker, std::span<std::byte> buffer) : m_worker(worker), m_buffer(buffer) {}

  void io_done(std::exception_ptr error) noexcept override {
    if (m_reading) {
      read_done(error);
    } else if (error) {
      m_done = false;
      m_worker.fail(std::move(error));
    }
    if (--m_outstanding == 0) {
      --m_worker.m_writing;
      m_worker.release(*this);
    }
  }

  void begin(bool reading) {
    m_reading = reading;
    m_done = true;
    m_outstanding = 1;  // held until all parts are submitted
    m_since = steady_clock::now();
    m_worker.m_shared.under_way.fetch_add(1, std::memory_order_relaxed);
    ++(reading ? m_worker.m_reading : m_worker.m_writing);
  }

  CopyWorker& m_worker;
  std::span<std::byte> m_buffer;
  CopyPiece m_piece;
  bool m_reading = false;
  bool m_done = true;          // nothing of it has failed
  unsigned m_outstanding = 0;  // parts not yet written
  SteadyTime m_since{};        // when it was submitted to the source, or to the target

 private:
  void read_done(const std::exception_ptr& error) noexcept {
    const SteadyTime now = steady_clock::now();
    m_worker.m_shared.times.source_answered(now - m_since);
    m_since = now;
    m_reading = false;
    --m_worker.m_reading;
    ++m_worker.m_writing;
    try {
      if (error) {
        m_done = false;
        m_worker.read_failed(*this, error);
      } else if (!m_worker.m_error) {
        m_worker.write_out(*this);
      } else {
        m_done = false;
      }
    } catch (...) {
      m_done = false;
      m_worker.fail(std::current_exception());
    }
  }
};

CopyWorker::CopyWorker(const CopyShared& shared, unsigned number, std::unique_ptr<ReadQueue> source,
                       std::unique_ptr<WriteQueue> target)
    : m_shared(shared),
      m_number(number),
      m_buffers(shared.slots, shared.piece_bytes),
      m_source(std::move(source)),
      m_target(std::move(target)),
      m_source_file(shared.request.source.file_descriptor()) {
  for (std::size_t i = shared.slots; i-- > 0;) {
    m_slots.push_back(std::make_unique<Slot>(*this, m_buffers.buffer(i)));
    m_free.push_back(m_slots.back().get());
  }
}

CopyWorker::~CopyWorker() = default;

void CopyWorker::run() {
  SteadyTime counted = steady_clock::now();
  for (Take take = Take::more;;) {
    m_shared.request.cancel.check();
    take = Take::more;
    while (!m_error && take == Take::more && !m_free.empty()) {
      take = take_piece();
    }
    if (m_error) {
      std::rethrow_exception(m_error);
    }
    if (m_shared.stop.load(std::memory_order_relaxed)) {
      return;  // somebody else has the error
    }
    if (take == Take::end && idle()) {
      m_shared.times.worked(steady_clock::now() - counted);
      return;
    }
    wait();
    const SteadyTime now = steady_clock::now();
    m_shared.times.worked(now - counted);
    counted = now;
  }
}

CopyWorker::Take CopyWorker::take_piece() {
  if (m_shared.stop.load(std::memory_order_relaxed) || m_shared.request.cancel.requested()) {
    return Take::pause;
  }
  if (m_number >= m_shared.wanted.load(std::memory_order_relaxed) && !m_shared.work.dealt()) {
    return Take::end;
  }
  const SteadyTime now = steady_clock::now();
  if (now < m_paused_until) {
    return Take::pause;
  }
  Slot& slot = *m_free.back();
  switch (m_shared.work.next(slot.m_piece, now, m_paused_until)) {
    case CopyQueue::Next::piece:
      break;
    case CopyQueue::Next::later:
      m_throttled = false;
      return Take::pause;
    case CopyQueue::Next::end:
      return Take::end;
  }
  m_free.pop_back();
  if (slot.m_piece.extent.kind == ExtentKind::data) {
    pace(slot.m_piece.extent.length);
    if (!copy_in_kernel(slot)) {
      start_read(slot);
    }
  } else {
    slot.begin(false);
    start_zero(slot, slot.m_piece.extent.offset, slot.m_piece.extent.length);
    slot.io_done(nullptr);
  }
  return Take::more;
}

// What was taken goes at once; the next piece waits for it.
void CopyWorker::pace(std::uint64_t bytes) {
  const CopyPace& pace = m_shared.request.pace;
  const SteadyTime now = steady_clock::now();
  std::chrono::nanoseconds pause{0};
  if (pace.limit != nullptr) {
    pause = pace.limit->take(bytes, now);
  }
  if (pace.release.count() > 0) {
    m_unreleased += bytes;
    pause += (m_unreleased / k_mib) * pace.release;
    m_unreleased %= k_mib;
  }
  if (pause.count() > 0) {
    m_paused_until = now + pause;
    m_throttled = true;
  }
}

// Between two files of one host: no byte passes this process, and zeros the source has allocated
// stay so. What fails here is tried by reading and writing, which tells whose fault it is.
bool CopyWorker::copy_in_kernel(Slot& slot) {
  if (m_source_file < 0) {
    return false;
  }
  const Extent& extent = slot.m_piece.extent;
  const SteadyTime since = steady_clock::now();
  slot.begin(false);
  bool copied = false;
  try {
    copied = m_target->copy_from(m_source_file, extent.offset, extent.length, slot);
  } catch (const Error&) {
  }
  if (!copied) {
    m_source_file = -1;
    --m_writing;
    m_shared.under_way.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  add_target(since);
  ++m_stats.read_requests;
  m_stats.read_bytes += extent.length;
  m_stats.written_bytes += extent.length;
  return true;
}

void CopyWorker::start_read(Slot& slot) {
  const Extent& extent = slot.m_piece.extent;
  slot.begin(true);
  ++m_stats.read_requests;
  m_stats.read_bytes += extent.length;
  const SteadyTime since = slot.m_since;
  const auto target_before = m_target_time;
  m_source->read(extent.offset, slot.m_buffer.first(extent.length), slot);
  add_source(since, target_before);
}

void CopyWorker::write_out(Slot& slot) {
  const Extent& extent = slot.m_piece.extent;
  const auto bytes = std::span<const std::byte>(slot.m_buffer).first(extent.length);
  const std::size_t min_zero =
      m_shared.request.blank == Blank::yes ? k_zero_granularity : k_min_zero_run_in_place;
  for_each_run(bytes, k_zero_granularity, min_zero,
               [&](std::size_t begin, std::size_t length, bool zero) {
                 const std::uint64_t offset = extent.offset + begin;
                 if (zero) {
                   start_zero(slot, offset, length);
                   return;
                 }
                 ++slot.m_outstanding;
                 m_stats.written_bytes += length;
                 const SteadyTime since = steady_clock::now();
                 m_target->write(offset, bytes.subspan(begin, length), slot);
                 add_target(since);
               });
}

void CopyWorker::start_zero(Slot& slot, std::uint64_t offset, std::uint64_t length) {
  if (m_shared.request.blank == Blank::yes) {
    m_stats.skipped_bytes += length;
    return;
  }
  ++slot.m_outstanding;
  m_stats.zeroed_bytes += length;
  const SteadyTime since = steady_clock::now();
  m_target->zero(offset, length, slot);
  add_target(since);
}

// The source's failure ends the copy (one of the connection is retried as a whole); a range's is
// its own.
void CopyWorker::read_failed(Slot& slot, const std::exception_ptr& error) {
  m_stats.read_bytes -= slot.m_piece.extent.length;
  if (is_of_the_whole_source(error)) {
    std::rethrow_exception(error);
  }
  m_shared.work.read_failed(slot.m_piece, error, steady_clock::now());
}

void CopyWorker::release(Slot& slot) {
  m_free.push_back(&slot);
  m_shared.answered.fetch_add(1, std::memory_order_relaxed);
  m_shared.under_way.fetch_sub(1, std::memory_order_relaxed);
  if (!slot.m_done) {
    return;
  }
  const Extent& extent = slot.m_piece.extent;
  if (extent.kind == ExtentKind::data) {
    m_shared.times.target_answered(steady_clock::now() - slot.m_since);
    m_shared.moved.fetch_add(extent.length, std::memory_order_relaxed);
    if (extent.length >= k_min_writeback) {
      m_shared.request.target.start_writeback(extent.offset, extent.length);
    }
  }
  m_shared.work.finished(slot.m_piece);
  m_shared.request.progress.advance(m_shared.request.object, extent.length);
}

int CopyWorker::wait_milliseconds() const {
  if (m_free.empty()) {
    return k_longest_wait_ms;
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(m_paused_until - steady_clock::now());
  return left.count() <= 0
             ? k_longest_wait_ms
             : static_cast<int>(std::min<std::int64_t>(left.count(), k_longest_wait_ms));
}

void CopyWorker::wait() {
  m_poll.clear();
  m_source->add_poll_fds(m_poll);
  m_target->add_poll_fds(m_poll);
  m_poll.push_back({m_shared.request.cancel.poll_fd(), POLLIN, 0});
  const SteadyTime begin = steady_clock::now();
  if (::poll(m_poll.data(), m_poll.size(), wait_milliseconds()) < 0 && errno != EINTR) {
    throw system_error("cannot wait for the disk", m_shared.request.source.uri(), errno);
  }
  account_wait(begin);
  const SteadyTime reading = steady_clock::now();
  const auto target_before = m_target_time;
  m_source->progress();
  add_source(reading, target_before);
  const SteadyTime writing = steady_clock::now();
  m_target->progress();
  add_target(writing);
}

// With reads outstanding it is the source that is awaited; with more of the slots being written,
// the target; with none of either, what keeps the next piece back.
void CopyWorker::account_wait(SteadyTime since) {
  if (idle() && m_throttled) {
    m_shared.times.throttle(steady_clock::now() - since);
  } else if (m_writing > m_reading) {
    add_target(since);
  } else {
    add_source(since, m_target_time);
  }
}

void CopyWorker::fail(std::exception_ptr error) noexcept {
  if (!m_error) {
    m_error = std::move(error);
  }
}

void CopyWorker::add_source(SteadyTime since, std::chrono::nanoseconds target_before) noexcept {
  m_shared.times.source(steady_clock::now() - since - (m_target_time - target_before));
}

void CopyWorker::add_target(SteadyTime since) noexcept {
  const auto time = steady_clock::now() - since;
  m_target_time += time;
  m_shared.times.target(time);
}

}  // namespace hamal
