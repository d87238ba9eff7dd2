#include "hamal/state/postgresql_url.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "hamal/util/error.hpp"
#include "hamal/util/host_mapping.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

// What an operator may override in the URL.
constexpr std::pair<const char*, const char*> k_defaults[] = {
    {"connect_timeout", "10"},
    {"application_name", "hamal"},
    {"tcp_user_timeout", "20000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"target_session_attrs", "read-write"},
};

// The system's. libpq's own default is a file in the home of the user, which services do not have.
constexpr const char* k_authorities = "/etc/ssl/certs/ca-certificates.crt";

PostgresqlParameters parse_url(const std::string& url) {
  char* problem = nullptr;
  PQconninfoOption* const options = ::PQconninfoParse(url.c_str(), &problem);
  if (options == nullptr) {
    std::string what = problem == nullptr ? "out of memory" : std::string(trim(problem));
    ::PQfreemem(problem);
    // libpq quotes the whole URL in some of its messages, and there may be a password in it.
    if (what.find(url) != std::string::npos) {
      what = "it is no URL that libpq understands";
    }
    throw Error(ErrorKind::usage, "not a connection to PostgreSQL: " + what,
                "[database] connection", "write postgresql://USER@HOST/DATABASE");
  }
  PostgresqlParameters parameters;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) {
      parameters.emplace_back(option->keyword, option->val);
    }
  }
  ::PQconninfoFree(options);
  return parameters;
}

std::string get(const PostgresqlParameters& parameters, const std::string& keyword) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const auto& one) { return one.first == keyword; });
  return found == parameters.end() ? std::string() : found->second;
}

void set_default(PostgresqlParameters& parameters, const std::string& keyword,
                 const std::string& value) {
  if (get(parameters, keyword).empty()) {
    std::erase_if(parameters, [&](const auto& one) { return one.first == keyword; });
    parameters.emplace_back(keyword, value);
  }
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts(1);
  for (const char c : list) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// An empty one is the socket of this host; '@' is a socket without a file.
bool is_local(const std::string& host) {
  return host.empty() || host.starts_with('/') || host.starts_with('@') || host == "localhost" ||
         host == "::1" || (host.starts_with("127.") && is_ip_address(host));
}

// What libpq would take from elsewhere. It may be anything.
bool is_said_elsewhere(const PostgresqlParameters& parameters) {
  const auto is_set = [](const char* variable) {
    const char* const value = std::getenv(variable);
    return value != nullptr && *value != '\0';
  };
  return !get(parameters, "service").empty() || is_set("PGSERVICE") ||
         (get(parameters, "host").empty() && is_set("PGHOST")) ||
         (get(parameters, "hostaddr").empty() && is_set("PGHOSTADDR"));
}

// Of every server of the list that is connected to which has an address, else that of its name.
bool is_all_local(const PostgresqlParameters& parameters) {
  const std::vector<std::string> names = split(get(parameters, "host"));
  const std::vector<std::string> addresses = split(get(parameters, "hostaddr"));
  for (std::size_t at = 0; at < std::max(names.size(), addresses.size()); ++at) {
    const bool has_address = at < addresses.size() && !addresses[at].empty();
    if (!is_local(has_address ? addresses[at] : at < names.size() ? names[at] : std::string())) {
      return false;
    }
  }
  return !is_said_elsewhere(parameters);
}

}  // namespace

PostgresqlParameters postgresql_parameters(const std::string& url, const std::string& password) {
  PostgresqlParameters parameters = parse_url(url);
  for (const auto& [keyword, value] : k_defaults) {
    set_default(parameters, keyword, value);
  }
  if (!password.empty()) {
    set_default(parameters, "password", password);
  }
  // libpq would send everything in the clear to a server that speaks no TLS, and with
  // sslmode=require to whoever answers: leases and checkpoints are worth both.
  if (!is_all_local(parameters)) {
    set_default(parameters, "sslmode", "verify-full");
  }
  if (get(parameters, "sslmode").starts_with("verify-")) {
    set_default(parameters, "sslrootcert", k_authorities);
  }
  return parameters;
}

void be_patient(PostgresqlParameters& parameters, const Patience& patience) {
  if (patience.reply.count() <= 0) {
    return;
  }
  const auto bound = [&](const std::string& keyword, std::int64_t most) {
    const std::string text = get(parameters, keyword);
    std::int64_t said = 0;  // as libpq: no limit
    std::from_chars(text.data(), text.data() + text.size(), said);
    if (said <= 0 || said > most) {
      std::erase_if(parameters, [&](const auto& one) { return one.first == keyword; });
      parameters.emplace_back(keyword, std::to_string(most));
    }
  };
  // libpq counts in seconds, and takes 1 for 2.
  bound("connect_timeout", std::max<std::int64_t>(2, (patience.reply.count() + 999) / 1000));
  bound("tcp_user_timeout", patience.reply.count());
}

std::string connection_string(const PostgresqlParameters& parameters) {
  std::string text;
  for (const auto& [keyword, value] : parameters) {
    text += text.empty() ? "" : " ";
    text += keyword;
    text += "='";
    for (const char c : value) {
      text += c == '\'' || c == '\\' ? "\\" : "";
      text += c;
    }
    text += "'";
  }
  return text;
}

std::string connection_name(const PostgresqlParameters& parameters) {
  const std::string user = get(parameters, "user");
  const std::string host = get(parameters, "host");
  const std::string port = get(parameters, "port");
  return "postgresql://" + (user.empty() ? "" : user + "@") + host +
         (port.empty() ? "" : ":" + port) + "/" + get(parameters, "dbname");
}

}  // namespace hamal
