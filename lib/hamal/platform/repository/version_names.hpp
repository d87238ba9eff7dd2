// The names by which the tools know what a repository holds.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hamal/repository/manifest.hpp"

namespace hamal::repository_platform {

/// "PLATFORM/VM", each percent-encoded: the vm's id where the repository is the platform.
std::string vm_id_of(const repository::VmName& vm);
std::optional<repository::VmName> parse_vm_id(std::string_view id);

/// What a version holds of a disk: its generation and the beginning of its newest layer's digest.
std::string change_id_of(std::uint64_t generation, const repository::DiskVersion& disk);
/// The generation of a change id or of a snapshot's id; nullopt for other texts.
std::optional<std::uint64_t> generation_of(std::string_view id);

/// One disk of one version: "REPOSITORY?vm=…&disk=…&at=GENERATION".
struct Source {
  std::string repository;  ///< endpoint
  std::string vm;          ///< vm_id_of()
  std::string disk;
  std::uint64_t generation = 0;
};
std::string to_uri(const Source& source);
std::optional<Source> parse_source(std::string_view uri);

}  // namespace hamal::repository_platform
