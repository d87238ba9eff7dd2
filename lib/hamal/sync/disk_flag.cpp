#include "hamal/sync/disk_flag.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <set>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// Blocks that this run wrote, and blocks of the flag before; the rest is anywhere.
constexpr std::size_t k_of_this_run = 12;
constexpr std::size_t k_of_before = 8;

using Digest = std::array<unsigned char, 32>;

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes += static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

// What every hash of this checkpoint begins with. Lengths keep ("ab", "c") and ("a", "bc") apart.
std::string subject(const Checkpoint& checkpoint, char use) {
  std::string bytes = "hamal-disk-flag v1";
  bytes += use;
  const DiskIdentity& i = checkpoint.identity;
  for (const std::string* part : {&i.platform, &i.vm_id, &i.disk_id, &i.target}) {
    bytes += little_endian(part->size()) + *part;
  }
  return bytes + little_endian(checkpoint.generation) + little_endian(checkpoint.size);
}

Digest hmac(const std::string& key, const std::string& message) {
  Digest digest{};
  unsigned length = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, message.size(),
             digest.data(), &length) == nullptr) {
    throw Error(ErrorKind::failed, "HMAC-SHA-256 failed", "the disk flag");
  }
  return digest;
}

std::string hash_of(const std::string& key, const std::string& subject, std::uint64_t offset,
                    std::string_view block) {
  static constexpr char k_digits[] = "0123456789abcdef";
  std::string message = subject + little_endian(offset) + little_endian(block.size());
  message += block;
  const Digest digest = hmac(key, message);
  std::string text;
  for (std::size_t i = 0; i < 16; ++i) {
    text += k_digits[digest[i] >> 4U];
    text += k_digits[digest[i] & 15U];
  }
  return text;
}

/// Numbers that nobody without the key can tell.
class KeyedNumbers {
 public:
  KeyedNumbers(const std::string& key, std::string subject)
      : m_key(key), m_subject(std::move(subject)) {}
  /// In [0, below).
  std::uint64_t next(std::uint64_t below) {
    const Digest digest = hmac(m_key, m_subject + little_endian(m_count++));
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      number = number << 8U | digest[i];
    }
    return number % below;
  }

 private:
  const std::string& m_key;
  std::string m_subject;
  std::uint64_t m_count = 0;
};

std::uint64_t data_bytes(ExtentSource& source) {
  std::uint64_t total = 0;
  for (std::vector<Extent> window; source.next(window);) {
    for (const Extent& extent : window) {
      total += extent.kind == ExtentKind::data ? extent.length : 0;
    }
  }
  return total;
}

// The blocks that hold the bytes at these ascending places among the data of a source.
std::vector<std::uint64_t> blocks_at(ExtentSource& source,
                                     const std::vector<std::uint64_t>& places) {
  std::vector<std::uint64_t> blocks;
  auto place = places.begin();
  std::uint64_t passed = 0;
  for (std::vector<Extent> window; place != places.end() && source.next(window);) {
    for (const Extent& extent : window) {
      if (extent.kind != ExtentKind::data) {
        continue;
      }
      for (; place != places.end() && *place < passed + extent.length; ++place) {
        blocks.push_back((extent.offset + (*place - passed)) / k_flag_block * k_flag_block);
      }
      passed += extent.length;
    }
  }
  return blocks;
}

std::uint64_t block_length(std::uint64_t offset, std::uint64_t size) {
  return std::min(k_flag_block, size - offset);
}

class CountDown final : public IoCompletion {
 public:
  explicit CountDown(std::size_t count) : m_left(count), m_pending(count > 0) {}
  void io_done(std::exception_ptr error) noexcept override {
    if (error && !m_error) {
      m_error = std::move(error);
    }
    m_pending = --m_left > 0;
  }
  void wait(IoQueue& queue) {
    drive(queue, m_pending);
    if (m_error) {
      std::rethrow_exception(m_error);
    }
  }

 private:
  std::size_t m_left;
  bool m_pending;
  std::exception_ptr m_error;
};

}  // namespace

std::vector<std::uint64_t> choose_flag_offsets(const std::string& key, const Checkpoint& next,
                                               const std::vector<FlagSample>& before,
                                               const std::function<ExtentSourcePtr()>& plan) {
  if (next.size == 0) {
    return {};
  }
  constexpr std::uint64_t k_mib = 1U << 20;
  const std::uint64_t last = (next.size - 1) / k_flag_block * k_flag_block;
  std::set<std::uint64_t> chosen;
  for (const std::uint64_t offset :
       {std::uint64_t{0}, k_flag_block, k_mib / 16, k_mib, k_mib + k_flag_block, last}) {
    if (offset < next.size) {
      chosen.insert(offset);
    }
  }
  KeyedNumbers numbers(key, subject(next, 'o'));
  if (const std::uint64_t total = data_bytes(*plan()); total > 0) {
    std::vector<std::uint64_t> places;
    for (std::size_t i = 0; i < k_of_this_run; ++i) {
      places.push_back(numbers.next(total));
    }
    std::sort(places.begin(), places.end());
    const auto blocks = blocks_at(*plan(), places);
    chosen.insert(blocks.begin(), blocks.end());
  }
  for (std::size_t i = 0; i < k_of_before && !before.empty(); ++i) {
    if (const auto offset = before[numbers.next(before.size())].offset; offset < next.size) {
      chosen.insert(offset);
    }
  }
  // A small disk has fewer blocks than samples: so many tries and no more.
  for (std::size_t i = 0; i < k_flag_samples && chosen.size() < k_flag_samples; ++i) {
    chosen.insert(numbers.next(next.size) / k_flag_block * k_flag_block);
  }
  return {chosen.begin(), chosen.end()};
}

std::vector<FlagSample> take_flag_samples(BlockReader& target, const std::string& key,
                                          const Checkpoint& checkpoint,
                                          const std::vector<std::uint64_t>& offsets) {
  const std::string start = subject(checkpoint, 's');
  std::vector<std::string> blocks;
  blocks.reserve(offsets.size());
  for (const std::uint64_t offset : offsets) {
    blocks.emplace_back(block_length(offset, checkpoint.size), '\0');
  }
  CountDown done(offsets.size());
  const auto queue = target.open_queue();
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    queue->read(offsets[i], std::as_writable_bytes(std::span(blocks[i])), done);
  }
  done.wait(*queue);
  std::vector<FlagSample> samples;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    samples.push_back({offsets[i], hash_of(key, start, offsets[i], blocks[i])});
  }
  return samples;
}

FlagComparison compare_disk_flag(BlockReader& target, const std::string& key,
                                 const Checkpoint& checkpoint,
                                 const std::vector<FlagSample>& samples, ExtentSource& ignored) {
  FlagComparison result;
  std::vector<Extent> window;
  std::size_t at = 0;
  bool more = true;
  // Both ascend: an extent that ends before one block cannot touch a later one.
  const auto touched = [&](std::uint64_t begin, std::uint64_t end) {
    for (; more; ++at) {
      if (at == window.size()) {
        at = 0;
        more = ignored.next(window);
      }
      if (more && window[at].end() > begin) {
        return window[at].offset < end;
      }
    }
    return false;
  };
  const auto wrong = [&](std::uint64_t offset) {
    result.first_wrong = result.wrong++ == 0 ? offset : std::min(result.first_wrong, offset);
  };
  std::vector<FlagSample> expected;
  std::vector<std::uint64_t> offsets;
  for (const FlagSample& sample : samples) {
    const std::uint64_t end = sample.offset + block_length(sample.offset, checkpoint.size);
    if (touched(sample.offset, end)) {
      ++result.ignored;
      continue;
    }
    ++result.compared;
    if (end > target.size()) {
      wrong(sample.offset);
      continue;
    }
    expected.push_back(sample);
    offsets.push_back(sample.offset);
  }
  const auto found = take_flag_samples(target, key, checkpoint, offsets);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] != expected[i]) {
      wrong(found[i].offset);
    }
  }
  return result;
}

}  // namespace hamal
