// Any bytes as the body of a reply of S3: an Error, or values that are what their types say.
#include <cstdint>
#include <string>
#include <string_view>

#include "hamal/store/s3_reply.hpp"

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE: bytes are what a socket gives
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  hamal::parse_s3_refusal(body);
  const auto attempt = [&body](auto parse) {
    try {
      parse(body, "fuzz");
    } catch (const hamal::Error&) {
    }
  };
  attempt([](auto text, auto what) {
    const hamal::S3Listing listing = hamal::parse_s3_listing(text, what);
    if (listing.truncated && listing.next.empty()) {
      __builtin_trap();
    }
  });
  attempt(hamal::parse_s3_version_listing);
  attempt(hamal::parse_s3_versioning);
  attempt(hamal::parse_s3_upload_id);
  return 0;
}
