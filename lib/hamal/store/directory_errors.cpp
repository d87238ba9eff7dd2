#include "hamal/store/directory_errors.hpp"

#include <cerrno>
#include <utility>

namespace hamal {

Error directory_error(std::string what, std::string object, int errno_value) {
  Error error = system_error(std::move(what), std::move(object), errno_value);
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case ESTALE:
    case EHOSTDOWN:
    case ENODEV:
      return {error.kind(), error.problem(), error.object(), error.hint(), Transience::transient};
    default:
      return error;
  }
}

}  // namespace hamal
