#include "hamal/repository/new_keys.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "hamal/repository/hex.hpp"
#include "hamal/repository/key_pair.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

constexpr unsigned k_secret_mode = 0600;
constexpr unsigned k_public_mode = 0644;

/// A key that is overwritten is lost, with all that was sealed for it.
void refuse_existing(const std::filesystem::path& file) {
  std::error_code none;
  if (std::filesystem::exists(std::filesystem::symlink_status(file, none))) {
    throw Error(ErrorKind::usage, "is there already, and a key is never overwritten", file,
                "choose another name");
  }
}

void write_new_file(const std::filesystem::path& file, std::string_view text, unsigned mode) {
  const UniqueFd fd = open_file(file, O_WRONLY | O_CREAT | O_EXCL, mode);
  try {
    write_all(fd.get(), text, file);
    if (::fsync(fd.get()) != 0) {
      throw system_error("cannot make durable", file, errno);
    }
  } catch (const Error&) {
    ::unlink(file.c_str());
    throw;
  }
  fsync_directory(file.parent_path());
}

}  // namespace

std::string write_key_pair(const std::filesystem::path& private_file,
                           const std::filesystem::path& public_file) {
  refuse_existing(private_file);
  refuse_existing(public_file);
  KeyPairText pair = generate_key_pair();
  write_new_file(private_file, pair.private_key, k_secret_mode);
  wipe(pair.private_key);
  write_new_file(public_file, pair.public_key, k_public_mode);
  return PublicKey::parse(pair.public_key, public_file).fingerprint();
}

void write_index_key(const std::filesystem::path& file) {
  refuse_existing(file);
  std::string text = hex_text(SecretKey::random().bytes()) + "\n";
  write_new_file(file, text, k_secret_mode);
  wipe(text);
}

}  // namespace hamal::repository
