// One conversation with a QMP monitor on a unix socket.
//
// A monitor speaks to one client at a time, so a conversation is short: connected for one operation
// of the platform, closed after it. Others of our processes wait in the greeting for their turn.
#pragma once
#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "hamal/platform/qemu/qmp_message.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::qemu {

struct QmpSettings {
  std::string socket;
  std::chrono::milliseconds greeting_timeout{15'000};
  std::chrono::milliseconds reply_timeout{60'000};
};

/// QEMU refused a command.
class QmpError : public Error {
 public:
  QmpError(const std::string& monitor, const std::string& command, const QmpFailure& failure);
  const std::string& error_class() const noexcept { return m_error_class; }
  const std::string& description() const noexcept { return m_description; }

 private:
  std::string m_error_class;
  std::string m_description;
};

/// Not thread-safe. Every call throws Error: transient when the monitor is away or silent; as the
/// cancel token says when it is requested (none is given to what cleans up).
class QmpClient {
 public:
  explicit QmpClient(QmpSettings settings, const CancelToken* cancel = nullptr);

  /// The "return" of one command. Throws QmpError when QEMU refuses it.
  Json execute(const std::string& command, Json arguments = Json::object());
  /// As execute(), nullopt when it has no such command.
  std::optional<Json> execute_if_known(const std::string& command);
  /// Waits for an event of that name; false after the timeout. An event that came before counts.
  bool wait_event(const std::string& name, std::chrono::milliseconds timeout);

  QmpGreeting version() const noexcept { return m_version; }
  const std::string& monitor() const noexcept { return m_settings.socket; }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  void connect();
  void greet();
  void send(const std::string& text);
  /// False at the deadline.
  bool wait_readable(Deadline deadline) const;
  /// nullopt at the deadline.
  std::optional<QmpMessage> receive(Deadline deadline);
  void keep_event(const QmpEvent& event);

  QmpSettings m_settings;
  const CancelToken* m_cancel;
  UniqueFd m_socket;
  QmpGreeting m_version;
  std::string m_buffer;
  std::size_t m_searched = 0;
  std::uint64_t m_last_id = 0;
  std::deque<std::string> m_events;
};

}  // namespace hamal::qemu
