// The kinds of targets, as target.cpp dispatches them. Private to this folder.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hamal/target/target.hpp"

namespace hamal {

std::string canonical_file(const std::string& path);
std::unique_ptr<Target> open_file_target(const Endpoint& endpoint, std::uint64_t size,
                                         const TargetOptions& options);

std::string canonical_device(const std::string& path);
std::unique_ptr<Target> open_device_target(const Endpoint& endpoint, std::uint64_t size,
                                           const TargetOptions& options);

std::string canonical_nbd(const std::string& uri);
std::unique_ptr<Target> open_nbd_target(const Endpoint& endpoint, std::uint64_t size,
                                        const TargetOptions& options);

std::unique_ptr<Target> open_rbd_target(const Endpoint& endpoint, std::uint64_t size,
                                        const TargetOptions& options);

/// What a device holds that someone may miss ("an ext4 file system"); empty when nothing is
/// recognized. Reads its first MiB.
std::string device_signature(int fd, std::uint64_t size, const std::string& uri);
std::string signature_of(std::span<const std::byte> first_mib);

/// An exclusive lock that lasts as long as the descriptor; Error(busy) when another run has it.
void lock_target(int fd, const std::string& uri);
/// Throws Error(wrong_target) when another program (QEMU does so with the images it runs) has
/// locked bytes of the file.
void refuse_locked(int fd, const std::string& uri);

}  // namespace hamal
