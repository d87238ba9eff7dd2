#include "hamal/period/command_lines.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal::period {
namespace {

constexpr std::size_t k_longest_name = 100;
// Of our own making (RFC 9562, 5.5): the namespace of machines known to hamal.
constexpr std::array<unsigned char, 16> k_namespace{0x68, 0x61, 0x6d, 0x61, 0x6c, 0x2d, 0x40, 0x76,
                                                    0x80, 0x6d, 0x2d, 0x61, 0x67, 0x65, 0x6e, 0x74};

std::array<unsigned char, 20> sha1(const std::string& bytes) {
  std::array<unsigned char, 20> digest{};
  unsigned length = digest.size();
  if (::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, ::EVP_sha1(), nullptr) !=
      1) {
    throw Error(ErrorKind::failed, "OpenSSL computes no SHA-1");
  }
  return digest;
}

bool is_uuid(const std::string& text) {
  if (text.size() != 36) {
    return false;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
    const bool right =
        dash ? text[at] == '-'
             : std::string_view("0123456789abcdefABCDEF").find(text[at]) != std::string_view::npos;
    if (!right) {
      return false;
    }
  }
  return true;
}

std::string uuid_of(const VmName& vm) {
  if (is_uuid(vm.id)) {
    return to_lower(vm.id);
  }
  std::string text(k_namespace.begin(), k_namespace.end());
  auto bytes = sha1(text + vm.platform + "/" + vm.id);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0fU) | 0x50U);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3fU) | 0x80U);
  std::string uuid;
  for (std::size_t at = 0; at < 16; ++at) {
    uuid += at == 4 || at == 6 || at == 8 || at == 10 ? "-" : "";
    uuid += fmt::format("{:02x}", bytes.at(at));
  }
  return uuid;
}

Argv tool(const std::string& name, const std::string& config) {
  Argv argv{name};
  if (!config.empty()) {
    argv.insert(argv.end(), {"--config", config});
  }
  return argv;
}

template <typename... Words>
Argv with(Argv argv, Words... words) {
  argv.insert(argv.end(), {std::string(words)...});
  return argv;
}

}  // namespace

CommandLines command_lines(const Job& job, const VmName& vm, const Share& share,
                           const std::string& document, const std::string& config,
                           ProgressReader reader) {
  CommandLines lines;
  lines.document = document;
  lines.create = with(tool("hamal-snapshot", config), "create");
  if (job.quiesce != "no") {
    lines.create = with(lines.create, "--quiesce", job.quiesce);
  }
  lines.create = with(lines.create, vm.platform + ":" + percent_encode(vm.id));
  lines.read = with(tool("hamal-cbt-read", config), document, "--target", job.target);
  lines.sync = with(tool("hamal-sync", config), "-", "--target", job.target, "--json", "--progress",
                    reader == ProgressReader::people ? "text" : "json", "--parallel-disks",
                    std::to_string(share.disks), "--memory-limit", std::to_string(share.memory));
  if (share.bytes_per_second != 0) {
    lines.sync = with(lines.sync, "--bwlimit", std::to_string(share.bytes_per_second));
  }
  const Argv finish = with(tool("hamal-snapshot", config), "finish", document);
  lines.finish_committed = with(finish, "--committed");
  lines.finish_failed = with(finish, "--failed");
  if (job.into_repository()) {
    lines.commit =
        with(tool("hamal-repo", config), "commit", document, "--target", job.target, "--json");
  }
  if (!job.keep.empty()) {
    lines.prune = with(tool("hamal-repo", config), "prune", job.target, vm.platform + ":" + vm.id);
    lines.prune.insert(lines.prune.end(), job.keep.begin(), job.keep.end());
    lines.prune.emplace_back("--yes");
  }
  return lines;
}

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view k_plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-";
  if (!word.empty() && word.find_first_not_of(k_plain) == std::string::npos) {
    return word;
  }
  std::string quoted = "'";
  for (const char c : word) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::string shell_quoted(const Argv& argv) {
  std::string line;
  for (const std::string& word : argv) {
    line += (line.empty() ? "" : " ") + shell_quoted(word);
  }
  return line;
}

std::string shell_script(const CommandLines& lines) {
  std::string script =
      shell_quoted(lines.create) + " > " + shell_quoted(lines.document) + " && {\n";
  script += "  " + shell_quoted(lines.read) + " |\n    " + shell_quoted(lines.sync) + " &&\n";
  if (!lines.commit.empty()) {
    script += "  " + shell_quoted(lines.commit) + " &&\n";
  }
  script += "  " + shell_quoted(lines.finish_committed) + " ||\n";
  script += "  { " + shell_quoted(lines.finish_failed) + "; false; }\n}";
  if (!lines.prune.empty()) {
    script += " &&\n" + shell_quoted(lines.prune);
  }
  return script + "\n";
}

std::string safe_file_name(const std::string& text) {
  const std::string safe = percent_encode(text);
  if (safe.size() <= k_longest_name) {
    return safe;
  }
  const auto digest = sha1(text);
  return fmt::format("{}-{:02x}", safe.substr(0, k_longest_name),
                     fmt::join(digest.begin(), digest.begin() + 8, ""));
}

std::string vm_log_name(const VmName& vm) {
  return fmt::format("vm-{}_Agent-{}.log", safe_file_name(vm.name.empty() ? vm.id : vm.name),
                     uuid_of(vm));
}

}  // namespace hamal::period
