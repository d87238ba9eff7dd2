// A lease as one word of text: how hamal-period hands it to the tools that it starts.
#pragma once
#include <string>
#include <string_view>

#include "hamal/state/lease.hpp"

namespace hamal {

struct NamedLease {
  LeaseKey key;
  LeaseToken token;
};

/// "PLATFORM/VM_ID:OWNER:NUMBER", the first three percent-encoded.
std::string to_text(const NamedLease& lease);
/// Throws Error(usage) for anything else; `name` is where the text came from.
NamedLease parse_lease(std::string_view text, const std::string& name);

}  // namespace hamal
