// Secrets by reference: files, environment variables, systemd credentials.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>

#include "hamal/config/config.hpp"
#include "hamal/util/core_dumps.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

using Kind = SecretReference::Kind;

constexpr std::uint64_t k_longest_secret = 64U << 10;

enum class ModeCheck { no, yes };

std::string without_newline(std::string text) {
  if (text.ends_with('\n')) {
    text.pop_back();
    if (text.ends_with('\r')) {
      text.pop_back();
    }
  }
  return text;
}

void check_mode(int fd, const std::string& path, const std::string& what) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    throw system_error("cannot look at the file", path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::usage, "the secret " + path + " is not a regular file", what);
  }
  if ((status.st_mode & 0007U) != 0) {
    throw Error(ErrorKind::usage,
                fmt::format("the secret file {} is open to everyone (mode {:04o})", path,
                            status.st_mode & 07777U),
                what, "chmod 0600 " + path + ", and change the secret: others may have read it");
  }
}

std::string read_secret_file(const std::string& path, const std::string& what, ModeCheck check) {
  try {
    // A FIFO would block before it can be refused.
    const UniqueFd fd = open_file(path, O_RDONLY | O_NONBLOCK);
    if (check == ModeCheck::yes) {
      check_mode(fd.get(), path, what);
    }
    return without_newline(read_all(fd.get(), path, k_longest_secret));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::usage) {
      throw;
    }
    throw Error(ErrorKind::usage, fmt::format("the secret {}: {}", path, error.problem()), what,
                error.hint());
  }
}

std::string from_environment(const std::string& name, const std::string& what) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) {
    throw Error(ErrorKind::usage, "the environment variable " + name + " is not set", what);
  }
  return value;
}

std::string from_credential(const std::string& name, const std::string& what) {
  const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory == '\0') {
    throw Error(ErrorKind::usage, "there are no systemd credentials for credential:" + name, what,
                "run as a service with LoadCredential=" + name + ":PATH, or use file:PATH");
  }
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    throw Error(ErrorKind::usage, "credential:" + escape_control(name) + " is not a plain name",
                what);
  }
  return read_secret_file(std::string(directory) + "/" + name, what, ModeCheck::no);
}

}  // namespace

SecretReference parse_secret(const std::string& text) {
  struct Prefix {
    const char* text;
    Kind kind;
  };
  constexpr Prefix k_prefixes[] = {
      {"file:", Kind::file}, {"env:", Kind::environment}, {"credential:", Kind::credential}};
  if (text.empty()) {
    return {};
  }
  for (const Prefix& prefix : k_prefixes) {
    if (text.starts_with(prefix.text)) {
      return {prefix.kind, text.substr(std::string_view(prefix.text).size())};
    }
  }
  return {Kind::plain, text};
}

std::string resolve_secret(const SecretReference& secret, const std::string& what) {
  // Where it goes from here is not known: to clients, connections, other libraries.
  forbid_core_dumps();
  std::string value;
  switch (secret.kind) {
    case Kind::none:
      throw Error(ErrorKind::usage, "no secret is configured", what,
                  "set it to file:PATH, env:NAME or credential:NAME");
    case Kind::plain:
      value = secret.value;
      break;
    case Kind::file:
      value = read_secret_file(secret.value, what, ModeCheck::yes);
      break;
    case Kind::environment:
      value = from_environment(secret.value, what);
      break;
    case Kind::credential:
      value = from_credential(secret.value, what);
      break;
  }
  if (value.empty()) {
    throw Error(ErrorKind::usage, "the secret is empty", what);
  }
  return value;
}

}  // namespace hamal
