#include "hamal/config/effective.hpp"

#include <algorithm>

#include "hamal/config/keys.hpp"
#include "hamal/config/values.hpp"

namespace hamal {
namespace {

/// What is shown instead of a value; empty when it may be shown.
std::string remark_for(const NamedKeySpec& spec, const std::string& value) {
  if (spec.sensitive == Sensitive::yes) {
    return parse_secret(value).kind == SecretReference::Kind::plain ? "(a plain secret)" : "";
  }
  return carries_password(value) ? "(an address with a password)" : "";
}

void add_named(const std::string& kind, const std::map<std::string, NamedSection>& sections,
               std::vector<EffectiveKey>& all) {
  for (const auto& [name, section] : sections) {
    for (const auto& [key, value] : section.values) {
      const NamedKeySpec* const spec = find_named_key(kind, key);
      if (spec == nullptr) {
        continue;
      }
      const std::string remark = remark_for(*spec, value);
      all.push_back({.section = kind + " " + name,
                     .key = key,
                     .value = remark.empty() ? value : remark,
                     .origin = section.origins.at(key),
                     .masked = !remark.empty()});
    }
  }
}

}  // namespace

std::vector<EffectiveKey> effective_keys(const Config& config) {
  std::vector<EffectiveKey> all;
  for (const KeySpec& spec : config_keys()) {
    EffectiveKey one{.section = spec.section,
                     .key = spec.key,
                     .value = spec.show(config),
                     .origin = {},
                     .masked = false};
    const auto found = config.origins.find({spec.section, spec.key});
    if (found != config.origins.end()) {
      one.origin = found->second;
    }
    // Instead of what must not be shown there is a remark in parentheses (keys.cpp).
    const bool may_hide = spec.sensitive == Sensitive::yes || spec.hides;
    one.masked = may_hide && one.value.starts_with('(');
    all.push_back(std::move(one));
  }
  add_named("platform", config.platforms, all);
  add_named("s3", config.s3, all);
  add_named("ceph", config.ceph, all);
  add_named("job", config.jobs, all);
  return all;
}

}  // namespace hamal
