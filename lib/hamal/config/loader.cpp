#include "hamal/config/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "hamal/config/values.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

constexpr unsigned k_safe_mode = 0640;

// "platform web01" → {"platform", "web01"}
std::pair<std::string, std::string> split_section(const std::string& section) {
  const auto blank = section.find_first_of(" \t");
  if (blank == std::string::npos) {
    return {section, {}};
  }
  return {section.substr(0, blank), std::string(trim(std::string_view(section).substr(blank)))};
}

bool is_fixed_section(const std::string& name) {
  const auto& keys = config_keys();
  return std::any_of(keys.begin(), keys.end(),
                     [&name](const KeySpec& spec) { return spec.section == name; });
}

const KeySpec* find_key(const std::string& section, const std::string& key) {
  for (const KeySpec& spec : config_keys()) {
    if (spec.section == section && spec.key == key) {
      return &spec;
    }
  }
  return nullptr;
}

bool has_type(const NamedKeySpec& spec, const std::string& type) {
  return spec.types.empty() ||
         std::find(spec.types.begin(), spec.types.end(), type) != spec.types.end();
}

// Long or binary values would hide the sentence that they stand in.
std::string shown(const std::string& value) {
  constexpr std::size_t k_longest = 60;
  const bool cut = value.size() > k_longest;
  return "\"" + escape_control(value.substr(0, k_longest)) + (cut ? "…\"" : "\"");
}

std::string label_of(const std::string& section, const std::string& key) {
  return fmt::format("[{}] {}", escape_control(section), escape_control(key));
}

std::string suggestion(const std::string& name, const std::vector<std::string>& names,
                       const char* before, const char* behind) {
  const std::string nearest = nearest_name(name, names);
  return nearest.empty() ? std::string()
                         : fmt::format("; did you mean {}{}{}?", before, nearest, behind);
}

[[noreturn]] void refuse_value(const ConfigOrigin& origin, const std::string& label,
                               const std::string& value, const std::string& allowed,
                               Sensitive sensitive) {
  std::string what = sensitive == Sensitive::yes ? "this secret" : shown(value);
  if (carries_password(value)) {
    what = "an address with a password (not shown)";
  }
  throw Error(ErrorKind::usage,
              fmt::format("{}: {} is not allowed; allowed: {}", label, what, allowed),
              place(origin));
}

}  // namespace

void ConfigLoader::add(const std::string& text, const std::string& name,
                       std::optional<unsigned> mode) {
  const IniText ini = parse_ini(text, name);
  if (mode) {
    m_modes[name] = *mode;
    if ((*mode & 0002U) != 0) {
      m_config.warnings.push_back(
          fmt::format("{}: everyone can write to it (mode {:04o}): chmod 0640", name, *mode));
    }
  }
  for (const IniSection& section : ini.sections) {
    open_section(name, section);
  }
  for (const IniEntry& entry : ini.entries) {
    add_entry(name, entry);
  }
}

void ConfigLoader::open_section(const std::string& file, const IniSection& section) {
  if (is_fixed_section(section.name)) {
    return;
  }
  const auto [kind, name] = split_section(section.name);
  const ConfigOrigin origin{file, section.line};
  auto* const sections = sections_of(kind);
  if (sections != nullptr) {
    open_named(origin, section.name);
    return;
  }
  std::vector<std::string> names{"platform NAME", "s3 NAME", "ceph NAME", "job NAME"};
  for (const KeySpec& spec : config_keys()) {
    names.push_back(spec.section);
  }
  std::string hint = suggestion(section.name, names, "[", "]");
  if (hint.empty() && !name.empty()) {
    hint = suggestion(kind, {"platform", "s3", "ceph", "job"}, "[", " NAME]");
  }
  warn(origin, fmt::format("[{}]: unknown section, ignored{}", escape_control(section.name), hint));
}

void ConfigLoader::open_named(const ConfigOrigin& origin, const std::string& section) {
  const auto [kind, name] = split_section(section);
  const auto fail = [&origin, &section = section](const std::string& what) {
    throw Error(ErrorKind::usage, fmt::format("[{}]: {}", escape_control(section), what),
                place(origin));
  };
  if (name.empty()) {
    fail(fmt::format("a name is missing; allowed: [{} NAME]", kind));
  }
  constexpr std::string_view k_allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  if (name.find_first_not_of(k_allowed) != std::string::npos || name.starts_with('-') ||
      name.starts_with('.')) {
    fail("the name is not allowed; allowed: letters, digits, _ - . (- and . not in front)");
  }
  if (kind == "platform" && is_reserved_platform_name(name)) {
    fail(
        fmt::format("\"{}\" is a reserved word; allowed: any name that is no platform type and no "
                    "URI scheme, like my-{}",
                    name, name));
  }
  NamedSection& entry = (*sections_of(kind))[name];
  if (entry.name.empty()) {
    entry.name = name;
    entry.origin = origin;
  }
}

void ConfigLoader::add_entry(const std::string& file, const IniEntry& entry) {
  const ConfigOrigin origin{file, entry.line};
  NamedSection* const named = find_named(entry.section);
  if (named == nullptr && !is_fixed_section(entry.section)) {
    return;  // the unknown section was warned about once
  }
  note_duplicate(origin, entry);
  if (named != nullptr) {
    named->values[entry.key] = entry.value;
    named->origins[entry.key] = origin;
    return;
  }
  const KeySpec* const spec = find_key(entry.section, entry.key);
  if (spec == nullptr) {
    warn_unknown_key(origin, entry);
    return;
  }
  if (entry.value.empty()) {
    spec->reset(m_config);
  } else if (!spec->set(m_config, entry.value)) {
    refuse_value(origin, label_of(entry.section, entry.key), entry.value, spec->allowed,
                 spec->hides && spec->hides(entry.value) ? Sensitive::yes : spec->sensitive);
  }
}

void ConfigLoader::warn_unknown_key(const ConfigOrigin& origin, const IniEntry& entry) {
  std::vector<std::string> here;
  std::string elsewhere;
  for (const KeySpec& spec : config_keys()) {
    if (spec.section == entry.section) {
      here.push_back(spec.key);
    } else if (spec.key == entry.key) {
      elsewhere = spec.section;
    }
  }
  const std::string hint = elsewhere.empty() ? suggestion(entry.key, here, "", "")
                                             : fmt::format("; it belongs to [{}]", elsewhere);
  warn(origin, fmt::format("{}: unknown key, ignored{}", label_of(entry.section, entry.key), hint));
}

void ConfigLoader::note_duplicate(const ConfigOrigin& origin, const IniEntry& entry) {
  const auto [seen, is_new] = m_seen.try_emplace({entry.section, entry.key}, origin);
  if (is_new) {
    return;
  }
  // In a later file it is how settings are overridden; in one file it is a mistake.
  if (seen->second.file == origin.file) {
    warn(origin, fmt::format("{}: set twice, this value counts and that of line {} does not",
                             label_of(entry.section, entry.key), seen->second.line));
  }
  seen->second = origin;
}

Config ConfigLoader::finish() {
  for (const char* const kind : {"platform", "s3", "ceph", "job"}) {
    for (const auto& [name, section] : *sections_of(kind)) {
      check_named(kind, section);
      if (kind == std::string_view("s3")) {
        check_address(section);
      }
    }
  }
  const auto check = [this](const char* section, const char* key, const SecretReference& secret) {
    const auto seen = m_seen.find({section, key});
    if (seen != m_seen.end()) {
      check_secret(fmt::format("[{}] {}", section, key), secret, seen->second);
    }
  };
  check("mass", "auth_key", m_config.mass.auth_key);
  check("database", "password", m_config.database_password);
  if (carries_password(m_config.database_connection)) {
    check("database", "connection", {SecretReference::Kind::plain, {}});
  }
  check("repository", "index_key", m_config.repository.index_key);
  check("repository", "private_key", m_config.repository.private_key);
  DataSyncSection& sync = m_config.data_sync;
  limit_start("parallel_sync_disks_count", sync.parallel_sync_disks_count,
              sync.max_parallel_sync_disks_count);
  limit_start("pre_disk_readers_count", sync.pre_disk_readers_count,
              sync.max_pre_disk_readers_count);
  for (const auto& [name, origin] : m_seen) {
    if (find_key(name.first, name.second) != nullptr) {
      m_config.origins.emplace(name, origin);
    }
  }
  return std::move(m_config);
}

void ConfigLoader::check_named(const std::string& kind, const NamedSection& section) {
  const std::string title = kind + " " + section.name;
  const std::string type = section.get("type");
  if (kind == "platform" && type.empty()) {
    throw Error(ErrorKind::usage,
                fmt::format("{}: missing; allowed: {}", label_of(title, "type"),
                            named_keys().front().allowed),
                place(section.origin));
  }
  for (const auto& [key, value] : section.values) {
    const ConfigOrigin& origin = section.origins.at(key);
    const NamedKeySpec* const known = find_named_key(kind, key);
    std::vector<std::string> names;
    for (const NamedKeySpec& spec : named_keys()) {
      if (spec.kind == kind && has_type(spec, type)) {
        names.push_back(spec.key);
      }
    }
    if (known == nullptr) {
      warn(origin, fmt::format("{}: unknown key, ignored{}", label_of(title, key),
                               suggestion(key, names, "", "")));
      continue;
    }
    if (!has_type(*known, type)) {
      warn(origin, fmt::format("{}: not a key of type {}, ignored", label_of(title, key),
                               escape_control(type)));
      continue;
    }
    if (!value.empty() && known->check && !known->check(value)) {
      refuse_value(origin, label_of(title, key), value, known->allowed, known->sensitive);
    }
    if (known->sensitive == Sensitive::yes) {
      check_secret(label_of(title, key), parse_secret(value), origin);
    }
  }
}

void ConfigLoader::check_address(const NamedSection& section) {
  const std::string endpoint = section.get("endpoint");
  constexpr std::string_view k_plain = "http://";
  if (!endpoint.starts_with(k_plain)) {
    return;
  }
  const std::string host = endpoint.substr(k_plain.size());
  for (const char* const here : {"localhost", "127.", "[::1]"}) {
    if (host.starts_with(here)) {
      return;
    }
  }
  warn(section.origins.at("endpoint"),
       fmt::format("{}: http:// sends all data unencrypted; use https://",
                   label_of("s3 " + section.name, "endpoint")));
}

void ConfigLoader::check_secret(const std::string& label, const SecretReference& secret,
                                const ConfigOrigin& origin) {
  const auto mode = m_modes.find(origin.file);
  if (secret.kind == SecretReference::Kind::plain && mode != m_modes.end() &&
      (mode->second & ~k_safe_mode) != 0) {
    warn(origin, fmt::format("{}: a plain secret in a file of mode {:04o}: chmod 0640, or give it "
                             "as file:PATH, env:NAME or credential:NAME",
                             label, mode->second));
  }
}

void ConfigLoader::limit_start(const char* key, unsigned& start, unsigned ceiling) {
  if (start <= ceiling) {
    return;
  }
  const auto seen = m_seen.find({"data_sync_v2", key});
  const auto seen_ceiling = m_seen.find({"data_sync_v2", std::string("max_") + key});
  const ConfigOrigin& origin = seen != m_seen.end() ? seen->second : seen_ceiling->second;
  warn(origin,
       fmt::format("{} is above max_{}: {} is used", label_of("data_sync_v2", key), key, ceiling));
  start = ceiling;
}

NamedSection* ConfigLoader::find_named(const std::string& section) {
  const auto [kind, name] = split_section(section);
  auto* const sections = sections_of(kind);
  if (sections == nullptr) {
    return nullptr;
  }
  const auto found = sections->find(name);
  return found == sections->end() ? nullptr : &found->second;
}

std::map<std::string, NamedSection>* ConfigLoader::sections_of(const std::string& kind) {
  if (kind == "platform") {
    return &m_config.platforms;
  }
  if (kind == "s3") {
    return &m_config.s3;
  }
  if (kind == "ceph") {
    return &m_config.ceph;
  }
  return kind == "job" ? &m_config.jobs : nullptr;
}

void ConfigLoader::warn(const ConfigOrigin& origin, const std::string& what) {
  m_config.warnings.push_back(place(origin) + ": " + what);
}

}  // namespace hamal
