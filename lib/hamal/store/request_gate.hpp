// How many requests run at once: less when the service asks for less, and slowly more again.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "hamal/util/cancel.hpp"

namespace hamal {

/// Additive increase, multiplicative decrease. Requests that were under way when the bound was
/// halved say nothing of the new bound: they neither halve it again nor raise it.
class RequestGate {
 public:
  RequestGate(unsigned most, const CancelToken& cancel);

  enum class Outcome { fine, slow_down, other };

  /// Held while a request runs.
  class Permit {
   public:
    /// Waits; throws as CancelToken::check() does.
    explicit Permit(RequestGate& gate);
    ~Permit();
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    void set(Outcome outcome) noexcept { m_outcome = outcome; }

   private:
    RequestGate& m_gate;
    std::uint64_t m_epoch;
    Outcome m_outcome = Outcome::other;
  };

  /// The present bound.
  unsigned bound() const;

 private:
  std::uint64_t enter();
  void leave(std::uint64_t epoch, Outcome outcome) noexcept;

  const CancelToken& m_cancel;
  const double m_most;
  mutable std::mutex m_mutex;
  std::condition_variable m_free;
  double m_bound;
  unsigned m_running = 0;
  std::uint64_t m_epoch = 0;  ///< counts the halvings
};

}  // namespace hamal
