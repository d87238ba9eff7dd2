// Waiting for a store that has gone away (design.md §5, rule 3).
#pragma once
#include <chrono>

#include "hamal/report/log.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {

struct Patience {
  Logger& log;
  const CancelToken& cancel;
  std::chrono::milliseconds outage_max{0};
};

/// The store did not come back within outage_max: transient, and not worth another wait.
class StoreUnreachable final : public Error {
 public:
  explicit StoreUnreachable(const Error& last);
};

/// One outage of one call.
class Outage {
 public:
  explicit Outage(const Patience& patience) : m_patience(patience) {}
  /// Sleeps before the next try. Throws StoreUnreachable when that has taken too long, and as
  /// CancelToken::check() does.
  void wait(const Error& error);

 private:
  const Patience& m_patience;
  bool m_began = false;
  std::chrono::steady_clock::time_point m_since{};
  std::chrono::milliseconds m_pause{0};
};

/// call(), again and again while what it throws is transient.
template <typename Call>
auto patiently(const Patience& patience, Call call) -> decltype(call()) {
  Outage outage(patience);
  for (;;) {
    try {
      return call();
    } catch (const StoreUnreachable&) {
      throw;
    } catch (const Error& error) {
      if (!error.transient()) {
        throw;
      }
      outage.wait(error);
    }
  }
}

}  // namespace hamal::repository
