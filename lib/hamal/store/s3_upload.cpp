#include "hamal/store/s3_upload.hpp"

#include <algorithm>
#include <deque>
#include <future>
#include <system_error>
#include <utility>
#include <vector>

#include "hamal/net/digest.hpp"
#include "hamal/store/s3_reply.hpp"

namespace hamal {
namespace {

/// So many parts later they are twice as large; 10,000 is the most that S3 allows.
constexpr std::size_t k_parts_of_one_size = 2000;
constexpr std::size_t k_most_parts = 10'000;
/// Each is in memory, besides the one that is being filled.
constexpr std::size_t k_parts_under_way = 3;

struct Part {
  std::string etag;
  Md5 digest{};
};

/// Its destructor waits for the part.
struct Sending {
  std::size_t place;  ///< in the list of parts
  std::future<Part> done;
};

class S3Upload final : public ObjectUpload {
 public:
  S3Upload(S3Client& client, std::string key)
      : m_client(client), m_key(std::move(key)), m_part_size(client.options().part_size) {}

  ~S3Upload() override {
    m_sending.clear();  // waits for them: a part that came later would stay behind
    if (!m_id.empty()) {
      take_back();
    }
  }
  S3Upload(const S3Upload&) = delete;
  S3Upload& operator=(const S3Upload&) = delete;

  void append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      if (m_buffer.size() == m_part_size) {
        send_part();
      }
      const std::size_t length = std::min(bytes.size(), m_part_size - m_buffer.size());
      m_buffer.insert(m_buffer.end(), bytes.begin(),
                      bytes.begin() + static_cast<std::ptrdiff_t>(length));
      bytes = bytes.subspan(length);
    }
  }

  void finish() override {
    if (m_id.empty()) {
      put_s3_object(m_client, m_key, m_buffer);
      return;
    }
    send_part();
    while (!m_sending.empty()) {
      settle_oldest();
    }
    complete();
    m_id.clear();
  }

 private:
  void send_part() {
    if (m_id.empty()) {
      S3Request request;
      request.method = "POST";
      request.key = m_key;
      request.query = {{"uploads", ""}};
      m_id = parse_s3_upload_id(m_client.call(request).body, m_client.name(m_key));
    }
    if (m_parts.size() == k_most_parts) {
      throw Error(ErrorKind::failed, "too large for this service", m_client.name(m_key),
                  "raise part_size");
    }
    if (m_sending.size() == k_parts_under_way) {
      settle_oldest();
    }
    m_parts.emplace_back();
    const std::size_t number = m_parts.size();
    const auto bytes = std::make_shared<std::vector<std::byte>>(std::exchange(m_buffer, {}));
    const auto put = [this, number, bytes] { return put_part(number, *bytes); };
    try {
      m_sending.push_back({number - 1, std::async(std::launch::async, put)});
    } catch (const std::system_error&) {  // no more threads: in this one
      m_parts.back() = put();
    }
    if (m_parts.size() % k_parts_of_one_size == 0) {
      m_part_size *= 2;
    }
  }

  void settle_oldest() {
    Sending oldest = std::move(m_sending.front());
    m_sending.pop_front();
    m_parts[oldest.place] = oldest.done.get();
  }

  Part put_part(std::size_t number, std::span<const std::byte> bytes) {
    S3Request request;
    request.method = "PUT";
    request.key = m_key;
    request.query = {{"partNumber", std::to_string(number)}, {"uploadId", m_id}};
    request.body = bytes;
    const HttpReply reply = m_client.call(request);
    const std::string_view etag = reply.header("etag");
    if (etag.empty()) {
      throw Error(ErrorKind::failed, "a part was taken without an ETag", m_client.name(m_key),
                  "check that endpoint is that of an S3 service");
    }
    return {std::string(etag), md5(bytes)};
  }

  void complete() {
    std::string body = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < m_parts.size(); ++i) {
      body += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" +
              escape_xml(m_parts[i].etag) + "</ETag></Part>";
    }
    body += "</CompleteMultipartUpload>";
    S3Request request;
    request.method = "POST";
    request.key = m_key;
    request.query = {{"uploadId", m_id}};
    request.body = std::as_bytes(std::span(body));
    request.answers = {404};
    request.check = [this](const HttpReply& reply) {
      // The status is sent before the work is done: the body has the last word.
      const S3Refusal refusal = parse_s3_refusal(reply.body);
      if (reply.status == 200 && !refusal.code.empty()) {
        throw Error(ErrorKind::failed, "refused, " + refusal.code + ": " + refusal.message,
                    m_client.name(m_key), "", Transience::transient);
      }
    };
    if (m_client.call(request).status == 404 && !was_completed()) {
      throw Error(ErrorKind::failed, "the upload in parts is not there any more",
                  m_client.name(m_key), "see whether a lifecycle rule ends uploads too early",
                  Transience::transient);
    }
  }

  /// The reply to a completion may be lost, and the repeated one finds no upload: then the object
  /// is there with the ETag of our parts.
  bool was_completed() {
    S3Request request;
    request.method = "HEAD";
    request.key = m_key;
    request.answers = {404};
    const HttpReply reply = m_client.call(request);
    std::vector<std::byte> digests;
    for (const Part& part : m_parts) {
      digests.insert(digests.end(), part.digest.begin(), part.digest.end());
    }
    const std::string etag = to_hex(md5(digests)) + "-" + std::to_string(m_parts.size());
    return reply.status == 200 && reply.header("etag") == "\"" + etag + "\"";
  }

  void take_back() noexcept {
    try {
      S3Request request;
      request.method = "DELETE";
      request.key = m_key;
      request.query = {{"uploadId", m_id}};
      request.answers = {404};
      request.when_stopped = WhenStopped::go_on;
      m_client.call(request);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): as far as it can be reached
    }
  }

  S3Client& m_client;
  const std::string m_key;
  std::size_t m_part_size;
  std::vector<std::byte> m_buffer;
  std::string m_id;
  std::vector<Part> m_parts;  ///< of those under way empty
  std::deque<Sending> m_sending;
};

}  // namespace

std::unique_ptr<ObjectUpload> start_s3_upload(S3Client& client, const std::string& key_in_bucket) {
  return std::make_unique<S3Upload>(client, key_in_bucket);
}

bool put_s3_object(S3Client& client, const std::string& key_in_bucket,
                   std::span<const std::byte> bytes, std::vector<HttpHeader> headers) {
  S3Request request;
  request.method = "PUT";
  request.key = key_in_bucket;
  request.body = bytes;
  request.digest = sha256(bytes);
  request.headers = std::move(headers);
  request.headers.push_back({"x-amz-checksum-sha256", to_base64(*request.digest)});
  request.answers = {412};
  return client.call(request).status != 412;
}

}  // namespace hamal
