// The text of a disk flag, as the checkpoint keeps it.
#include <charconv>

#include "hamal/sync/disk_flag.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr std::string_view k_version = "v1";
constexpr std::size_t k_hash_digits = 32;
// What a later hamal of this version may write; far from what would cost anything.
constexpr std::size_t k_most_samples = 1024;

[[noreturn]] void refuse(const std::string& what, const std::string& object) {
  throw Error(ErrorKind::wrong_target, "the disk flag in the checkpoint is damaged: " + what,
              object,
              "the state database was changed by something else; copy all of the disk again with "
              "--incremental=never --force");
}

}  // namespace

std::vector<FlagSample> parse_disk_flag(std::string_view text, std::uint64_t size,
                                        const std::string& object) {
  std::vector<FlagSample> samples;
  if (text.empty()) {
    return samples;
  }
  const std::string_view version = text.substr(0, text.find(' '));
  if (version != k_version) {
    refuse("it does not begin with " + std::string(k_version), object);
  }
  text.remove_prefix(version.size());
  if (text.empty()) {
    refuse("it has no samples", object);
  }
  while (!text.empty()) {
    text.remove_prefix(1);  // the space
    const std::string_view item = text.substr(0, text.find(' '));
    text.remove_prefix(item.size());
    FlagSample sample;
    const char* const end = item.data() + item.size();
    const auto [stop, error] = std::from_chars(item.data(), end, sample.offset);
    if (error != std::errc{} || stop == end || *stop != ':' ||
        (item.front() == '0' && stop != item.data() + 1)) {
      refuse("a sample is not OFFSET:HASH", object);
    }
    sample.hash.assign(stop + 1, end);
    if (sample.hash.size() != k_hash_digits ||
        sample.hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
      refuse("a hash is not of 32 hexadecimal digits", object);
    }
    if (sample.offset % k_flag_block != 0 || sample.offset >= size ||
        (!samples.empty() && sample.offset <= samples.back().offset)) {
      refuse("an offset is out of place", object);
    }
    if (samples.size() == k_most_samples) {
      refuse("it has too many samples", object);
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

std::string to_text(const std::vector<FlagSample>& samples) {
  std::string text;
  for (const FlagSample& sample : samples) {
    text += (text.empty() ? std::string(k_version) : "") + " " + std::to_string(sample.offset) +
            ":" + sample.hash;
  }
  return text;
}

}  // namespace hamal
