// How fast records are made and read on one core, beside what bounds them: MB/s of a disk's bytes,
// for bytes that cannot be compressed and for bytes that can. And the record cache: a million
// records learned, then looked up.
//
//   cmake --build build/release --target record_speed && build/release/tests/bench/record_speed
#include <stdlib.h>
#include <zstd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/repository/recipients.hpp"
#include "hamal/repository/record_cache.hpp"

namespace {

using namespace hamal;
using namespace hamal::repository;
using Clock = std::chrono::steady_clock;

constexpr std::size_t k_records = 512;  // of 64 KiB: 32 MiB, more than a core's cache
constexpr int k_rounds = 8;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The best of some rounds: what the code can do, not what else the machine does.
void measure(const char* what, std::size_t bytes, const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < k_rounds; ++i) {
    const auto begin = Clock::now();
    run();
    best = std::min(best, seconds_since(begin));
  }
  std::printf("  %-28s %8.0f MB/s\n", what, static_cast<double>(bytes) / best / 1e6);
}

std::vector<Bytes> random_records() {
  std::mt19937_64 random(1);
  std::vector<Bytes> records(k_records, Bytes(k_record_bytes));
  for (Bytes& record : records) {
    for (std::size_t at = 0; at < record.size(); at += 8) {
      const std::uint64_t word = random();
      std::memcpy(&record[at], &word, sizeof(word));
    }
  }
  return records;
}

/// Words of a small vocabulary: about a third of it is left by zstd.
std::vector<Bytes> text_records() {
  std::mt19937_64 random(2);
  std::vector<std::string> words(2000);
  for (std::string& word : words) {
    for (unsigned i = 0; i < 3 + random() % 8; ++i) {
      word += static_cast<char>('a' + random() % 26);
    }
    word += ' ';
  }
  std::vector<Bytes> records(k_records);
  for (Bytes& record : records) {
    std::string text;
    while (text.size() < k_record_bytes) {
      text += words[random() % words.size()];
    }
    const auto bytes = bytes_of(text).first(k_record_bytes);
    record.assign(bytes.begin(), bytes.end());
  }
  return records;
}

/// A key pair that protects nothing.
constexpr const char* k_private =
    "-----BEGIN PRIVATE "
    "KEY-----\nMC4CAQAwBQYDK2VuBCIEINghjl4Bi/kcYZGW7gv1HtJ82SAe3ztXAc1py0w6jXRL\n-----END PRIVATE "
    "KEY-----\n";
constexpr const char* k_public =
    "-----BEGIN PUBLIC "
    "KEY-----\nMCowBQYDK2VuAyEAiSfhNp21AEWwg7Swt6PdhGNGREHIyj7J83TtzeF4ehw=\n-----END PUBLIC "
    "KEY-----\n";

std::unique_ptr<Keyring> encrypted_keyring() {
  RepositorySection keys;
  keys.index_key = {SecretReference::Kind::plain, std::string(64, '1')};
  keys.private_key = {SecretReference::Kind::plain, k_private};
  return make_keyring(describe_encrypted(std::string(32, '0'), {k_public}, keys), keys);
}

void measure_records(const char* what, const Keyring& keyring, const std::vector<Bytes>& records) {
  std::printf("%s\n", what);
  const std::size_t bytes = records.size() * k_record_bytes;
  std::string key_object;
  const auto sealer = keyring.new_sealer(key_object);
  std::vector<KeyId> keys;
  if (const auto id = sealer->key_id()) {
    keys.push_back(*id);
  }
  std::vector<RecordId> ids;
  for (const Bytes& record : records) {
    ids.push_back(keyring.record_id(record));
  }
  measure("hash", bytes, [&] {
    for (std::size_t i = 0; i < records.size(); ++i) {
      ids[i] = keyring.record_id(records[i]);
    }
  });
  Bytes pack;
  pack.reserve(bytes + (1U << 20));
  std::vector<std::size_t> offsets;
  RecordEncoder encoder(*sealer);
  measure("compress and seal", bytes, [&] {
    pack.clear();
    offsets.clear();
    for (std::size_t i = 0; i < records.size(); ++i) {
      offsets.push_back(pack.size());
      encoder.encode(ids[i], records[i], pack);
    }
  });
  offsets.push_back(pack.size());
  std::printf("  %-28s %8.2f\n", "stored / plain",
              static_cast<double>(pack.size()) / static_cast<double>(bytes));
  measure("all: hash, encode, pack", bytes, [&] {
    PackBuilder builder(keys);
    builder.buffer().reserve(bytes + (1U << 20));
    for (const Bytes& record : records) {
      encoder.encode(keyring.record_id(record), record, builder.buffer());
      builder.added();
    }
    builder.finish();
  });
  RecordDecoder decoder(keyring, [&](const KeyId&) { return key_object; });
  Bytes plain(k_record_bytes);
  measure("decode", bytes, [&] {
    for (std::size_t i = 0; i < records.size(); ++i) {
      decoder.decode(ByteView(pack).subspan(offsets[i], offsets[i + 1] - offsets[i]), ids[i], keys,
                     "record_speed", plain);
    }
  });
}

void measure_bounds(const std::vector<Bytes>& random, const std::vector<Bytes>& text) {
  std::printf("bounds\n");
  Bytes copy(k_records * k_record_bytes);
  measure("memcpy", copy.size(), [&] {
    for (std::size_t i = 0; i < k_records; ++i) {
      std::memcpy(&copy[i * k_record_bytes], random[i].data(), k_record_bytes);
    }
  });
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  Bytes out(ZSTD_compressBound(k_record_bytes));
  for (const auto* records : {&random, &text}) {
    measure(records == &random ? "zstd -1, random" : "zstd -1, text", copy.size(), [&] {
      for (const Bytes& record : *records) {
        ZSTD_compressCCtx(context, out.data(), out.size(), record.data(), record.size(), 1);
      }
    });
  }
  ZSTD_freeCCtx(context);
}

class Entries : public EntrySource {
 public:
  explicit Entries(std::uint64_t count) : m_count(count) {}
  bool next(LayerEntry& entry) override {
    if (m_at == m_count) {
      return false;
    }
    entry.extent = {m_at * k_record_bytes, k_record_bytes, ExtentKind::data};
    entry.id = id(m_at);
    entry.plain = k_record_bytes;
    entry.place = {{{}, static_cast<std::uint32_t>(m_at / 512)}, m_at % 512 * 65'600, 65'600};
    ++m_at;
    return true;
  }
  static RecordId id(std::uint64_t number) { return sha256(std::as_bytes(std::span(&number, 1))); }

 private:
  std::uint64_t m_count;
  std::uint64_t m_at = 0;
};

class CountedLayer : public Layer {
 public:
  explicit CountedLayer(std::uint64_t count) : m_count(count) { m_reference.key = "layers/0/0-0"; }
  const LayerReference& reference() const noexcept override { return m_reference; }
  std::uint64_t disk_size() const noexcept override { return m_count * k_record_bytes; }
  const std::vector<PackName>& packs() const noexcept override { return m_packs; }
  EntrySourcePtr entries(std::uint64_t /*begin*/) override {
    return std::make_unique<Entries>(m_count);
  }

 private:
  std::uint64_t m_count;
  LayerReference m_reference;
  std::vector<PackName> m_packs;
};

void measure_cache() {
  constexpr std::uint64_t k_count = 1'000'000;
  constexpr std::uint64_t k_lookups = 200'000;
  std::printf("record cache, %llu records\n", static_cast<unsigned long long>(k_count));
  std::string pattern = std::filesystem::temp_directory_path() / "record-speed-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern.data());
  Logger log;
  {
    const auto cache = open_record_cache(directory / "records.db", "bench", log);
    cache->set_usable([](const PackName& /*pack*/) { return true; });
    CountedLayer layer(k_count);
    auto begin = Clock::now();
    cache->learn(layer);
    std::printf("  %-28s %8.1f s\n", "learned", seconds_since(begin));
    for (const std::uint64_t first : {std::uint64_t{0}, k_count}) {
      begin = Clock::now();
      for (std::uint64_t i = 0; i < k_lookups; ++i) {
        cache->find(Entries::id(first + i * 7919 % k_count), k_record_bytes);
      }
      std::printf("  %-28s %8.0f /s\n", first == 0 ? "found" : "not found",
                  static_cast<double>(k_lookups) / seconds_since(begin));
    }
  }
  std::printf("  %-28s %8.0f MB\n", "file",
              static_cast<double>(std::filesystem::file_size(directory / "records.db")) / 1e6);
  std::filesystem::remove_all(directory);
}

}  // namespace

int main() {
  const auto random = random_records();
  const auto text = text_records();
  measure_bounds(random, text);
  const auto plain = make_plain_keyring();
  const auto encrypted = encrypted_keyring();
  measure_records("random bytes", *plain, random);
  measure_records("text", *plain, text);
  measure_records("random bytes, encrypted", *encrypted, random);
  measure_records("text, encrypted", *encrypted, text);
  measure_cache();
  return 0;
}
