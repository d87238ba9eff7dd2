// The XML bodies of S3 replies: foreign bytes, checked here.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/store/object_store.hpp"

namespace hamal {

/// Of a reply that refuses; all empty when the body is nothing of the kind (a proxy's page).
struct S3Refusal {
  std::string code;
  std::string message;
  std::string region;    ///< where the bucket is
  std::string endpoint;  ///< the one to use instead
};
/// Never throws for the body's sake.
S3Refusal parse_s3_refusal(std::string_view body);

struct S3Listing {
  std::vector<ObjectInfo> objects;  ///< keys as they are in the bucket
  bool truncated = false;
  std::string next;  ///< where to go on, when truncated
};

struct S3Version {
  std::string key;
  std::string id;
  bool delete_marker = false;
};
struct S3VersionListing {
  std::vector<S3Version> versions;  ///< of a key the newest first; delete markers too
  bool truncated = false;
  std::string next_key;
  std::string next_id;
};

enum class S3Versioning { off, enabled, suspended };

// These throw Error that names `what` when the body is not what it should be.
S3Listing parse_s3_listing(std::string_view body, const std::string& what);
S3VersionListing parse_s3_version_listing(std::string_view body, const std::string& what);
S3Versioning parse_s3_versioning(std::string_view body, const std::string& what);
std::string parse_s3_upload_id(std::string_view body, const std::string& what);

/// Text for an element's content.
std::string escape_xml(std::string_view text);

}  // namespace hamal
