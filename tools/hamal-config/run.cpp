// check and get: the effective configuration, for people and for scripts.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/output.hpp"
#include "hamal-config/commands.hpp"
#include "hamal/config/effective.hpp"
#include "hamal/config/keys.hpp"
#include "hamal/period/job.hpp"
#include "hamal/state/state_outlook.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t k_source_column = 56;

std::string source_of(const EffectiveKey& one) {
  return one.origin ? fmt::format("{}:{}", one.origin->file, one.origin->line) : "default";
}

/// What hamal.conf(5) takes as it is.
std::string written(const EffectiveKey& one) {
  const std::string& value = one.value;
  if (one.masked) {
    return value;
  }
  const bool quotes = value.empty() || value.find_first_of("#; \t\"'") != std::string::npos;
  if (!quotes) {
    return escape_control(value);
  }
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return quote + escape_control(value) + quote;
}

std::string text_of(const std::vector<EffectiveKey>& keys) {
  std::string text;
  std::string section;
  for (const EffectiveKey& one : keys) {
    if (one.section != section) {
      section = one.section;
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    // A secret that is not shown must not look like one that could be put back.
    std::string line = fmt::format("{}{} = {}", one.masked ? "# " : "", one.key, written(one));
    line.resize(std::max(line.size(), k_source_column), ' ');
    text += fmt::format("{} # {}\n", line, escape_control(source_of(one)));
  }
  return text;
}

std::string json_of(const std::vector<EffectiveKey>& keys,
                    const std::vector<std::string>& warnings) {
  Json list = Json::array();
  for (const EffectiveKey& one : keys) {
    list.push_back({{"section", one.section},
                    {"key", one.key},
                    {"value", one.masked ? Json(nullptr) : Json(one.value)},
                    {"masked", one.masked},
                    {"file", one.origin ? Json(one.origin->file) : Json(nullptr)},
                    {"line", one.origin ? Json(one.origin->line) : Json(nullptr)}});
  }
  const Json all{
      {"format", "hamal-config"}, {"version", 1}, {"keys", list}, {"warnings", warnings}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Throws the Error of the first that cannot be read.
void read_secrets(const Config& config) {
  const auto read = [](const std::string& section, const std::string& key,
                       const SecretReference& secret) {
    if (secret.kind != SecretReference::Kind::none) {
      static_cast<void>(resolve_secret(secret, fmt::format("[{}] {}", section, key)));
    }
  };
  read("mass", "auth_key", config.mass.auth_key);
  read("database", "password", config.database_password);
  read("repository", "index_key", config.repository.index_key);
  read("repository", "private_key", config.repository.private_key);
  const auto read_all = [&read](const char* kind, const auto& sections) {
    for (const auto& [name, section] : sections) {
      for (const auto& [key, value] : section.values) {
        const NamedKeySpec* const spec = find_named_key(kind, key);
        if (spec != nullptr && spec->sensitive == Sensitive::yes) {
          read(std::string(kind) + " " + name, key, parse_secret(value));
        }
      }
    }
  };
  read_all("platform", config.platforms);
  read_all("s3", config.s3);
  read_all("ceph", config.ceph);
}

int check(const ConfigRequest& request, Session& session) {
  const Config& config = session.config();
  static_cast<void>(period::jobs_of(config));  // throws, naming file and line, where one is wrong
  if (request.secrets) {
    read_secrets(config);
  }
  if (request.state) {
    static_cast<void>(look_at_state(config));  // throws where this version cannot use it
  }
  if (!request.quiet) {
    const std::vector<EffectiveKey> keys = effective_keys(config);
    const bool json = session.options().format == ReportFormat::json;
    write_stdout(json ? json_of(keys, config.warnings) : text_of(keys), session.cancel());
  }
  return 0;
}

int get(const ConfigRequest& request, Session& session) {
  for (const EffectiveKey& one : effective_keys(session.config())) {
    if (one.section == request.section && one.key == request.key) {
      if (one.masked) {
        throw Error(ErrorKind::usage, "is a secret, and not printed",
                    fmt::format("[{}] {}", one.section, one.key));
      }
      write_stdout(one.value + "\n", session.cancel());
      return 0;
    }
  }
  throw Error(ErrorKind::usage, "there is no such key, or it is not set",
              fmt::format("[{}] {}", request.section, request.key), "see hamal-config check");
}

}  // namespace

int run_config(const ConfigRequest& request, Session& session) {
  return request.command == ConfigCommand::get ? get(request, session) : check(request, session);
}

}  // namespace hamal
