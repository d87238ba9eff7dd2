// Certificates that TLS peers are known by.
#pragma once
#include <string>
#include <string_view>

namespace hamal {

/// "AB:CD:…" or "abcd…", the digest of a certificate by SHA-1 (as vSphere shows it) or SHA-256, as
/// HttpOptions::thumbprint has it. `object` names the text in messages. Throws Error(usage).
std::string parse_thumbprint(std::string_view text, const std::string& object);
/// The other way: with colons and in upper case.
std::string show_thumbprint(const std::string& thumbprint);

/// What a handshake is to meet, and what it met: empty until then.
struct PeerCertificate {
  std::string wanted;
  std::string seen;
};

/// Has the handshakes of this SSL_CTX accept the wanted certificate and no other. `peer` outlives
/// them. Private to this folder.
void check_by_thumbprint(void* ssl_context, PeerCertificate& peer);

}  // namespace hamal
