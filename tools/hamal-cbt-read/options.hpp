// What hamal-cbt-read was asked to read, from which base, and in which form.
#pragma once
#include <string>
#include <vector>

#include "common/common_options.hpp"

namespace hamal {

enum class BaseFrom { target, checkpoint, since, full };
enum class ReadForm { extents, data, raw };

struct ReadRequest {
  CommonOptions common;
  std::string operand;  ///< a snapshot document, "-", or an endpoint
  BaseFrom base = BaseFrom::full;
  std::string target;                    ///< pattern
  std::vector<std::string> checkpoints;  ///< files
  std::vector<std::string> since;        ///< CHANGE_ID or DISK=CHANGE_ID
  std::vector<std::string> disks;        ///< ids or indexes; empty: all
  std::string vm;                        ///< of a repository
  std::string at;                        ///< of a repository: the version; empty: the newest
  ReadForm form = ReadForm::extents;
};

/// Whether an operand is a repository's endpoint.
bool is_repository_operand(const std::string& operand);
/// Whether an operand is an endpoint ("WORD:…", a device) and not a file or "-".
bool is_endpoint(const std::string& operand);

ReadRequest parse_read_options(int argc, const char* const* argv);

}  // namespace hamal
