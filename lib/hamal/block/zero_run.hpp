// A long range zeroed piece by piece, one after the other: what a queue of writes keeps until it is
// done.
#pragma once
#include <cstdint>
#include <utility>

#include "hamal/block/io_queue.hpp"

namespace hamal {

/// Of one thread, that of its queue. It stays where it is until finished().
class ZeroRun : public IoCompletion {
 public:
  /// Of at least one byte; `done` outlives it, and is told once.
  ZeroRun(std::uint64_t offset, std::uint64_t length, IoCompletion& done)
      : m_position(offset), m_end(offset + length), m_done(done) {}

  void start() { step(); }
  bool finished() const noexcept { return m_finished; }

  void io_done(std::exception_ptr error) noexcept override {
    if (error || m_position == m_end) {
      m_finished = true;
      m_done.io_done(std::move(error));
      return;
    }
    step();
  }

 protected:
  ~ZeroRun() = default;

 private:
  /// Where the piece that begins at `at` ends; not beyond `end`.
  virtual std::uint64_t end_of_piece(std::uint64_t at, std::uint64_t end) const = 0;
  /// Tells `this` when it is done, at once or later.
  virtual void zero_piece(std::uint64_t at, std::uint64_t length) = 0;

  void step() {
    const std::uint64_t at = m_position;
    m_position = end_of_piece(at, m_end);
    zero_piece(at, m_position - at);
  }

  std::uint64_t m_position;
  std::uint64_t m_end;
  IoCompletion& m_done;
  bool m_finished = false;
};

}  // namespace hamal
