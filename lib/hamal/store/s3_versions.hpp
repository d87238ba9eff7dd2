// Removing objects and locking them. Private to this folder.
#pragma once
#include <optional>
#include <string>

#include "hamal/store/object_store.hpp"
#include "hamal/store/s3_client.hpp"

namespace hamal {

// Keys are those in the bucket.

/// The reply to a HEAD; nullopt for 404.
std::optional<HttpReply> head_object(S3Client& client, const std::string& key);

bool s3_bucket_has_versions(S3Client& client);
/// In a bucket with versions this leaves a delete marker.
void remove_s3_object(S3Client& client, const std::string& key);
/// The id of the newest version that is an object; nullopt: there is none.
std::optional<std::string> newest_s3_version(S3Client& client, const std::string& key);
/// All of them, the oldest first, so that no older one is ever the present one.
void remove_s3_versions(S3Client& client, const std::string& key);

std::optional<StoreTime> s3_locked_until(S3Client& client, const std::string& key);
void lock_s3_object(S3Client& client, const std::string& key, StoreTime until);

}  // namespace hamal
