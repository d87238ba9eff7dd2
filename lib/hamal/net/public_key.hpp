// Public keys that TLS peers are known by.
#pragma once
#include <string>

namespace hamal {

/// HttpOptions::pinned_key of a public key in PEM ("-----BEGIN PUBLIC KEY-----"): "sha256//" and
/// the base64 of the digest of its DER. `object` names the text in messages. Throws Error(usage).
std::string public_key_pin(const std::string& pem, const std::string& object);

}  // namespace hamal
