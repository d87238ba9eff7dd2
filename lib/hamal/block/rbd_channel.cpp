#include "hamal/block/rbd_channel.hpp"

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hamal {
namespace {

const char* words(int operation) {
  constexpr const char* k_words[] = {"read", "write", "zero", "flush"};
  return k_words[operation];
}

}  // namespace

RbdChannel::RbdChannel(std::shared_ptr<RbdImage> image)
    : m_image(std::move(image)), m_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!m_event) {
    throw system_error("cannot make an eventfd", m_image->uri(), errno);
  }
}

RbdChannel::~RbdChannel() {
  // The owner is gone or going: requests are taken back, not told.
  const auto taken_back = [this] {
    const std::lock_guard lock(m_ready_mutex);
    m_outstanding -= m_ready.size();
    m_ready.clear();
    return m_outstanding == 0;
  };
  while (!taken_back()) {
    pollfd fd{m_event.get(), POLLIN, 0};
    ::poll(&fd, 1, 100);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(m_event.get(), &count, sizeof count);
  }
}

void RbdChannel::on_completion(void* completion, void* user) {
  Request& request = *static_cast<Request*>(user);
  request.result = rbd_aio_get_return_value(completion);
  rbd_aio_release(completion);
  request.channel->push_ready(request);
}

void RbdChannel::push_ready(Request& request) {
  // The lock is held while waking: the owner's destructor takes it before it goes away.
  const std::lock_guard lock(m_ready_mutex);
  m_ready.push_back(&request);
  if (m_ready.size() == 1) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(m_event.get(), &one, sizeof one);
  }
}

template <typename Submit>
void RbdChannel::submit(Operation operation, std::uint64_t offset, std::uint64_t length,
                        IoCompletion& done, Submit call) {
  Request* request = nullptr;
  if (m_free.empty()) {
    request = &m_requests.emplace_back();
    // Neither recycling nor completing allocates.
    m_free.reserve(m_requests.size());
    m_taken.reserve(m_requests.size());
    const std::lock_guard lock(m_ready_mutex);
    m_ready.reserve(m_requests.size());
  } else {
    request = m_free.back();
    m_free.pop_back();
  }
  *request = {this, &done, operation, offset, length, 0};
  ++m_outstanding;
  rbd_completion_t completion = nullptr;
  int status = rbd_aio_create_completion(request, on_completion, &completion);
  if (status >= 0) {
    status = call(completion);
    if (status < 0) {
      rbd_aio_release(completion);
    }
  }
  if (status < 0) {
    request->result = status;
    push_ready(*request);
  }
}

void RbdChannel::read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) {
  submit(Operation::read, offset, into.size(), done, [&](rbd_completion_t completion) {
    return rbd_aio_read2(m_image->handle(), offset, into.size(),
                         reinterpret_cast<char*>(into.data()),  // NOLINT: librbd's bytes are char
                         completion, LIBRADOS_OP_FLAG_FADVISE_SEQUENTIAL);
  });
}

void RbdChannel::write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) {
  submit(Operation::write, offset, from.size(), done, [&](rbd_completion_t completion) {
    return rbd_aio_write2(m_image->handle(), offset, from.size(),
                          reinterpret_cast<const char*>(from.data()),  // NOLINT: as above
                          completion, 0);
  });
}

void RbdChannel::zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) {
  submit(Operation::zero, offset, length, done, [&](rbd_completion_t completion) {
    return rbd_aio_write_zeroes(m_image->handle(), offset, length, completion, 0, 0);
  });
}

void RbdChannel::flush(IoCompletion& done) {
  submit(Operation::flush, 0, 0, done,
         [&](rbd_completion_t completion) { return rbd_aio_flush(m_image->handle(), completion); });
}

void RbdChannel::add_poll_fds(std::vector<pollfd>& fds) const {
  fds.push_back({m_event.get(), POLLIN, 0});
}

void RbdChannel::progress() {
  if (m_delivering) {
    return;
  }
  m_delivering = true;
  {
    const std::lock_guard lock(m_ready_mutex);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(m_event.get(), &count, sizeof count);
    std::swap(m_ready, m_taken);
    m_ready.reserve(m_requests.size());
  }
  for (std::size_t i = 0; i < m_taken.size(); ++i) {  // by index: a request submitted meanwhile may
    Request* const request = m_taken[i];              // make room for more
    IoCompletion& done = *request->done;
    std::exception_ptr failure = failure_of(*request);
    --m_outstanding;
    m_free.push_back(request);
    done.io_done(std::move(failure));  // may submit again
  }
  m_taken.clear();
  m_delivering = false;
}

std::exception_ptr RbdChannel::failure_of(const Request& request) const {
  const auto range = [&request] {
    return std::to_string(request.length) + " bytes at offset " + std::to_string(request.offset);
  };
  if (request.result < 0) {
    const std::string what = std::string("cannot ") + words(static_cast<int>(request.operation)) +
                             (request.operation == Operation::flush ? "" : " " + range());
    return std::make_exception_ptr(
        ceph_error(what, m_image->uri(), static_cast<int>(request.result)));
  }
  if (request.operation == Operation::read &&
      static_cast<std::uint64_t>(request.result) != request.length) {
    return std::make_exception_ptr(
        Error(ErrorKind::failed,
              "only " + std::to_string(request.result) + " of " + range() + " could be read",
              m_image->uri(), "was the image made smaller meanwhile?"));
  }
  return nullptr;
}

}  // namespace hamal
