// The store that an endpoint stands for.
#pragma once
#include <memory>

#include "hamal/store/object_store.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

struct Endpoint;
struct Config;

/// dir:PATH or s3://NAME/PREFIX; Error(usage) for any other endpoint, for a NAME without a section
/// and for a section that lacks something. Asks nothing of the store: what is wrong with the
/// service, the bucket or the keys is told by the first call. The token outlives the store.
std::unique_ptr<ObjectStore> open_object_store(const Endpoint& endpoint, const Config& config,
                                               const CancelToken& cancel);

}  // namespace hamal
