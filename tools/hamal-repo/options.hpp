// What hamal-repo was asked to do.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "common/common_options.hpp"
#include "hamal/repository/compaction.hpp"
#include "hamal/repository/prune.hpp"
#include "hamal/repository/verify.hpp"

namespace hamal {

enum class RepoCommand { init, list, show, commit, stats, verify, prune, compact, key };

enum class KeyAction { generate, show, change };

struct KeyRequest {
  KeyAction action = KeyAction::show;
  std::string file;                      ///< generate: of the private key
  bool index_key = false;                ///< generate: one of these, not a pair
  std::vector<std::string> public_keys;  ///< files; init, add, rotate
  std::vector<std::string> recipients;   ///< remove, rotate: the beginnings of their names
  SecretReference private_key;           ///< none: that of the configuration
};

struct RepoRequest {
  CommonOptions common;
  RepoCommand command = RepoCommand::list;
  std::string repository;             ///< dir:PATH or s3://NAME/PREFIX
  std::string document;               ///< commit: a file or "-"
  std::chrono::milliseconds wait{0};  ///< commit: for a busy vm
  std::string vm;                     ///< list, verify, prune: may be empty; show: VM or VM@VERSION
  repository::VerifyDepth depth = repository::VerifyDepth::quick;
  bool mark = false;  ///< verify: tell the writers what is damaged
  repository::PruneOptions prune;
  std::vector<std::string> drop;  ///< prune: VM@VERSION
  bool yes = false;               ///< prune, key remove and rotate: not only say what would go
  KeyRequest key;                 ///< of init the public keys
  repository::CompactionOptions compaction;
  bool dry_run = false;  ///< compact
};

RepoRequest parse_repo_options(int argc, const char* const* argv);

}  // namespace hamal
