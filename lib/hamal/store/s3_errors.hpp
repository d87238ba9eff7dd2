// What a refusal of an S3 service means for the caller.
#pragma once
#include <string>

#include "hamal/net/http_client.hpp"
#include "hamal/store/s3_options.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

struct S3Judgement {
  Error error;             ///< transient where repeating may help
  bool repeat = false;     ///< the same request may succeed later
  bool slow_down = false;  ///< the service asks for fewer requests
  bool missing = false;    ///< there is no such object
  bool skewed = false;     ///< the service does not accept our time, or does not say why not us
};

/// `object` is what the request was about. No part of the request is in the error: it may be
/// signed.
S3Judgement judge_s3_reply(const HttpReply& reply, const S3Options& options,
                           const std::string& object);

}  // namespace hamal
