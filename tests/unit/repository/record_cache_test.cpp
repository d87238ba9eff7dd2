#include "hamal/repository/record_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "hamal/repository/hash.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_repository = "5c8f0d7c-0d2f-4be2-8a6a-000000000001";

RecordId id_of(std::uint64_t number) {
  return sha256(std::as_bytes(std::span(&number, 1)));
}

PackName pack_of(std::uint32_t number) {
  PackName pack;
  pack.session[15] = std::byte{7};
  pack.number = number;
  return pack;
}

/// The nth record of a pack.
RecordPlace place_of(std::uint64_t number, std::uint32_t pack = 1) {
  return {pack_of(pack), 16 + number * 1000, 1000};
}

class FakeLayer : public Layer {
 public:
  FakeLayer(std::string key, std::uint64_t first, std::uint64_t last, std::uint32_t pack) {
    m_reference.key = std::move(key);
    for (std::uint64_t i = first; i < last; ++i) {
      LayerEntry entry;
      entry.extent = {i * k_record_bytes, k_record_bytes,
                      i % 10 == 9 ? ExtentKind::zero : ExtentKind::data};
      if (entry.extent.kind == ExtentKind::data) {
        entry.id = id_of(i);
        entry.place = place_of(i, pack);
        entry.plain = k_record_bytes;
      }
      m_entries.push_back(entry);
    }
  }
  const LayerReference& reference() const noexcept override { return m_reference; }
  std::uint64_t disk_size() const noexcept override { return 1ULL << 40; }
  const ExtentTotals& totals() const noexcept override { return m_totals; }
  const std::vector<PackName>& packs() const noexcept override { return m_packs; }
  EntrySourcePtr entries(std::uint64_t /*begin*/) override {
    class Source : public EntrySource {
     public:
      explicit Source(const std::vector<LayerEntry>& entries) : m_left(entries) {}
      bool next(LayerEntry& entry) override {
        if (m_left.empty()) {
          return false;
        }
        entry = m_left.front();
        m_left = m_left.subspan(1);
        return true;
      }

     private:
      std::span<const LayerEntry> m_left;
    };
    return std::make_unique<Source>(m_entries);
  }

 private:
  LayerReference m_reference;
  std::vector<LayerEntry> m_entries;
  ExtentTotals m_totals;
  std::vector<PackName> m_packs;
};

class RecordCaches : public testing::Test {
 protected:
  RecordCaches() {
    std::string pattern = fs::temp_directory_path() / "hamal-records-XXXXXX";
    m_directory = ::mkdtemp(pattern.data());
    m_file = m_directory / "repository" / "records.db";
    LogSettings settings;
    settings.directory = m_directory;
    settings.file_name = "test.log";
    m_log = std::make_unique<Logger>(settings);
  }
  ~RecordCaches() override { fs::remove_all(m_directory); }

  std::unique_ptr<RecordCache> open(const std::string& repository = k_repository) {
    auto cache = open_record_cache(m_file, repository, *m_log);
    cache->set_usable([](const PackName& /*pack*/) { return true; });
    return cache;
  }

  std::string log() const {
    const fs::path file = m_directory / "test.log";
    return fs::exists(file) ? read_file(file) : "";
  }

  void sql(const std::string& text) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(m_file.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << text;
    sqlite3_close(database);
  }

  /// A file that knows the records 0 to 99.
  void fill() {
    const auto cache = open();
    for (std::uint64_t i = 0; i < 100; ++i) {
      cache->add(id_of(i), k_record_bytes, place_of(i));
    }
  }

  void expect_begun_anew(const std::string& why) {
    {
      const auto cache = open();
      EXPECT_FALSE(cache->find(id_of(1), k_record_bytes));
      cache->add(id_of(1), k_record_bytes, place_of(1, 2));
      EXPECT_THAT(log(), testing::HasSubstr(why));
      EXPECT_THAT(log(), testing::HasSubstr("begun anew"));
    }
    const std::string before = log();
    EXPECT_EQ(open()->find(id_of(1), k_record_bytes), place_of(1, 2));
    EXPECT_EQ(log(), before);
  }

  fs::path m_directory;
  fs::path m_file;
  std::unique_ptr<Logger> m_log;
};

TEST_F(RecordCaches, FindWhatWasAddedNowAndLater) {
  {
    const auto cache = open();
    EXPECT_FALSE(cache->find(id_of(1), 4096));
    cache->add(id_of(1), 4096, place_of(1));
    EXPECT_EQ(cache->find(id_of(1), 4096), place_of(1));
    EXPECT_FALSE(cache->find(id_of(1), 8192));
    EXPECT_FALSE(cache->find(id_of(2), 4096));
  }
  const auto cache = open();
  EXPECT_EQ(cache->find(id_of(1), 4096), place_of(1));
  EXPECT_FALSE(cache->find(id_of(1), 8192));
  EXPECT_EQ(log(), "");
}

TEST_F(RecordCaches, KeepTheirBatchBounded) {
  constexpr std::uint64_t k_records = 50'000;  // several batches
  {
    const auto cache = open();
    for (std::uint64_t i = 0; i < k_records; ++i) {
      cache->add(id_of(i), 4096, place_of(i));
    }
    for (std::uint64_t i = 0; i < k_records; i += 997) {
      EXPECT_EQ(cache->find(id_of(i), 4096), place_of(i));
    }
  }
  const auto cache = open();
  for (std::uint64_t i = 0; i < k_records; i += 997) {
    EXPECT_EQ(cache->find(id_of(i), 4096), place_of(i));
  }
}

TEST_F(RecordCaches, LearnALayerOnce) {
  FakeLayer layer("layers/a/0-0", 0, 100'000, 1);
  {
    const auto cache = open();
    EXPECT_FALSE(cache->knows("layers/a/0-0"));
    cache->learn(layer);
    EXPECT_TRUE(cache->knows("layers/a/0-0"));
    EXPECT_FALSE(cache->knows("layers/a/0-1"));
  }
  const auto cache = open();
  EXPECT_TRUE(cache->knows("layers/a/0-0"));
  for (const std::uint64_t i : {0U, 65'535U, 65'536U, 99'998U}) {
    EXPECT_EQ(cache->find(id_of(i), k_record_bytes), place_of(i)) << i;
  }
  EXPECT_FALSE(cache->find(id_of(99'999), k_record_bytes)) << "that is a zero";
}

TEST_F(RecordCaches, TellOnlyOfPacksThatAreUsable) {
  {
    const auto cache = open();
    FakeLayer old("layers/a/0-0", 0, 5, 1);
    cache->learn(old);
  }
  const auto cache = open_record_cache(m_file, k_repository, *m_log);
  EXPECT_FALSE(cache->find(id_of(0), k_record_bytes)) << "before anything is said to be usable";
  cache->set_usable([](const PackName& pack) { return pack == pack_of(2); });
  EXPECT_FALSE(cache->find(id_of(0), k_record_bytes));
  // What lies in a usable pack replaces what does not, and not the other way round.
  FakeLayer good("layers/b/0-0", 0, 5, 2);
  FakeLayer bad("layers/c/0-0", 0, 5, 3);
  cache->learn(good);
  cache->learn(bad);
  EXPECT_EQ(cache->find(id_of(0), k_record_bytes), place_of(0, 2));
  // Packs of the own session need not be listed.
  cache->add(id_of(3), k_record_bytes, place_of(3, 9));
  EXPECT_EQ(cache->find(id_of(3), k_record_bytes), place_of(3, 9));
  FakeLayer other("layers/d/0-0", 7, 8, 9);
  cache->learn(other);
  EXPECT_EQ(cache->find(id_of(7), k_record_bytes), place_of(7, 9));
}

TEST_F(RecordCaches, ForgetWhenMostPacksAreGone) {
  const auto cache = open();
  for (std::uint32_t pack = 0; pack < 200; ++pack) {
    FakeLayer layer("layers/a/" + std::to_string(pack), std::uint64_t{pack} * 10,
                    std::uint64_t{pack} * 10 + 10, pack);
    cache->learn(layer);
  }
  cache->set_usable([](const PackName& pack) { return pack.number >= 100; });
  EXPECT_TRUE(cache->knows("layers/a/1")) << "half of them are of use";
  cache->set_usable([](const PackName& pack) { return pack.number >= 101; });
  EXPECT_FALSE(cache->knows("layers/a/1"));
  EXPECT_FALSE(cache->find(id_of(1990), k_record_bytes));
}

TEST_F(RecordCaches, AreBegunAnewWhenTheFileIsNoDatabase) {
  fs::create_directories(m_file.parent_path());
  std::ofstream(m_file) << std::string(10'000, 'x');
  expect_begun_anew("not a database");
}

TEST_F(RecordCaches, AreBegunAnewForAnotherRepository) {
  fill();
  {
    const auto cache = open("another");
    EXPECT_FALSE(cache->find(id_of(1), k_record_bytes));
  }
  expect_begun_anew("another repository");
}

TEST_F(RecordCaches, AreBegunAnewForANewerVersion) {
  fill();
  sql("PRAGMA user_version = 2");
  expect_begun_anew("not of this version");
}

TEST_F(RecordCaches, AreBegunAnewWhenTablesAreMissing) {
  fill();
  sql("DROP TABLE packs");
  expect_begun_anew("no such table");
}

TEST_F(RecordCaches, DoNotBelieveAValueThatChanged) {
  for (const char* change :
       {"UPDATE records SET offset = offset + 1", "UPDATE records SET length = length + 1",
        "UPDATE records SET plain = plain + 1", "UPDATE packs SET number = 3",
        "UPDATE packs SET session = zeroblob(16)", "UPDATE packs SET session = x'00'"}) {
    fs::remove_all(m_file.parent_path());
    fs::remove(m_directory / "test.log");
    fill();
    sql(change);
    {
      const auto cache = open();
      EXPECT_FALSE(cache->find(id_of(1), k_record_bytes)) << change;
      EXPECT_THAT(log(), testing::HasSubstr("begun anew")) << change;
      cache->add(id_of(1), k_record_bytes, place_of(1, 2));
    }
    EXPECT_EQ(open()->find(id_of(1), k_record_bytes), place_of(1, 2)) << change;
  }
}

TEST_F(RecordCaches, SurviveAnyDamage) {
  std::mt19937 random(1);
  for (int round = 0; round < 12; ++round) {
    fs::remove_all(m_file.parent_path());
    fill();
    std::string bytes = read_file(m_file);
    for (int i = 0; i < 50; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (round % 3 == 0) {
      bytes.resize(random() % bytes.size());
    }
    std::ofstream(m_file, std::ios::binary) << bytes;
    {
      const auto cache = open();
      for (std::uint64_t i = 0; i < 200; ++i) {
        const auto place = cache->find(id_of(i), k_record_bytes);
        EXPECT_TRUE(!place || *place == place_of(i)) << "round " << round << " record " << i;
      }
      FakeLayer layer("layers/a/0-0", 200, 209, 4);
      cache->learn(layer);
      cache->add(id_of(300), k_record_bytes, place_of(300, 2));
    }
    const auto cache = open();
    EXPECT_EQ(cache->find(id_of(300), k_record_bytes), place_of(300, 2)) << "round " << round;
  }
}

TEST_F(RecordCaches, GoWithoutAFileThatCannotBe) {
  fs::create_directories(m_file);
  const auto cache = open();
  EXPECT_THAT(log(), testing::HasSubstr("cannot be used"));
  cache->add(id_of(1), 4096, place_of(1));
  EXPECT_EQ(cache->find(id_of(1), 4096), place_of(1));
  FakeLayer layer("layers/a/0-0", 0, 10, 1);
  cache->learn(layer);
  EXPECT_FALSE(cache->knows("layers/a/0-0"));
}

TEST_F(RecordCaches, AreUsedByManyAtOnce) {
  constexpr unsigned k_threads = 4;
  constexpr std::uint64_t k_each = 3000;
  std::atomic<int> wrong = 0;
  {
    // Two of them stand for two processes: only the file is shared.
    const std::array caches{open(), open()};
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < k_threads; ++t) {
      threads.emplace_back([&, t] {
        RecordCache& cache = *caches.at(t % 2);
        FakeLayer layer("layers/a/" + std::to_string(t), t * k_each, (t + 1) * k_each, t);
        cache.learn(layer);
        for (std::uint64_t i = t * k_each; i < (t + 1) * k_each; ++i) {
          const auto place = cache.find(id_of(i), k_record_bytes);
          wrong += place == (i % 10 == 9 ? std::nullopt : std::optional(place_of(i, t))) ? 0 : 1;
          cache.add(id_of(i + 1'000'000), 4096, place_of(i, t));
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  const auto cache = open();
  for (std::uint64_t i = 0; i < k_threads * k_each; i += 7) {
    const auto pack = static_cast<std::uint32_t>(i / k_each);
    EXPECT_EQ(cache->find(id_of(i + 1'000'000), 4096), place_of(i, pack)) << i;
  }
  EXPECT_EQ(log(), "");
}

TEST_F(RecordCaches, MayBeThrownAwayBeneathAnother) {
  fill();
  const auto other = open();
  sql("UPDATE records SET offset = offset + 1");
  const auto first = open();
  EXPECT_FALSE(first->find(id_of(1), k_record_bytes));
  first->add(id_of(1), k_record_bytes, place_of(1, 2));
  EXPECT_FALSE(other->find(id_of(2), k_record_bytes)) << "it still has the old file";
  other->add(id_of(2), k_record_bytes, place_of(2, 3));
  EXPECT_EQ(other->find(id_of(2), k_record_bytes), place_of(2, 3));
  FakeLayer layer("layers/a/0-0", 0, 10, 1);
  other->learn(layer);
  EXPECT_TRUE(first->knows("layers/a/0-0")) << "both have the new one";
}

}  // namespace
}  // namespace hamal::repository
