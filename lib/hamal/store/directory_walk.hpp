// The files below a directory in the order of their keys. Private to this folder.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <ctime>
#include <functional>
#include <string>

#include "hamal/store/object_store.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

struct DirectoryWalk {
  std::string root;
  /// How many names of one directory are in memory at a time. A directory that has more is read
  /// several times.
  std::size_t names_at_once = 65536;
};

/// Every regular file below root/prefix whose name is a key, ascending by key; what is not there
/// (any more) is left out. `prefix` is "" or ends with "/".
void walk_directory(const DirectoryWalk& walk, const std::string& prefix,
                    const std::function<void(const ObjectInfo&)>& each, const CancelToken& cancel);

ObjectInfo object_info(const std::string& key, off_t size, const timespec& modified);
StoreTime store_time(const timespec& when);

}  // namespace hamal
