// Stopping cleanly: a token that signal handlers set and every loop asks.
#pragma once
#include <atomic>

namespace hamal {

/// Set once, by a signal handler or another thread; never reset. All members are thread-safe, and
/// `request()` is async-signal-safe.
class CancelToken {
 public:
  CancelToken();
  ~CancelToken();
  CancelToken(const CancelToken&) = delete;
  CancelToken& operator=(const CancelToken&) = delete;

  void request(int signal_number) noexcept;
  bool requested() const noexcept { return m_signal.load(std::memory_order_relaxed) != 0; }
  /// Throws Error of kind interrupted or terminated once requested.
  void check() const;
  /// Becomes (and stays) readable once requested: for poll().
  int poll_fd() const noexcept { return m_event_fd; }
  /// Sleeps, or throws as check() does as soon as requested.
  void sleep_ms(int milliseconds) const;

 private:
  std::atomic<int> m_signal{0};
  int m_event_fd;
};

/// The process's token: SIGINT and SIGTERM request it once install_signal_handlers() was called.
/// SIGPIPE is ignored then, so that a broken pipe is an error with a message, not a silent death.
CancelToken& process_cancel_token();
void install_signal_handlers();

}  // namespace hamal
