// Versions written through sessions and read back; what a process leaves that dies; slots that are
// taken.
#include "hamal/repository/write_session.hpp"

#include "hamal/repository/damaged.hpp"
#include "hamal/repository/session_record.hpp"
#include "repository/session_lab.hpp"

namespace hamal::repository {
namespace {

using WriteSessionTest = SessionLab;

constexpr std::uint64_t k_size = (6U << 20) + 512;  // its tail is no whole block

TEST_F(WriteSessionTest, AFullReadsBackAsItWas) {
  Bytes disk = random_bytes(k_size);
  std::fill_n(disk.begin() + (1U << 20), 2U << 20, std::byte{0});
  const Manifest manifest = commit_full("s1", disk);
  ASSERT_EQ(manifest.disks.size(), 1U);
  EXPECT_EQ(manifest.generation, 1U);
  EXPECT_EQ(read_back(manifest.disks[0]), disk);
  EXPECT_EQ(manifest.disks[0].data_bytes, k_size - (2U << 20));
  EXPECT_EQ(manifest.disks[0].zero_bytes, 2U << 20);
  const auto seen = repository->visible_versions(vm);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].disks, manifest.disks);
  EXPECT_EQ(seen[0].session, manifest.session);
}

TEST_F(WriteSessionTest, AnIncrementOfADiskOfAnotherSizeIsRefused) {
  const Manifest first = commit_full("s1", random_bytes(k_size));
  const auto session = begin("s2");
  for (const std::uint64_t size : {k_size - k_block, k_size + k_block}) {
    try {
      session->stage(request("c-s2", size, first.disks[0].change_id));
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::base_mismatch);
    }
  }
  // A full has nothing below it.
  const Bytes smaller = random_bytes(k_size / 2);
  EXPECT_EQ(read_back(commit_full("s3", smaller).disks[0]), smaller);
}

TEST_F(WriteSessionTest, WhatIsNoWholeBlockIsRefusedByName) {
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  try {
    write(*stage, 512, random_bytes(512));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("512 bytes at offset 512"), std::string::npos);
  }
  EXPECT_THROW(zero(*stage, k_block, 100), Error);
}

TEST_F(WriteSessionTest, EveryIncrementReadsBackAndSoDoesWhatIsBelow) {
  Bytes disk = random_bytes(k_size);
  std::vector<Manifest> versions{commit_full("s1", disk)};
  std::vector<Bytes> contents{disk};
  for (unsigned i = 2; i < 12; ++i) {
    const std::string name = "s" + std::to_string(i);
    const auto session = begin(name);
    const auto stage =
        session->stage(request("c-" + name, k_size, versions.back().disks[0].change_id));
    const std::uint64_t at = (i * 37 % 1000) * k_block;
    const Bytes change = random_bytes(2 * k_block, i);
    write(*stage, at, change);
    std::copy(change.begin(), change.end(), disk.begin() + static_cast<std::ptrdiff_t>(at));
    const std::uint64_t hole = (i * 91 % 1000) * k_block;
    if (hole + k_block <= at || hole >= at + change.size()) {
      zero(*stage, hole, k_block);
      std::fill_n(disk.begin() + static_cast<std::ptrdiff_t>(hole), k_block, std::byte{0});
    }
    stage->finish();
    versions.push_back(session->commit(document(name)));
    contents.push_back(disk);
  }
  for (std::size_t i = 0; i < versions.size(); ++i) {
    EXPECT_EQ(versions[i].generation, i + 1);
    EXPECT_EQ(read_back(versions[i].disks[0]), contents[i]) << "version " << i + 1;
  }
  // Small layers were merged: a stack does not grow with every version.
  EXPECT_LT(versions.back().disks[0].layers.size(), 5U);
  ASSERT_TRUE(versions.back().parent);
  EXPECT_EQ(versions.back().parent->generation, versions.size() - 1);
}

TEST_F(WriteSessionTest, TheLevelOfCompressionIsThatOfTheContext) {
  // Words in an order of their own, of which a higher level finds more.
  Bytes words = random_bytes(20000);
  for (std::byte& letter : words) {
    letter &= std::byte{0x7f};  // what looks random is not tried
  }
  const Bytes order = random_bytes(k_size / 4, 2);
  Bytes disk;
  for (std::size_t i = 0; disk.size() < k_size; i += 2) {
    const std::size_t word =
        (std::to_integer<std::size_t>(order[i]) << 8 | std::to_integer<std::size_t>(order[i + 1])) %
        1000;
    const auto begin = words.begin() + static_cast<std::ptrdiff_t>(word * 20);
    disk.insert(disk.end(), begin, begin + 20);
  }
  disk.resize(k_size);
  const auto stored_at = [&](unsigned level) {
    compression = level;
    // Each as the first of a machine of its own repository: what is stored once is not again.
    std::filesystem::remove_all(directory / "store");
    std::filesystem::remove_all(directory / "lib");
    init_repository(*open_store(), {});
    reopen();
    const DiskVersion version = commit_full("s1", disk).disks[0];
    EXPECT_EQ(read_back(version), disk) << "level " << level;
    return version.stored_bytes;
  };
  const std::uint64_t none = stored_at(0);
  const std::uint64_t fast = stored_at(1);
  const std::uint64_t small = stored_at(19);
  EXPECT_GT(none, k_size);  // the headers of records
  EXPECT_LT(fast, none * 3 / 4);
  EXPECT_LT(small, fast);
}

TEST_F(WriteSessionTest, NothingChangedNeedsNoLayer) {
  const Manifest first = commit_full("s1", random_bytes(k_size));
  const auto session = begin("s2");
  const DiskVersion staged = session->stage(request("c2", k_size, "c-s1"))->finish();
  EXPECT_EQ(staged.layers, first.disks[0].layers);
}

TEST_F(WriteSessionTest, OneContentIsStoredOnce) {
  const Bytes disk = random_bytes(k_size);
  const auto session = begin("s1");
  auto first = request("c1", k_size);
  auto second = first;
  second.id = "vdb";
  second.index = 1;
  const auto a = session->stage(first);
  const auto b = session->stage(second);
  write(*a, 0, disk);
  write(*b, 0, disk);  // while the packs of the first are open or being put
  const DiskVersion one = a->finish();
  const DiskVersion other = b->finish();
  EXPECT_GT(one.stored_bytes, k_size);
  EXPECT_EQ(other.stored_bytes, 0U);
  EXPECT_EQ(other.shared_bytes, k_size);
  EXPECT_EQ(read_back(other), disk);
  session->commit(document("s1"));

  vm.vm_id = "another";
  std::filesystem::remove_all(directory / "lib");  // the cache is lost: learned from the layers
  const Manifest copy = commit_full("s1", disk);
  EXPECT_EQ(copy.disks[0].stored_bytes, 0U);
  EXPECT_EQ(read_back(copy.disks[0]), disk);
}

TEST_F(WriteSessionTest, WhatIsStoredIsNotUploadedAgain) {
  const Bytes disk = random_bytes(k_size);
  {
    const auto session = begin("s1");
    const auto stage = session->stage(request("c1", k_size));
    write(*stage, 0, ByteView(disk).first(5U << 20));  // two packs and a half
    const auto mark = stage->mark();
    EXPECT_FALSE(stage->durable(mark));  // the open pack waits for more
    stage->writer().flush();
    EXPECT_TRUE(stage->durable(mark));
    stage->note_finished({{0, 2U << 20, ExtentKind::data}});
  }  // dies here
  const unsigned put = spy.count("packs");
  EXPECT_GT(put, 0U);
  reopen();
  const auto session = begin("s1");
  EXPECT_TRUE(session->resumed());
  const auto stage = session->stage(request("c1", k_size));
  EXPECT_EQ(stage->finished(), (std::vector<Extent>{{0, 2U << 20, ExtentKind::data}}));
  // It was not noted that the second half of these was finished: read again, and known.
  write(*stage, 2U << 20, ByteView(disk).subspan(2U << 20));
  stage->finish();
  EXPECT_EQ(spy.count("packs") - put, 1U);  // of the last MiB
  const Manifest manifest = session->commit(document("s1"));
  EXPECT_EQ(read_back(manifest.disks[0]), disk);
}

TEST_F(WriteSessionTest, APackThatVanishedIsStoredAgain) {
  const Bytes disk = random_bytes(k_size);
  SessionId id;
  {
    const auto session = begin("s1");
    id = session->id();
    const auto stage = session->stage(request("c1", k_size));
    write(*stage, 0, disk);
    stage->writer().flush();
    stage->note_finished({{0, k_size, ExtentKind::data}});
  }
  repository->store().remove(pack_key({id, 0}));
  reopen();
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  std::uint64_t finished = 0;
  for (const Extent& range : stage->finished()) {
    finished += range.length;
  }
  EXPECT_GT(finished, 0U);
  EXPECT_LT(finished, k_size);
  write(*stage, 0, disk);
  const Manifest manifest = (stage->finish(), session->commit(document("s1")));
  EXPECT_EQ(read_back(manifest.disks[0]), disk);
}

TEST_F(WriteSessionTest, AnotherSnapshotIsAnotherSessionThatSharesWhatIsThere) {
  const Bytes disk = random_bytes(k_size);
  {
    const auto session = begin("s1");
    const auto stage = session->stage(request("c1", k_size));
    write(*stage, 0, disk);
    stage->writer().flush();
  }
  const unsigned put = spy.count("packs");
  reopen();
  const auto session = begin("s2");
  EXPECT_FALSE(session->resumed());
  EXPECT_EQ(session->generation(), 1U);
  const auto stage = session->stage(request("c2", k_size));
  EXPECT_TRUE(stage->finished().empty());
  write(*stage, 0, disk);
  stage->finish();
  EXPECT_EQ(spy.count("packs"), put);
  EXPECT_EQ(read_back(session->commit(document("s2")).disks[0]), disk);
}

TEST_F(WriteSessionTest, ATakenSlotVoidsTheRun) {
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  write(*stage, 0, random_bytes(k_size));
  stage->finish();
  const std::string slot = slot_key(vm, 1);
  const std::string text = to_text(Tombstone{Tombstone::Why::aborted, "2026-11-25T00:00:00Z"}, slot,
                                   repository->keyring());
  repository->store().put(slot, std::as_bytes(std::span(text)));
  try {
    session->commit(document("s1"));
    FAIL() << "the slot was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
    EXPECT_FALSE(error.hint().empty());
  }
  const auto next = begin("s1");
  EXPECT_FALSE(next->resumed());
  EXPECT_EQ(next->generation(), 2U);
}

TEST_F(WriteSessionTest, ACommitMayBeRepeated) {
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  write(*stage, 0, random_bytes(k_size));
  stage->finish();
  const Manifest once = session->commit(document("s1"));
  EXPECT_EQ(session->commit(document("s1")).session, once.session);
  EXPECT_EQ(repository->slots(vm).size(), 1U);
  EXPECT_TRUE(open_sessions(directory / "lib").empty());
}

// Break it: do not ask still_ours() in commit().
TEST_F(WriteSessionTest, WhoLostTheMachineDoesNotPublish) {
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  write(*stage, 0, random_bytes(k_size));
  stage->finish();
  still_ours = [] { throw Error(ErrorKind::busy, "the lease was lost"); };
  EXPECT_THROW(session->commit(document("s1")), Error);
  EXPECT_TRUE(repository->slots(vm).empty());
  still_ours = [] {};
  session->commit(document("s1"));
  EXPECT_EQ(repository->slots(vm).size(), 1U);
}

TEST_F(WriteSessionTest, NothingStagedIsNoVersion) {
  const auto session = begin("s1");
  EXPECT_THROW(session->commit(document("s1")), Error);
  EXPECT_TRUE(repository->slots(vm).empty());
}

TEST_F(WriteSessionTest, WhatIsMarkedAsDamagedIsReadOnceAndNotShared) {
  const Bytes disk = random_bytes(4 * k_block);
  const Manifest first = commit_full("s1", disk);
  mark_damaged(*repository, [&] {
    PackSet packs;
    packs.insert({first.session, 0});
    return packs;
  }());
  reopen();
  spy.lists.clear();
  const auto session = begin("s2");
  EXPECT_TRUE(session->damaged().contains({first.session, 0}));
  const auto base = session->base("vda").value();
  const auto stage = session->stage(request("c-s2", disk.size(), base.change_id));
  write(*stage, 0, disk);
  stage->finish();
  EXPECT_TRUE(session->damaged().contains({first.session, 0}));
  const Manifest second = session->commit(document("s2"));
  EXPECT_EQ(spy.lists["damaged/"], 1U);
  repository->store().remove(pack_key({first.session, 0}));
  EXPECT_EQ(read_back(second.disks.front()), disk) << "stored again, all of it";
}

TEST_F(WriteSessionTest, ADeltaOnAnotherBaseIsRefused) {
  commit_full("s1", random_bytes(k_size));
  const auto session = begin("s2");
  try {
    session->stage(request("c2", k_size, "c-of-long-ago"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::base_mismatch);
  }
}

TEST_F(WriteSessionTest, AStoreThatComesBackIsWaitedFor) {
  outage_max = std::chrono::minutes(10);
  std::atomic<int> failures{3};
  spy.before_put = [&](const std::string& key) {
    if (key.starts_with("packs/") && failures.fetch_sub(1) > 0) {
      throw Error(ErrorKind::failed, "503", key, "", Transience::transient);
    }
  };
  const Bytes disk = random_bytes(k_size);
  EXPECT_EQ(read_back(commit_full("s1", disk).disks[0]), disk);
  EXPECT_LE(failures.load(), 0);
}

TEST_F(WriteSessionTest, AStoreThatDoesNotIsATransientError) {
  spy.before_put = [&](const std::string& key) {
    if (key.starts_with("packs/")) {
      throw Error(ErrorKind::failed, "503", key, "", Transience::transient);
    }
  };
  try {
    commit_full("s1", random_bytes(k_size));
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
  }
  EXPECT_TRUE(repository->slots(vm).empty());
}

}  // namespace
}  // namespace hamal::repository
