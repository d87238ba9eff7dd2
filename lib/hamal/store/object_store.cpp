#include "hamal/store/object_store.hpp"

namespace hamal {

ObjectMissing::ObjectMissing(const std::string& object)
    : Error(ErrorKind::failed, "no such object", object,
            "it was removed, or the store is not the one it was") {}

}  // namespace hamal
