#include "hamal/util/error.hpp"

#include <cerrno>
#include <exception>
#include <system_error>

namespace hamal {
namespace {

std::string sentence(const std::string& what, const std::string& object, const std::string& hint) {
  std::string text = object.empty() ? what : object + ": " + what;
  if (!hint.empty()) {
    text += " (" + hint + ")";
  }
  return text;
}

Transience transience_of(int errno_value) {
  switch (errno_value) {
    case EAGAIN:
    case EINTR:
    case ETIMEDOUT:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ESHUTDOWN:
    case ENOTCONN:
      return Transience::transient;
    default:
      return Transience::permanent;
  }
}

std::string hint_of(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
      return "free space there, then run again";
    case EDQUOT:
      return "raise the quota, then run again";
    case EFBIG:
      return "the file system cannot hold a file of this size; use XFS or a block device";
    case EACCES:
    case EPERM:
      return "check owner and mode, and the user this runs as";
    default:
      return {};
  }
}

}  // namespace

Error::Error(ErrorKind kind, std::string what, std::string object, std::string hint,
             Transience transience)
    : std::runtime_error(sentence(what, object, hint)),
      m_kind(kind),
      m_transience(transience),
      m_problem(std::move(what)),
      m_object(std::move(object)),
      m_hint(std::move(hint)) {}

ExitStatus exit_status(const Error& error) noexcept {
  switch (error.kind()) {
    case ErrorKind::failed:
      return error.transient() ? ExitStatus::temporary : ExitStatus::failed;
    case ErrorKind::usage:
      return ExitStatus::usage;
    case ErrorKind::busy:
      return ExitStatus::busy;
    case ErrorKind::base_mismatch:
      return ExitStatus::base_mismatch;
    case ErrorKind::wrong_target:
      return ExitStatus::wrong_target;
    case ErrorKind::interrupted:
      return ExitStatus::interrupted;
    case ErrorKind::terminated:
      return ExitStatus::terminated;
  }
  return ExitStatus::failed;
}

Error system_error(std::string what, std::string object, int errno_value) {
  return {ErrorKind::failed, what + ": " + std::generic_category().message(errno_value),
          std::move(object), hint_of(errno_value), transience_of(errno_value)};
}

std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown error";
  }
}

}  // namespace hamal
