// A producer's failure, told to its reader.
#include <utility>

#include "hamal/stream/extent_stream.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

ErrorKind kind_of(int status) {
  switch (static_cast<ExitStatus>(status)) {
    case ExitStatus::usage:
      return ErrorKind::usage;
    case ExitStatus::busy:
      return ErrorKind::busy;
    case ExitStatus::base_mismatch:
      return ErrorKind::base_mismatch;
    case ExitStatus::wrong_target:
      return ErrorKind::wrong_target;
    case ExitStatus::interrupted:
      return ErrorKind::interrupted;
    case ExitStatus::terminated:
      return ErrorKind::terminated;
    default:
      return ErrorKind::failed;
  }
}

}  // namespace

StreamFailed::StreamFailed(int status, std::string message, std::string name)
    : Error(kind_of(status), "its producer failed: " + escape_control(message), std::move(name), {},
            status == static_cast<int>(ExitStatus::temporary) ? Transience::transient
                                                              : Transience::permanent),
      m_status(status) {}

}  // namespace hamal
