// Any bytes as hamal.conf: a Config whose values are within their ranges, or an Error(usage) with a
// place.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/config/keys.hpp"
#include "hamal/util/error.hpp"

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE: bytes are what a file is made of
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const hamal::Config config = hamal::parse_config(text, "fuzz.conf");
    hamal::Config again;
    for (const hamal::KeySpec& spec : hamal::config_keys()) {
      const std::string shown = spec.show(config);
      // What is accepted can be written down and is accepted again.
      if (!shown.empty() && spec.sensitive == hamal::Sensitive::no && !spec.set(again, shown)) {
        std::abort();
      }
    }
    for (const auto& [name, section] : config.platforms) {
      if (section.get("type").empty() || hamal::is_reserved_platform_name(name)) {
        std::abort();
      }
    }
  } catch (const hamal::Error& error) {
    if (error.kind() != hamal::ErrorKind::usage || !error.object().starts_with("fuzz.conf:")) {
      std::abort();
    }
  }
  return 0;
}
