#include "hamal/store/s3_versions.hpp"

#include <vector>

#include "hamal/net/digest.hpp"
#include "hamal/net/http_time.hpp"
#include "hamal/store/s3_reply.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

/// A legal hold has no end.
const StoreTime k_for_ever = StoreTime(std::chrono::sys_days(std::chrono::year(2200) / 1 / 1));

/// The newest first.
std::vector<S3Version> versions_of(S3Client& client, const std::string& key) {
  std::vector<S3Version> all;
  S3VersionListing page;
  do {
    S3Request request;
    request.method = "GET";
    request.query = {{"versions", ""}, {"encoding-type", "url"}, {"prefix", key}};
    if (page.truncated) {
      request.query.emplace_back("key-marker", page.next_key);
      if (!page.next_id.empty()) {
        request.query.emplace_back("version-id-marker", page.next_id);
      }
    }
    request.limit = 16U << 20U;
    page = parse_s3_version_listing(client.call(request).body, client.name(key));
    for (const S3Version& version : page.versions) {
      if (version.key == key) {
        all.push_back(version);
      }
    }
    // Keys come in their order: what begins with ours comes behind it.
  } while (page.truncated && page.next_key == key);
  return all;
}

}  // namespace

std::optional<HttpReply> head_object(S3Client& client, const std::string& key) {
  S3Request request;
  request.method = "HEAD";
  request.key = key;
  request.answers = {404};
  HttpReply reply = client.call(request);
  if (reply.status == 404) {
    return std::nullopt;
  }
  return reply;
}

bool s3_bucket_has_versions(S3Client& client) {
  S3Request request;
  request.method = "GET";
  request.query = {{"versioning", ""}};
  return parse_s3_versioning(client.call(request).body, client.name("")) != S3Versioning::off;
}

void remove_s3_object(S3Client& client, const std::string& key) {
  S3Request request;
  request.method = "DELETE";
  request.key = key;
  try {
    client.call(request);
  } catch (const ObjectMissing&) {  // NOLINT(bugprone-empty-catch): some services say so
  }
}

std::optional<std::string> newest_s3_version(S3Client& client, const std::string& key) {
  for (const S3Version& version : versions_of(client, key)) {
    if (!version.delete_marker) {
      return version.id;
    }
  }
  return std::nullopt;
}

void remove_s3_versions(S3Client& client, const std::string& key) {
  const std::vector<S3Version> versions = versions_of(client, key);
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    S3Request request;
    request.method = "DELETE";
    request.key = key;
    request.query = {{"versionId", version->id}};
    request.answers = {403, 404};
    if (client.call(request).status != 403) {
      continue;
    }
    const auto until = s3_locked_until(client, key);
    throw Error(ErrorKind::failed,
                until ? "an object lock protects it until " + rfc3339(*until)
                      : "the service refuses to remove a version of it",
                client.name(key),
                until ? "remove it then"
                      : "let the access key remove versions (s3:DeleteObjectVersion), or set "
                        "remove_versions = False");
  }
}

std::optional<StoreTime> s3_locked_until(S3Client& client, const std::string& key) {
  const auto reply = head_object(client, key);
  if (!reply) {
    throw ObjectMissing(client.name(key));
  }
  if (reply->header("x-amz-object-lock-legal-hold") == "ON") {
    return k_for_ever;
  }
  const std::string_view text = reply->header("x-amz-object-lock-retain-until-date");
  if (text.empty()) {
    return std::nullopt;
  }
  const auto until = parse_rfc3339(text);
  const auto now = parse_http_date(reply->header("date"));
  if (!until) {
    throw Error(ErrorKind::failed, "its lock ends at no time", client.name(key),
                "check that endpoint is that of an S3 service");
  }
  return now && *until <= *now ? std::nullopt : until;
}

void lock_s3_object(S3Client& client, const std::string& key, StoreTime until) {
  if (const auto present = s3_locked_until(client, key); present && *present >= until) {
    return;
  }
  const std::string body = "<Retention><Mode>" + client.options().object_lock_mode +
                           "</Mode><RetainUntilDate>" + iso_time_rounded_up(until) +
                           "</RetainUntilDate></Retention>";
  S3Request request;
  request.method = "PUT";
  request.key = key;
  request.query = {{"retention", ""}};
  request.body = std::as_bytes(std::span(body));
  request.headers = {{"content-md5", to_base64(md5(request.body))}};
  request.answers = {400};
  const HttpReply reply = client.call(request);
  if (reply.status == 400) {
    const S3Refusal refusal = parse_s3_refusal(reply.body);
    throw Error(ErrorKind::usage, "it cannot be locked: " + refusal.code + " " + refusal.message,
                client.name(key), "use a bucket that was created with object lock");
  }
}

}  // namespace hamal
