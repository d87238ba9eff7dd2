// The caller's thread makes the curl handle, waits, and frees it; between those the loop's thread
// alone touches it. The loop sleeps in curl_multi_poll on all sockets, on the cancel token and on a
// wake-up for what comes in.
#include "hamal/net/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "hamal/net/curl_transfer.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

void initialise_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) {
    throw Error(ErrorKind::failed, "libcurl cannot be used", curl_easy_strerror(code));
  }
}

}  // namespace

std::string_view HttpReply::header(std::string_view name) const noexcept {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [name](const HttpHeader& header) { return header.name == name; });
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

class HttpClient::Loop {
 public:
  Loop(HttpOptions options, const CancelToken& cancel)
      : m_options(std::move(options)), m_cancel(cancel) {
    initialise_curl();
    m_multi = curl_multi_init();
    if (m_multi == nullptr) {
      throw Error(ErrorKind::failed, "libcurl cannot be used", "curl_multi_init");
    }
    curl_multi_setopt(m_multi, CURLMOPT_MAXCONNECTS, 128L);
    m_thread = std::thread([this] { run(); });
  }

  ~Loop() {
    {
      const std::lock_guard lock(m_mutex);
      m_stop = true;
    }
    curl_multi_wakeup(m_multi);
    m_thread.join();
    curl_multi_cleanup(m_multi);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  HttpReply perform(const HttpRequest& request) {
    if (request.when_stopped == WhenStopped::end) {
      m_cancel.check();
    }
    CurlTransfer transfer(request, m_options);
    {
      std::unique_lock lock(m_mutex);
      m_incoming.push_back(&transfer);
      curl_multi_wakeup(m_multi);
      m_finished.wait(lock, [&transfer] { return transfer.done; });
    }
    if (transfer.result == CURLE_ABORTED_BY_CALLBACK) {
      m_cancel.check();
    }
    return transfer.take_reply();
  }

 private:
  void run() {
    for (;;) {
      {
        const std::lock_guard lock(m_mutex);
        if (m_stop) {
          return;  // nobody waits: the client is being destroyed
        }
        for (CurlTransfer* const transfer : m_incoming) {
          m_active.push_back(transfer);
          curl_multi_add_handle(m_multi, transfer->easy());
        }
        m_incoming.clear();
      }
      int running = 0;
      curl_multi_perform(m_multi, &running);
      finish_done();
      if (m_cancel.requested()) {
        end_stopped();
      }
      wait();
    }
  }

  void wait() {
    // Once requested it stays readable; what goes on then is woken by its sockets.
    curl_waitfd stop{m_cancel.poll_fd(), CURL_WAIT_POLLIN, 0};
    const bool stopped = m_cancel.requested();
    curl_multi_poll(m_multi, &stop, stopped ? 0 : 1, 1000, nullptr);
  }

  void finish_done() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(m_multi, &left)) {
      if (message->msg == CURLMSG_DONE) {
        const CURLcode result = message->data.result;
        const auto found = std::find_if(
            m_active.begin(), m_active.end(),
            [message](CurlTransfer* transfer) { return transfer->easy() == message->easy_handle; });
        if (found != m_active.end()) {
          finish(found, result);
        }
      }
    }
  }

  void end_stopped() {
    for (std::size_t i = m_active.size(); i > 0; --i) {
      const auto at = m_active.begin() + static_cast<std::ptrdiff_t>(i - 1);
      if ((*at)->request().when_stopped == WhenStopped::end) {
        finish(at, CURLE_ABORTED_BY_CALLBACK);
      }
    }
  }

  void finish(std::vector<CurlTransfer*>::iterator at, CURLcode result) {
    CurlTransfer* const transfer = *at;
    m_active.erase(at);
    curl_multi_remove_handle(m_multi, transfer->easy());
    const std::lock_guard lock(m_mutex);
    transfer->result = result;
    transfer->done = true;
    m_finished.notify_all();
  }

  const HttpOptions m_options;
  const CancelToken& m_cancel;
  CURLM* m_multi = nullptr;
  std::mutex m_mutex;
  std::condition_variable m_finished;
  std::vector<CurlTransfer*> m_incoming;  ///< under m_mutex
  bool m_stop = false;                    ///< under m_mutex
  std::vector<CurlTransfer*> m_active;    ///< the loop's
  std::thread m_thread;
};

HttpClient::HttpClient(HttpOptions options, const CancelToken& cancel)
    : m_loop(std::make_unique<Loop>(std::move(options), cancel)) {}

HttpClient::~HttpClient() = default;

HttpReply HttpClient::perform(const HttpRequest& request) {
  return m_loop->perform(request);
}

}  // namespace hamal
