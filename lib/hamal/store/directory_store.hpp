// Objects as files of one directory.
#pragma once
#include <memory>
#include <string>

#include "hamal/store/object_store.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// Nothing is touched before the first call. A directory that does not exist has no objects, and
/// the first put makes it.
std::unique_ptr<ObjectStore> open_directory_store(const std::string& uri, const std::string& path,
                                                  const CancelToken& cancel);

}  // namespace hamal
