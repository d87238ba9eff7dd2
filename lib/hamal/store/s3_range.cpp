#include "hamal/store/s3_range.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

#include "hamal/net/digest.hpp"
#include "hamal/store/keys.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
};

/// "bytes FIRST-LAST/TOTAL", or "bytes */TOTAL" of a 416.
std::optional<ContentRange> parse_content_range(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (!text.starts_with("bytes ") || slash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto total = number(text.substr(slash + 1));
  const std::string_view range = text.substr(6, slash - 6);
  if (!total) {
    return std::nullopt;
  }
  if (range == "*") {
    return ContentRange{0, 0, *total};
  }
  const std::size_t dash = std::min(range.find('-'), range.size());
  const auto first = number(range.substr(0, dash));
  const auto last = number(range.substr(std::min(dash + 1, range.size())));
  if (!first || !last || *last < *first) {
    return std::nullopt;
  }
  return ContentRange{*first, *last, *total};
}

bool is_md5(std::string_view etag) {
  return etag.size() == 32 && std::all_of(etag.begin(), etag.end(), [](unsigned char c) {
           return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
         });
}

/// Of an object that was encrypted with other keys than the service's own it is something else.
bool etag_is_md5(const HttpReply& reply, std::string_view etag) {
  return is_md5(etag) && !reply.header("x-amz-server-side-encryption").starts_with("aws:kms") &&
         reply.header("x-amz-server-side-encryption-customer-algorithm").empty();
}

Error damaged(const std::string& object, const char* sum) {
  return {ErrorKind::failed, std::string("the bytes that came are not those of its ") + sum, object,
          "the object is damaged, or something between this host and the service changes bytes"};
}

}  // namespace

std::optional<std::uint64_t> content_length(const HttpReply& reply) {
  return number(reply.header("content-length"));
}

std::optional<std::uint64_t> size_before_end(const HttpReply& reply, const RangeAsked& asked) {
  const auto range = parse_content_range(reply.header("content-range"));
  if (reply.status == 416) {
    return range ? range->total : 0;
  }
  if (reply.status == 206 && range && range->total < asked.offset + asked.length) {
    return range->total;
  }
  return std::nullopt;
}

void check_range(const HttpReply& reply, const RangeAsked& asked) {
  const auto range = parse_content_range(reply.header("content-range"));
  if (size_before_end(reply, asked)) {
    return;
  }
  if (reply.status == 200) {
    throw Error(ErrorKind::failed, "a range was asked for, and the whole object came", asked.object,
                "the service, or a proxy before it, ignores ranges; use one that does not");
  }
  if (!range || range->first != asked.offset) {
    throw Error(ErrorKind::failed,
                "another range came than was asked for: \"" +
                    escape_control(reply.header("content-range").substr(0, 100)) + "\"",
                asked.object, "see what is between this host and the service");
  }
  if (range->last != asked.offset + asked.length - 1 || reply.fit == BodyFit::too_large ||
      reply.into_size != asked.length) {
    throw Error(ErrorKind::failed,
                std::to_string(reply.into_size) + " bytes came of a range of " +
                    std::to_string(asked.length),
                asked.object, "see what is between this host and the service",
                Transience::transient);
  }
}

void check_whole_object(const HttpReply& reply, bool verify_etag, const std::string& object) {
  if (reply.fit == BodyFit::too_large) {
    return;
  }
  const auto length = content_length(reply);
  // Without a length the end of a cut connection looks like that of the object.
  if (!length || *length != reply.body.size()) {
    throw Error(
        ErrorKind::failed,
        length ? std::to_string(reply.body.size()) + " bytes came of " + std::to_string(*length)
               : std::string("a reply that does not say how long it is"),
        object, "see what is between this host and the service", Transience::transient);
  }
  const auto bytes = std::as_bytes(std::span(reply.body));
  const std::string_view sum = reply.header("x-amz-checksum-sha256");
  if (!sum.empty() && sum.find('-') == std::string_view::npos) {  // a-N is that of N parts
    if (sum != to_base64(sha256(bytes))) {
      throw damaged(object, "SHA-256 checksum");
    }
    return;
  }
  std::string_view etag = reply.header("etag");
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) {
    etag = etag.substr(1, etag.size() - 2);
  }
  if (verify_etag && etag_is_md5(reply, etag) && etag != to_hex(md5(bytes))) {
    throw damaged(object, "ETag (see verify_etag in hamal.conf(5))");
  }
}

}  // namespace hamal
