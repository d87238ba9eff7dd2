// Logs go on growing while they are read: what is archived is what was there at the first look.
#include "hamal/mass/log_bundle.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::mass {
namespace {

constexpr std::uint64_t k_most_plain = 64U << 20U;
constexpr std::uint64_t k_least_plain = 16U << 10U;
constexpr std::size_t k_block = 512;  // of a tar archive
constexpr std::size_t k_longest_plain_name = 99;
constexpr int k_level = 9;

struct LogFile {
  std::string name;
  UniqueFd fd;
  std::uint64_t size = 0;
  std::int64_t modified = 0;
};

std::vector<LogFile> log_files(const std::filesystem::path& directory) {
  std::vector<LogFile> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.') || name.find(".log") == std::string::npos) {
      continue;
    }
    try {
      LogFile file{.name = name,
                   .fd = open_file(entry->path(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
                   .size = 0,
                   .modified = 0};
      struct stat status {};
      if (::fstat(file.fd.get(), &status) == 0 && S_ISREG(status.st_mode)) {
        file.size = static_cast<std::uint64_t>(status.st_size);
        file.modified = status.st_mtime;
        files.push_back(std::move(file));
      }
    } catch (const Error&) {
      continue;  // rotated away meanwhile, or a link
    }
  }
  if (error) {
    throw Error(ErrorKind::failed, "cannot be listed: " + error.message(), directory.string());
  }
  return files;
}

std::string tail_of(const LogFile& file, std::uint64_t most) {
  std::string text(std::min(file.size, most), '\0');
  try {
    pread_all(file.fd.get(), std::as_writable_bytes(std::span(text)), file.size - text.size(),
              file.name);
  } catch (const Error&) {
    return {};  // truncated meanwhile
  }
  if (text.size() < file.size) {
    text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return text;
}

template <std::size_t size>
void put(std::array<char, k_block>& header, std::size_t at, const char (&text)[size]) {
  std::memcpy(&header.at(at), text, size - 1);
}

void put_octal(std::array<char, k_block>& header, std::size_t at, int digits, std::uint64_t value) {
  const std::string text = fmt::format("{:0{}o}", value, digits);
  std::memcpy(&header.at(at), text.data(), text.size());
}

void add_block(std::string& archive, const std::string& name, std::string_view content,
               std::int64_t modified, char type) {
  std::array<char, k_block> header{};
  std::memcpy(header.data(), name.data(), std::min(name.size(), k_longest_plain_name));
  put_octal(header, 100, 7, 0600);
  put_octal(header, 108, 7, 0);
  put_octal(header, 116, 7, 0);
  put_octal(header, 124, 11, content.size());
  put_octal(header, 136, 11, static_cast<std::uint64_t>(std::max<std::int64_t>(modified, 0)));
  put(header, 148, "        ");
  header.at(156) = type;
  put(header, 257, "ustar  ");  // GNU's, which has long names
  unsigned sum = 0;
  for (const char c : header) {
    sum += static_cast<unsigned char>(c);
  }
  put_octal(header, 148, 6, sum);
  header.at(154) = '\0';
  archive.append(header.data(), header.size());
  archive.append(content);
  archive.append((k_block - content.size() % k_block) % k_block, '\0');
}

void add_file(std::string& archive, const LogFile& file, const std::string& content) {
  if (file.name.size() > k_longest_plain_name) {
    add_block(archive, "././@LongLink", std::string_view(file.name.c_str(), file.name.size() + 1),
              0, 'L');
  }
  add_block(archive, file.name, content, file.modified, '0');
}

/// Of at most `budget` bytes of logs, divided evenly; what small ones leave is for the larger ones.
std::string archive_of(const std::vector<LogFile>& by_size, std::uint64_t budget) {
  std::string archive;
  for (std::size_t i = 0; i < by_size.size(); ++i) {
    const std::string content = tail_of(by_size[i], budget / (by_size.size() - i));
    budget -= content.size();
    add_file(archive, by_size[i], content);
  }
  archive.append(2 * k_block, '\0');
  return archive;
}

std::string compressed(const std::string& plain) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  const std::size_t size =
      ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), k_level);
  if (ZSTD_isError(size) != 0) {
    throw Error(ErrorKind::failed, ZSTD_getErrorName(size), "zstd");
  }
  packed.resize(size);
  return packed;
}

}  // namespace

std::string log_bundle(const std::filesystem::path& directory, std::uint64_t most) {
  std::vector<LogFile> files = log_files(directory);
  std::sort(files.begin(), files.end(), [](const LogFile& a, const LogFile& b) {
    return a.size != b.size ? a.size < b.size : a.name < b.name;
  });
  for (std::uint64_t budget = k_most_plain; budget >= k_least_plain; budget /= 2) {
    std::string packed = compressed(archive_of(files, budget));
    if (packed.size() <= most) {
      return packed;
    }
  }
  throw Error(ErrorKind::failed, fmt::format("the logs do not fit into {} bytes", most),
              directory.string());
}

}  // namespace hamal::mass
