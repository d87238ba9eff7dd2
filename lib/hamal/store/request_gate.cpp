#include "hamal/store/request_gate.hpp"

#include <algorithm>
#include <chrono>

namespace hamal {
namespace {
/// Between two looks at the cancel token.
constexpr std::chrono::milliseconds k_look{50};
}  // namespace

RequestGate::RequestGate(unsigned most, const CancelToken& cancel)
    : m_cancel(cancel), m_most(std::max(1U, most)), m_bound(m_most) {}

std::uint64_t RequestGate::enter() {
  std::unique_lock lock(m_mutex);
  while (m_running >= static_cast<unsigned>(m_bound)) {
    m_free.wait_for(lock, k_look);
    m_cancel.check();
  }
  ++m_running;
  return m_epoch;
}

void RequestGate::leave(std::uint64_t epoch, Outcome outcome) noexcept {
  const std::lock_guard lock(m_mutex);
  --m_running;
  if (epoch == m_epoch && outcome == Outcome::slow_down) {
    m_bound = std::max(1.0, m_bound / 2);
    ++m_epoch;
  } else if (epoch == m_epoch && outcome == Outcome::fine) {
    m_bound = std::min(m_most, m_bound + 1 / m_bound);
  }
  m_free.notify_all();
}

unsigned RequestGate::bound() const {
  const std::lock_guard lock(m_mutex);
  return static_cast<unsigned>(m_bound);
}

RequestGate::Permit::Permit(RequestGate& gate) : m_gate(gate), m_epoch(gate.enter()) {}

RequestGate::Permit::~Permit() {
  m_gate.leave(m_epoch, m_outcome);
}

}  // namespace hamal
