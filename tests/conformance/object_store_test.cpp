// What every ObjectStore promises (store/object_store.hpp), over directories and S3 services.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <random>
#include <set>
#include <thread>

#include "hamal/util/error.hpp"
#include "object_store_kinds.hpp"

namespace hamal::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string text(size, '\0');
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t word = random();
    std::copy_n(reinterpret_cast<const char*>(&word),  // NOLINT: bytes of a number
                std::min<std::size_t>(8, size - at),
                text.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return text;
}

class ObjectStoreConformance : public ::testing::TestWithParam<StoreKind> {
 public:
  std::vector<std::string> keys(const std::string& prefix = {}) const {
    std::vector<std::string> all;
    store->list(prefix, [&all](const ObjectInfo& info) { all.push_back(info.key); });
    return all;
  }

  std::string range(const std::string& key, std::uint64_t offset, std::size_t length) const {
    std::string into(length, '?');
    store->get_range(key, offset, std::as_writable_bytes(std::span(into)));
    return into;
  }

  static std::string problem_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_FALSE(error.transient()) << error.what();
      return error.what();
    }
    return "none";
  }

  CancelToken cancel;
  std::unique_ptr<StorePlace> place = GetParam().make();
  std::unique_ptr<ObjectStore> store = place->open(cancel);
};

TEST_P(ObjectStoreConformance, HoldsNothingAtFirst) {
  EXPECT_THAT(keys(), IsEmpty());
  EXPECT_FALSE(store->head("a"));
  EXPECT_THROW(store->get("a", 10), ObjectMissing);
  EXPECT_THROW(range("a/b", 0, 1), ObjectMissing);
  EXPECT_THROW(range("a/b", 0, 0), ObjectMissing);
  store->remove("a");
  store->remove("a/b/c");
  EXPECT_THAT(keys("a/"), IsEmpty());
}

TEST_P(ObjectStoreConformance, WhatIsPutIsThereForEveryHandle) {
  const std::string content = random_text(300'001, 1);
  store->put("versions/vm-1/0.7=x", bytes(content));
  const auto other = place->open(cancel);
  EXPECT_EQ(other->canonical(), store->canonical());
  EXPECT_EQ(other->get("versions/vm-1/0.7=x", content.size()), content);
  const auto info = other->head("versions/vm-1/0.7=x");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size, content.size());
  EXPECT_EQ(info->key, "versions/vm-1/0.7=x");
}

TEST_P(ObjectStoreConformance, PutReplaces) {
  store->put("k", bytes("one, and longer"));
  store->put("k", bytes("two"));
  EXPECT_EQ(store->get("k", 100), "two");
  EXPECT_EQ(store->head("k")->size, 3U);
}

TEST_P(ObjectStoreConformance, AnEmptyObjectIsOne) {
  store->put("e", {});
  EXPECT_EQ(store->get("e", 0), "");
  EXPECT_EQ(store->head("e")->size, 0U);
  EXPECT_EQ(range("e", 0, 0), "");
  EXPECT_TRUE(store->put_if_absent("f", {}));
  EXPECT_FALSE(store->put_if_absent("f", {}));
  EXPECT_THAT(keys(), ElementsAre("e", "f"));
}

TEST_P(ObjectStoreConformance, PutIfAbsentCreatesOnce) {
  EXPECT_TRUE(store->put_if_absent("slot/1", bytes("mine")));
  EXPECT_FALSE(store->put_if_absent("slot/1", bytes("yours")));
  EXPECT_FALSE(place->open(cancel)->put_if_absent("slot/1", bytes("mine")));
  EXPECT_EQ(store->get("slot/1", 100), "mine");
  store->remove("slot/1");
  EXPECT_TRUE(store->put_if_absent("slot/1", bytes("next")));
  store->put("slot/2", bytes("put"));
  EXPECT_FALSE(store->put_if_absent("slot/2", bytes("x")));
}

TEST_P(ObjectStoreConformance, OfManyOnePutIfAbsentWins) {
  for (int round = 0; round < 5; ++round) {
    const std::string key = "slot/" + std::to_string(round);
    std::atomic<int> winners{0};
    std::atomic<int> winner{-1};
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        if (store->put_if_absent(key, bytes(std::string(1000, static_cast<char>('a' + i))))) {
          ++winners;
          winner = i;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    ASSERT_EQ(winners, 1);
    EXPECT_EQ(store->get(key, 1000), std::string(1000, static_cast<char>('a' + winner)));
  }
}

TEST_P(ObjectStoreConformance, RangesAreExact) {
  const std::string content = random_text(200'000, 2);
  store->put("r", bytes(content));
  for (const auto& [offset, length] : {std::pair<std::size_t, std::size_t>{0, 1},
                                       {0, 200'000},
                                       {1, 199'999},
                                       {199'999, 1},
                                       {65'536, 65'536},
                                       {100'000, 0},
                                       {200'000, 0}}) {
    EXPECT_EQ(range("r", offset, length), content.substr(offset, length)) << offset;
  }
}

TEST_P(ObjectStoreConformance, ARangeBehindTheEndIsAnError) {
  store->put("r", bytes("12345"));
  for (const auto& [offset, length] :
       {std::pair<std::uint64_t, std::size_t>{0, 6}, {4, 2}, {5, 1}, {6, 0}, {1'000'000, 1}}) {
    EXPECT_THAT(problem_of([&, o = offset, l = length] { range("r", o, l); }), HasSubstr("ends at"))
        << offset;
  }
}

TEST_P(ObjectStoreConformance, GetHasALimit) {
  store->put("g", bytes("12345"));
  EXPECT_EQ(store->get("g", 5), "12345");
  EXPECT_THAT(problem_of([&] { store->get("g", 4); }), HasSubstr("more than the 4"));
  store->put("large", bytes(random_text(3 << 20, 3)));
  EXPECT_THAT(problem_of([&] { store->get("large", 100'000); }), HasSubstr("more than the 100000"));
}

TEST_P(ObjectStoreConformance, ListIsInTheOrderOfBytes) {
  const std::vector<std::string> all = {"A",     "a-b",  "a.b/c", "a/-", "a/b",
                                        "a/b=c", "a0/0", "b",     "b0",  "c/d/e/f"};
  std::vector<std::string> shuffled = all;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(4));
  for (const std::string& key : shuffled) {
    store->put(key, bytes(key));
  }
  EXPECT_THAT(keys(), ElementsAreArray(all));
  EXPECT_THAT(keys("a/"), ElementsAre("a/-", "a/b", "a/b=c"));
  EXPECT_THAT(keys("c/d/"), ElementsAre("c/d/e/f"));
  EXPECT_THAT(keys("b/"), IsEmpty());
  store->list("", [](const ObjectInfo& info) { EXPECT_EQ(info.size, info.key.size()); });
}

// More than one page of an S3 service.
TEST_P(ObjectStoreConformance, ListTellsOfAll) {
  constexpr int k_count = 1100;
  std::atomic<int> next{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int number = next++; number < k_count; number = next++) {
        store->put("many/" + std::to_string(number), bytes("x"));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const std::vector<std::string> all = keys("many/");
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), k_count + 0U);
  EXPECT_EQ(all.size(), k_count + 0U);
}

TEST_P(ObjectStoreConformance, WhatTheCallbackThrowsEndsTheList) {
  store->put("a", bytes("x"));
  store->put("b", bytes("x"));
  int told = 0;
  EXPECT_THROW(store->list("",
                           [&](const ObjectInfo&) {
                             ++told;
                             throw std::runtime_error("enough");
                           }),
               std::runtime_error);
  EXPECT_EQ(told, 1);
}

TEST_P(ObjectStoreConformance, RemovedIsGone) {
  store->put("a/b/c", bytes("x"));
  store->put("a/b/d", bytes("x"));
  store->remove("a/b/c");
  EXPECT_FALSE(store->head("a/b/c"));
  EXPECT_THROW(store->get("a/b/c", 10), ObjectMissing);
  EXPECT_THAT(keys(), ElementsAre("a/b/d"));
  store->remove("a/b");  // no object, though a directory has one of that name
  EXPECT_THAT(keys(), ElementsAre("a/b/d"));
  store->remove("a/b/d");
  EXPECT_THAT(keys(), IsEmpty());
  store->put("a/b/d", bytes("again"));
  EXPECT_EQ(store->get("a/b/d", 10), "again");
}

TEST_P(ObjectStoreConformance, AnUploadAppearsWhole) {
  const std::string content = random_text(12'000'000, 5);
  {
    const auto upload = store->upload("up/1");
    std::size_t at = 0;
    for (const std::size_t piece : {1U, 0U, 5'000'000U, 300'000U, 6'699'999U}) {
      upload->append(bytes(content).subspan(at, piece));
      at += piece;
      EXPECT_FALSE(store->head("up/1"));
    }
    ASSERT_EQ(at, content.size());
    upload->finish();
  }
  EXPECT_TRUE(store->get("up/1", content.size()) == content);
  EXPECT_EQ(range("up/1", 5'242'879, 2), content.substr(5'242'879, 2));
  EXPECT_THAT(keys(), ElementsAre("up/1"));
}

TEST_P(ObjectStoreConformance, AnUploadReplacesAndMayBeEmpty) {
  store->put("k", bytes("old"));
  const auto upload = store->upload("k");
  upload->append(bytes("new"));
  EXPECT_EQ(store->get("k", 10), "old");
  upload->finish();
  EXPECT_EQ(store->get("k", 10), "new");
  store->upload("k")->finish();
  EXPECT_EQ(store->get("k", 10), "");
}

TEST_P(ObjectStoreConformance, AnUploadThatIsDroppedNeverWas) {
  {
    const auto upload = store->upload("up/2");
    upload->append(bytes(random_text(11'000'000, 6)));
  }
  EXPECT_FALSE(store->head("up/2"));
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_P(ObjectStoreConformance, TheClockIsTheOneOfObjects) {
  const StoreTime before = store->now();
  store->put("k", bytes("x"));
  const StoreTime put = store->head("k")->modified;
  const StoreTime after = store->now();
  const auto step = GetParam().clock_step;
  EXPECT_LE(before - step, put);
  EXPECT_LE(put, after + step);
  StoreTime listed{};
  store->list("", [&](const ObjectInfo& info) { listed = info.modified; });
  EXPECT_LE(listed - put, std::chrono::seconds(1));
  EXPECT_LE(put - listed, std::chrono::seconds(1));
}

TEST_P(ObjectStoreConformance, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  std::atomic<int> wrong{0};
  for (unsigned i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (unsigned round = 0; round < 5; ++round) {
        const std::string key = "t" + std::to_string(i) + "/" + std::to_string(round % 2);
        const std::string content = random_text(100'000 + i, i * 100 + round);
        store->put(key, bytes(content));
        wrong += store->get(key, content.size()) == content ? 0 : 1;
        wrong += range(key, 1000, 99'000) == content.substr(1000, 99'000) ? 0 : 1;
        if (round % 2 == 0) {
          store->remove(key);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(keys().size(), 8U);
}

// A put meets a remove() that takes its empty directory away.
TEST_P(ObjectStoreConformance, PutsBesideRemovesInOneDirectory) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 25; ++round) {
        const std::string key = "d/e/" + std::to_string(i);
        store->put(key, bytes("x"));
        EXPECT_TRUE(store->head(key));
        store->remove(key);
        EXPECT_FALSE(store->head(key));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(keys(), IsEmpty());
}

TEST_P(ObjectStoreConformance, KeysAreChecked) {
  for (const char* key : {"", "/a", "a/", "../a", "a b", ".hamal-tmp/x"}) {
    EXPECT_THAT(problem_of([&] { store->put(key, bytes("x")); }), HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { store->put_if_absent(key, bytes("x")); }),
                HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { store->upload(key); }), HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { store->get(key, 1); }), HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { range(key, 0, 1); }), HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { store->head(key); }), HasSubstr("cannot be the key"));
    EXPECT_THAT(problem_of([&] { store->remove(key); }), HasSubstr("cannot be the key"));
  }
  EXPECT_THAT(problem_of([&] { keys("a"); }), HasSubstr("a list is of"));
}

TEST_P(ObjectStoreConformance, EndsWithTheTokenOnceStopped) {
  store->put("a", bytes("x"));
  cancel.request(SIGTERM);
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { store->put("b", bytes("x")); }, [&] { store->put_if_absent("c", bytes("x")); },
           [&] { store->get("a", 1); }, [&] { range("a", 0, 1); }, [&] { store->head("a"); },
           [&] { keys(); }, [&] { store->remove("a"); }, [&] { store->now(); }}) {
    try {
      call();
      ADD_FAILURE() << "went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::terminated) << error.what();
    }
  }
}

TEST_P(ObjectStoreConformance, WithoutObjectLockNothingIsLocked) {
  store->put("a", bytes("x"));
  EXPECT_FALSE(store->locked_until("a"));
  EXPECT_THROW(store->locked_until("b"), ObjectMissing);
  try {
    store->lock_until("a", store->now() + std::chrono::hours(1));
    ADD_FAILURE() << "locked";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("object lock"));
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreConformance, ::testing::ValuesIn(store_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace hamal::testing
