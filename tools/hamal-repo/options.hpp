// What hamal-repo was asked to do.
#pragma once
#include <chrono>
#include <string>

#include "common/common_options.hpp"
#include "hamal/repository/verify.hpp"

namespace hamal {

enum class RepoCommand { init, list, show, commit, stats, verify };

struct RepoRequest {
  CommonOptions common;
  RepoCommand command = RepoCommand::list;
  std::string repository;             ///< dir:PATH or s3://NAME/PREFIX
  std::string document;               ///< commit: a file or "-"
  std::chrono::milliseconds wait{0};  ///< commit: for a busy vm
  std::string vm;                     ///< list, verify: may be empty; show: VM or VM@VERSION
  repository::VerifyDepth depth = repository::VerifyDepth::quick;
  bool mark = false;  ///< verify: tell the writers what is damaged
};

RepoRequest parse_repo_options(int argc, const char* const* argv);

}  // namespace hamal
