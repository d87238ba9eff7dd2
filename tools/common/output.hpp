// Standard output as data: whole writes that notice a closed pipe and an interrupt.
#pragma once
#include <string>
#include <string_view>

#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// Nobody can be told on stdout any more: permanent, exit 1.
class OutputFailed : public Error {
 public:
  explicit OutputFailed(int errno_value);
};

/// Writes all of it. Throws OutputFailed, or what cancel.check() throws when interrupted while the
/// reader of the pipe keeps us waiting.
void write_stdout(std::string_view bytes, const CancelToken& cancel);

bool stdout_is_terminal() noexcept;

/// Standard output of a stream: collects small writes. Not thread-safe.
class StdoutSink {
 public:
  explicit StdoutSink(const CancelToken& cancel) : m_cancel(&cancel) {}
  void write(std::string_view bytes);
  void flush();
  /// From here on only a reader that is ready within a second is waited for, and interrupts do not
  /// count: for the record that says why the stream ends here.
  void begin_last_words() noexcept { m_last_words = true; }
  /// A write was cut short: whatever followed would be garbage to the reader.
  bool torn() const noexcept { return m_torn; }

 private:
  void send(std::string_view bytes);

  const CancelToken* m_cancel;
  std::string m_buffer;
  bool m_last_words = false;
  bool m_torn = false;
};

}  // namespace hamal
