#include "held_server.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace hamal::testing {

HeldServer::HeldServer(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: execvp takes no const
  }
  words.push_back(nullptr);
  int in[2];
  int out[2];
  // Close-on-exec, so that no other child holds the server's standard input.
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  m_pid = ::fork();
  if (m_pid == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  m_hold = UniqueFd(in[1]);
  const UniqueFd report(out[0]);
  try {
    read_report(report.get());
  } catch (...) {
    m_hold.reset();
    ::waitpid(m_pid, nullptr, 0);
    throw;
  }
}

void HeldServer::read_report(int from) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> lines(::fdopen(::dup(from), "r"),
                                                              std::fclose);
  char buffer[4096];
  while (lines && std::fgets(buffer, sizeof buffer, lines.get()) != nullptr) {
    std::string line = buffer;
    line.pop_back();
    if (line == "ready") {
      return;
    }
    const std::size_t equals = line.find('=');
    m_values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  throw std::runtime_error("the server ended before it was ready");
}

HeldServer::~HeldServer() {
  m_hold.reset();
  ::waitpid(m_pid, nullptr, 0);
}

}  // namespace hamal::testing
