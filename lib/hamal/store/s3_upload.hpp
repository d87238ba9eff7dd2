// A multipart upload. Private to this folder.
#pragma once
#include <memory>
#include <string>

#include "hamal/store/object_store.hpp"
#include "hamal/store/s3_client.hpp"

namespace hamal {

/// What fits into one part becomes a single PUT. A few parts are under way at once, beside the one
/// that is being filled: so many are in memory. They grow with their number, so that any object
/// that a service takes has at most 10,000.
std::unique_ptr<ObjectUpload> start_s3_upload(S3Client& client, const std::string& key_in_bucket);

/// One PUT; true for an answer of 2xx, false for 412 (with If-None-Match).
bool put_s3_object(S3Client& client, const std::string& key_in_bucket,
                   std::span<const std::byte> bytes, std::vector<HttpHeader> headers = {});

}  // namespace hamal
