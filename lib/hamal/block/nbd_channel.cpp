// Submitting NBD requests and delivering their completions.
#include "hamal/block/nbd_channel.hpp"

#include <libnbd.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace hamal {
namespace {

thread_local const NbdChannel* t_driving = nullptr;

/// Replies handled in one progress(): bounds how long one busy connection keeps its thread from the
/// others.
constexpr int k_burst = 16;
constexpr auto k_drain_timeout = std::chrono::seconds(30);

int on_extents(void* user, const char* context, std::uint64_t, std::uint32_t* entries,
               std::size_t count, int*) {
  NbdStatusReply& reply = *static_cast<NbdStatusReply*>(user);
  const auto name = std::find(reply.names.begin(), reply.names.end(), context);
  if (name == reply.names.end()) {
    return 0;  // negotiated for another purpose
  }
  auto& into = reply.entries[static_cast<std::size_t>(name - reply.names.begin())];
  if (!into.empty()) {
    reply.fault = "said \"" + *name + "\" twice in one reply";
    return 0;
  }
  into.reserve(count / 2);
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    into.push_back({entries[i], entries[i + 1]});
  }
  return 0;
}

}  // namespace

NbdChannel::Driving::Driving(NbdChannel& channel) noexcept
    : m_before(std::exchange(t_driving, &channel)) {}

NbdChannel::Driving::~Driving() {
  t_driving = m_before;
}

NbdChannel::NbdChannel(std::shared_ptr<NbdConnection> connection)
    : m_connection(std::move(connection)) {
  if (m_connection->shared()) {
    m_event = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!m_event) {
      throw system_error("cannot make an eventfd", m_connection->uri(), errno);
    }
  }
  m_connection->attach(*this);
}

NbdChannel::~NbdChannel() {
  const auto deadline = std::chrono::steady_clock::now() + k_drain_timeout;
  bool cut = false;
  // The owner is gone or going: requests are taken back, not told.
  const auto taken_back = [this] {
    const std::lock_guard lock(m_ready_mutex);
    m_outstanding -= m_ready.size();
    m_ready.clear();
    return m_outstanding == 0;
  };
  while (!taken_back() && !m_connection->broken()) {
    if (!cut && (!m_connection->shared() || m_connection->cancelled() ||
                 std::chrono::steady_clock::now() > deadline)) {
      m_connection->cut();
      cut = true;
    }
    std::vector<pollfd> fds;
    add_poll_fds(fds);
    ::poll(fds.data(), fds.size(), 100);
    m_connection->pump(*this);
  }
  taken_back();
  m_connection->detach(*this);
}

int NbdChannel::on_completion(void* user, int* error) {
  Request& request = *static_cast<Request*>(user);
  request.error = *error;
  NbdChannel& channel = *request.channel;
  channel.push_ready(request);
  return 1;  // retire it
}

void NbdChannel::push_ready(Request& request) {
  // The lock is held while waking: the owner's destructor takes it before it goes away.
  const std::lock_guard lock(m_ready_mutex);
  m_ready.push_back(&request);
  if (t_driving != this) {
    wake();
  }
}

void NbdChannel::wake() {
  if (!m_event) {
    return;
  }
  const std::lock_guard lock(m_wake_mutex);
  if (!m_woken.exchange(true)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(m_event.get(), &one, sizeof one);
  }
}

NbdChannel::Request& NbdChannel::take(Operation operation, std::uint64_t offset,
                                      std::uint64_t length, IoCompletion& done) {
  Request* request = nullptr;
  if (m_free.empty()) {
    request = &m_requests.emplace_back();
    // Recycling must not allocate: deliver() is noexcept towards its callers.
    m_free.reserve(m_requests.size());
  } else {
    request = m_free.back();
    m_free.pop_back();
  }
  *request = {.channel = this,
              .done = &done,
              .operation = operation,
              .offset = offset,
              .length = length,
              .error = 0,
              .failure = nullptr};
  ++m_outstanding;
  return *request;
}

void NbdChannel::submitted(Request& request, std::int64_t cookie) {
  if (cookie == -1) {
    request.error = nbd_get_errno() == 0 ? EIO : nbd_get_errno();
    m_connection->check_alive();
    request.failure = m_connection->broken();
    if (!request.failure) {
      request.failure = std::make_exception_ptr(
          Error(ErrorKind::failed, "cannot send a request: " + nbd_error_text(),
                m_connection->uri(), "", Transience::transient));
    }
    push_ready(request);
  } else {
    m_connection->wake_writers(*this);
  }
  deliver();
}

void NbdChannel::read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) {
  Request& request = take(Operation::read, offset, into.size(), done);
  std::int64_t cookie = -1;
  {
    const Driving driving(*this);
    cookie = nbd_aio_pread(m_connection->handle(), into.data(), into.size(), offset,
                           {on_completion, &request, nullptr}, 0);
  }
  submitted(request, cookie);
}

void NbdChannel::write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) {
  Request& request = take(Operation::write, offset, from.size(), done);
  std::int64_t cookie = -1;
  {
    const Driving driving(*this);
    cookie = nbd_aio_pwrite(m_connection->handle(), from.data(), from.size(), offset,
                            {on_completion, &request, nullptr}, 0);
  }
  submitted(request, cookie);
}

void NbdChannel::zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) {
  Request& request = take(Operation::zero, offset, length, done);
  std::int64_t cookie = -1;
  {
    const Driving driving(*this);
    cookie =
        nbd_aio_zero(m_connection->handle(), length, offset, {on_completion, &request, nullptr}, 0);
  }
  submitted(request, cookie);
}

void NbdChannel::flush(IoCompletion& done) {
  Request& request = take(Operation::flush, 0, 0, done);
  std::int64_t cookie = -1;
  {
    const Driving driving(*this);
    cookie = nbd_aio_flush(m_connection->handle(), {on_completion, &request, nullptr}, 0);
  }
  submitted(request, cookie);
}

void NbdChannel::block_status(std::uint64_t offset, std::uint64_t length, NbdStatusReply& reply,
                              IoCompletion& done) {
  Request& request = take(Operation::block_status, offset, length, done);
  std::int64_t cookie = -1;
  {
    const Driving driving(*this);
    cookie =
        nbd_aio_block_status(m_connection->handle(), length, offset, {on_extents, &reply, nullptr},
                             {on_completion, &request, nullptr}, 0);
  }
  submitted(request, cookie);
}

void NbdChannel::fail(IoCompletion& done, std::exception_ptr error) {
  Request& request = take(Operation::read, 0, 0, done);
  request.failure = std::move(error);
  push_ready(request);
  deliver();
}

std::exception_ptr NbdChannel::failure_of(const Request& request) const {
  if (request.failure) {
    return request.failure;
  }
  if (request.error == 0) {
    return nullptr;
  }
  if (request.error == ENOTCONN) {
    m_connection->check_alive();
    if (std::exception_ptr broken = m_connection->broken()) {
      return broken;
    }
  }
  static constexpr const char* const k_names[] = {"read", "write", "zero", "flush",
                                                  "ask for the allocation of"};
  std::string what =
      std::string("the server cannot ") + k_names[static_cast<std::size_t>(request.operation)];
  if (request.operation != Operation::flush) {
    what +=
        " " + std::to_string(request.length) + " bytes at offset " + std::to_string(request.offset);
  }
  return std::make_exception_ptr(system_error(what, m_connection->uri(), request.error));
}

void NbdChannel::deliver() {
  // io_done() may submit again: what that completes is picked up by the loop that is running.
  if (m_delivering) {
    return;
  }
  m_delivering = true;
  for (;;) {
    {
      const std::lock_guard lock(m_ready_mutex);
      m_taken.swap(m_ready);
    }
    if (m_taken.empty()) {
      break;
    }
    for (Request* request : m_taken) {
      IoCompletion& done = *request->done;
      std::exception_ptr failure = failure_of(*request);
      request->failure = nullptr;
      m_free.push_back(request);
      --m_outstanding;
      done.io_done(std::move(failure));
    }
    m_taken.clear();
  }
  m_delivering = false;
}

void NbdChannel::add_poll_fds(std::vector<pollfd>& fds) const {
  if (const int fd = m_connection->poll_fd(); fd >= 0) {
    fds.push_back({fd, m_connection->poll_events(), 0});
  }
  if (m_event) {
    fds.push_back({m_event.get(), POLLIN, 0});
  }
  if (const CancelToken* cancel = m_connection->cancel()) {
    fds.push_back({cancel->poll_fd(), POLLIN, 0});
  }
}

void NbdChannel::progress() {
  if (m_woken.load()) {
    const std::lock_guard lock(m_wake_mutex);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(m_event.get(), &count, sizeof count);
    m_woken.store(false);
  }
  deliver();
  if (m_connection->cancelled()) {
    m_connection->cut();
  }
  for (int i = 0; i < k_burst && m_connection->pump(*this); ++i) {
    deliver();
  }
  if (m_connection->cancelled()) {
    deliver();
    m_connection->cancel()->check();
  }
  if (const std::exception_ptr broken = m_connection->broken()) {
    deliver();
    std::rethrow_exception(broken);
  }
}

}  // namespace hamal
