// One connection to an NBD export, possibly shared by several threads.
//
// libnbd locks each call, but who reads the socket completes whatever has arrived, also for others.
// So: a thread sends requests through a channel of its own (nbd_channel.hpp), sleeps in poll()
// without a lock, and steps the connection by pump() under m_mutex. pump() asks poll() again first:
// libnbd must not be told of input that another thread has taken in the meantime, it would wait for
// a reply before it sent anything more. What a thread completes for another's channel is queued
// there and its eventfd wakes the owner. On a connection that belongs to one queue (Sharing::
// exclusive) there is no eventfd and no one to wake.
#pragma once
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

struct nbd_handle;

namespace hamal {

class NbdChannel;

inline constexpr const char* k_base_allocation = "base:allocation";

class NbdConnection : public std::enable_shared_from_this<NbdConnection> {
 public:
  enum class Sharing { shared, exclusive };

  /// Connects and negotiates; gives up after 30 seconds: servers that allow few connections leave
  /// further ones waiting. Once `cancel` (which outlives it) is requested, this and all that waits
  /// for the server throws as its check() does; looking up a host's name alone is not interrupted.
  NbdConnection(const std::string& uri, const std::vector<std::string>& contexts, Sharing sharing,
                const CancelToken* cancel = nullptr);
  ~NbdConnection();
  NbdConnection(const NbdConnection&) = delete;
  NbdConnection& operator=(const NbdConnection&) = delete;

  const std::string& uri() const noexcept { return m_uri; }
  std::uint64_t size() const noexcept { return m_size; }
  std::uint32_t min_request() const noexcept { return m_min_request; }
  std::uint32_t preferred_request() const noexcept { return m_preferred_request; }
  std::uint32_t max_request() const noexcept { return m_max_request; }
  bool multi_conn() const noexcept { return m_multi_conn; }
  bool read_only() const noexcept { return m_read_only; }
  bool can_flush() const noexcept { return m_can_flush; }
  bool can_zero() const noexcept { return m_can_zero; }
  unsigned max_queues() const noexcept { return m_multi_conn ? 16 : 1; }
  bool offers(const std::string& context) const;

  /// The connection for one more queue: a new one, or this one when the server does not promise
  /// that several are consistent. Throws when the export behind the new one has another size.
  std::shared_ptr<NbdConnection> for_queue();

  nbd_handle* handle() const noexcept { return m_handle.get(); }
  bool shared() const noexcept { return m_sharing == Sharing::shared; }
  /// Null: nobody cancels.
  const CancelToken* cancel() const noexcept { return m_cancel; }
  bool cancelled() const noexcept { return m_cancel != nullptr && m_cancel->requested(); }
  /// -1 once it is broken.
  int poll_fd() const noexcept;
  short poll_events() const noexcept;

  void attach(NbdChannel& channel);
  void detach(NbdChannel& channel);
  /// Wakes the other channels when the socket is full: they may have gone to sleep before there was
  /// anything to send.
  void wake_writers(const NbdChannel& by);

  /// One step for what is ready now; false when nothing was.
  bool pump(NbdChannel& by);
  /// Runs a synchronous libnbd call; completions of asynchronous ones that it meets go to their
  /// channels.
  int synchronously(const std::function<int(nbd_handle*)>& call);
  /// Notes when the connection has ended.
  void check_alive();
  /// Null while the connection works.
  std::exception_ptr broken() const;
  /// Ends the connection under requests that are still outstanding.
  void cut();

 private:
  struct Close {
    void operator()(nbd_handle* handle) const noexcept;
  };
  void connect(const std::vector<std::string>& contexts);
  int await_connect(std::chrono::milliseconds left);
  void read_capabilities();

  std::string m_uri;
  Sharing m_sharing;
  const CancelToken* m_cancel;
  std::unique_ptr<nbd_handle, Close> m_handle;
  std::vector<std::string> m_contexts;  ///< those the server agreed to
  std::uint64_t m_size = 0;
  std::uint32_t m_min_request = 1;
  std::uint32_t m_preferred_request = 0;
  std::uint32_t m_max_request = 0;
  bool m_multi_conn = false;
  bool m_read_only = false;
  bool m_can_flush = false;
  bool m_can_zero = false;

  std::mutex m_mutex;  ///< of stepping the state machine
  mutable std::mutex m_state_mutex;
  std::vector<NbdChannel*> m_channels;
  std::exception_ptr m_broken;
};

/// libnbd's words for the last error of this thread, without its function's name.
std::string nbd_error_text();

}  // namespace hamal
