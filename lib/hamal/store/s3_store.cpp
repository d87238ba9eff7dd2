// The S3 implementation: what each call sends and what it believes of the reply.
#include "hamal/store/s3_store.hpp"

#include <fmt/format.h>

#include <charconv>
#include <mutex>

#include "hamal/net/digest.hpp"
#include "hamal/net/http_time.hpp"
#include "hamal/store/keys.hpp"
#include "hamal/store/s3_client.hpp"
#include "hamal/store/s3_range.hpp"
#include "hamal/store/s3_reply.hpp"
#include "hamal/store/s3_upload.hpp"
#include "hamal/store/s3_versions.hpp"

namespace hamal {
namespace {

constexpr const char* k_probe = ".hamal-put-if-absent";
constexpr std::uint64_t k_longest_list = 16U << 20U;

class S3Store final : public ObjectStore {
 public:
  S3Store(S3Options options, const CancelToken& cancel)
      : m_client(std::move(options), cancel),
        m_canonical(m_client.canonical()),
        m_prefix(m_client.options().prefix.empty() ? "" : m_client.options().prefix + "/") {}

  const std::string& uri() const noexcept override { return m_client.options().uri; }
  const std::string& canonical() const noexcept override { return m_canonical; }

  void put(const std::string& key, std::span<const std::byte> bytes) override {
    put_s3_object(m_client, in_bucket(key), bytes);
  }

  bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) override {
    const std::string where = in_bucket(key);
    require_conditional_put();
    return put_if_none_match(where, bytes);
  }

  std::unique_ptr<ObjectUpload> upload(const std::string& key) override {
    return start_s3_upload(m_client, in_bucket(key));
  }

  std::string get(const std::string& key, std::uint64_t limit) override {
    S3Request request;
    request.method = "GET";
    request.key = in_bucket(key);
    request.headers = {{"x-amz-checksum-mode", "ENABLED"}};
    request.limit = limit;
    const std::string object = m_client.name(request.key);
    request.check = [this, &object](const HttpReply& reply) {
      check_whole_object(reply, m_client.options().verify_etag, object);
    };
    HttpReply reply = m_client.call(request);
    if (reply.fit == BodyFit::too_large) {
      throw Error(ErrorKind::failed,
                  fmt::format("has {} bytes, more than the {} that are expected at most",
                              content_length(reply).value_or(0), limit),
                  object);
    }
    return std::move(reply.body);
  }

  void get_range(const std::string& key, std::uint64_t offset, std::span<std::byte> into) override {
    const std::string where = in_bucket(key);
    if (into.empty()) {
      const auto info = head(key);
      if (!info) {
        throw ObjectMissing(m_client.name(where));
      }
      if (offset > info->size) {
        throw range_beyond_end(m_client.name(where), offset, 0, info->size);
      }
      return;
    }
    try {
      get_range_of(where, {}, offset, into);
    } catch (const ObjectMissing&) {
      // What somebody has hidden by a delete marker is still there.
      const auto id = hidden_version(where);
      if (!id) {
        throw;
      }
      get_range_of(where, {{"versionId", *id}}, offset, into);
    }
  }

  std::optional<ObjectInfo> head(const std::string& key) override {
    const auto reply = head_object(m_client, in_bucket(key));
    if (!reply) {
      require_bucket();
      return std::nullopt;
    }
    const auto size = content_length(*reply);
    const auto modified = parse_http_date(reply->header("last-modified"));
    if (!size || !modified) {
      throw Error(ErrorKind::failed, "a reply without size or time", m_client.name(in_bucket(key)),
                  "check that endpoint is that of an S3 service");
    }
    return ObjectInfo{key, *size, *modified};
  }

  void list(const std::string& prefix,
            const std::function<void(const ObjectInfo&)>& each) override {
    require_list_prefix(prefix, uri());
    std::string last;
    for (std::string next;;) {
      S3Listing page = list_page(m_prefix + prefix, next, 1000);
      for (ObjectInfo& info : page.objects) {
        if (!info.key.starts_with(m_prefix + prefix)) {
          throw Error(ErrorKind::failed, "a list with keys that were not asked for", uri(),
                      "check that endpoint is that of an S3 service");
        }
        info.key.erase(0, m_prefix.size());
        if (!is_key(info.key)) {
          continue;  // somebody else's
        }
        if (info.key <= last) {
          throw Error(ErrorKind::usage, "a list that is not in the order of its keys", uri(),
                      "buckets of this kind cannot be used");
        }
        last = info.key;
        each(info);
      }
      if (!page.truncated) {
        return;
      }
      if (page.next == next) {
        throw Error(ErrorKind::failed, "a list that does not end", uri(),
                    "check that endpoint is that of an S3 service");
      }
      next = page.next;
    }
  }

  void remove(const std::string& key) override {
    const std::string where = in_bucket(key);
    if (m_client.options().remove_versions && has_versions()) {
      remove_s3_versions(m_client, where);
    } else {
      remove_s3_object(m_client, where);
    }
  }

  StoreTime now() override {
    HttpReply reply = request_page(m_prefix, "", 1);
    const auto date = parse_http_date(reply.header("date"));
    if (!date) {
      throw Error(ErrorKind::failed, "a reply without the time", uri(),
                  "check that endpoint is that of an S3 service");
    }
    return *date;
  }

  std::optional<StoreTime> locked_until(const std::string& key) override {
    return s3_locked_until(m_client, in_bucket(key));
  }

  void lock_until(const std::string& key, StoreTime until) override {
    lock_s3_object(m_client, in_bucket(key), until);
  }

  std::chrono::milliseconds list_lag() const noexcept override {
    return m_client.options().list_lag;
  }

 private:
  std::string in_bucket(const std::string& key) const {
    require_key(key, uri());
    return m_prefix + key;
  }

  void get_range_of(const std::string& where, const decltype(S3Request::query)& version,
                    std::uint64_t offset, std::span<std::byte> into) {
    S3Request request;
    request.method = "GET";
    request.key = where;
    request.query = version;
    request.headers = {{"range", fmt::format("bytes={}-{}", offset, offset + into.size() - 1)}};
    request.into = into;
    request.answers = {416};
    const RangeAsked asked{offset, into.size(), m_client.name(where)};
    request.check = [&asked](const HttpReply& reply) { check_range(reply, asked); };
    if (const auto size = size_before_end(m_client.call(request), asked)) {
      throw range_beyond_end(asked.object, offset, into.size(), *size);
    }
  }

  /// Who may not look for it is told that the object is missing.
  std::optional<std::string> hidden_version(const std::string& where) {
    try {
      return has_versions() ? newest_s3_version(m_client, where) : std::nullopt;
    } catch (const Error& error) {
      if (error.transient() || error.kind() == ErrorKind::interrupted ||
          error.kind() == ErrorKind::terminated) {
        throw;
      }
      return std::nullopt;
    }
  }

  bool put_if_none_match(const std::string& where, std::span<const std::byte> bytes) {
    return put_s3_object(m_client, where, bytes, {{"if-none-match", "*"}});
  }

  /// A service that ignores the condition would let two runs win one slot: it is never believed
  /// before it has been seen to refuse. The object stays, so that the next process asks once.
  void require_conditional_put() {
    const std::lock_guard lock(m_mutex);
    if (m_conditional_put) {
      return;
    }
    static constexpr std::string_view k_content =
        "Put by Hamal to see that it cannot be put twice.\n";
    const auto bytes = std::as_bytes(std::span(k_content));
    const std::string where = m_prefix + k_probe;
    if (put_if_none_match(where, bytes) && put_if_none_match(where, bytes)) {
      throw Error(ErrorKind::usage,
                  "the service ignores If-None-Match: it cannot put an object only where there is "
                  "none",
                  uri(), "use one that can, such as those of AWS, Ceph and MinIO");
    }
    m_conditional_put = true;
  }

  /// A HEAD does not tell a missing bucket from a missing object.
  void require_bucket() {
    if (!m_bucket_is_there) {
      request_page(m_prefix, "", 1);
      m_bucket_is_there = true;
    }
  }

  bool has_versions() {
    const std::lock_guard lock(m_mutex);
    if (!m_has_versions) {
      m_has_versions = s3_bucket_has_versions(m_client);
    }
    return *m_has_versions;
  }

  HttpReply request_page(const std::string& prefix, const std::string& next, int most) {
    S3Request request;
    request.method = "GET";
    request.query = {{"list-type", "2"},
                     {"encoding-type", "url"},
                     {"max-keys", std::to_string(most)},
                     {"prefix", prefix}};
    if (!next.empty()) {
      request.query.emplace_back("continuation-token", next);
    }
    request.limit = k_longest_list;
    return m_client.call(request);
  }

  S3Listing list_page(const std::string& prefix, const std::string& next, int most) {
    return parse_s3_listing(request_page(prefix, next, most).body, uri());
  }

  S3Client m_client;
  const std::string m_canonical;
  const std::string m_prefix;  ///< ends with "/" unless empty
  std::atomic<bool> m_bucket_is_there{false};
  std::mutex m_mutex;
  bool m_conditional_put = false;      ///< under m_mutex
  std::optional<bool> m_has_versions;  ///< under m_mutex
};

}  // namespace

std::unique_ptr<ObjectStore> open_s3_store(S3Options options, const CancelToken& cancel) {
  return std::make_unique<S3Store>(std::move(options), cancel);
}

}  // namespace hamal
