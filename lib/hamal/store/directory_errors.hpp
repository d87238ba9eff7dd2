// What a directory store's file system refuses. Private to this folder.
#pragma once
#include <string>

#include "hamal/util/error.hpp"

namespace hamal {

/// As system_error(). One that is full, or that is gone from under the store, may be well again by
/// the next try: transient.
Error directory_error(std::string what, std::string object, int errno_value);

}  // namespace hamal
