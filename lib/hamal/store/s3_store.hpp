// Objects in a bucket of an S3 service.
#pragma once
#include <memory>

#include "hamal/store/object_store.hpp"
#include "hamal/store/s3_options.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// Sends nothing before the first call.
std::unique_ptr<ObjectStore> open_s3_store(S3Options options, const CancelToken& cancel);

}  // namespace hamal
