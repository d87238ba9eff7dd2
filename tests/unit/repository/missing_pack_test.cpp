// A pack that is lost, read around.
#include <atomic>

#include "hamal/repository/version_reader.hpp"
#include "repository/damage_lab.hpp"

namespace hamal::repository {
namespace {

class MissingPackTest : public DamageLab {
 protected:
  std::unique_ptr<BlockReader> open(const Manifest& version) {
    if (repository) {
      m_shared = std::move(repository);
    }
    const DiskVersion& disk = version.disks.front();
    return open_version_reader(m_shared,
                               {"memory:", "disk 0", disk.size, m_shared->open_layers(disk)});
  }
  static std::string failure(BlockReader& reader, std::uint64_t offset) {
    Bytes bytes(k_block);
    try {
      reader.read(offset, bytes);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  std::shared_ptr<Repository> m_shared;
};

// The copy tries what cannot be read again in ever smaller parts, down to every record.
//
// Break it: have RangeReader::read_run() not ask is_missing(), or look_again() not remember.
TEST_F(MissingPackTest, IsAskedForOnce) {
  const Manifest lost =
      commit({{0, random_bytes(k_block, 1)}, {k_block, random_bytes(k_block, 2)}});
  const Bytes kept = random_bytes(k_block, 3);
  const Manifest version = commit({{2 * k_block, kept}});
  store->remove(pack_of(lost));
  const auto reader = open(version);
  const std::size_t lists = store->lists["compactions/"];
  std::atomic<std::size_t> asked{0};
  store->on_get = [&](const std::string& key) { asked += key == pack_of(lost) ? 1 : 0; };
  for (int i = 0; i < 20; ++i) {
    for (const std::uint64_t offset : {std::uint64_t{0}, k_block}) {
      const std::string what = failure(*reader, offset);
      EXPECT_NE(what.find("is missing"), std::string::npos) << what;
      EXPECT_NE(what.find(pack_of(lost)), std::string::npos) << what;
    }
  }
  EXPECT_EQ(asked, 1U);
  // Before the first record is read, and when its pack was missing.
  EXPECT_LE(store->lists["compactions/"] - lists, 2U);
  Bytes bytes(k_block);
  reader->read(2 * k_block, bytes);
  EXPECT_EQ(bytes, kept);
}

}  // namespace
}  // namespace hamal::repository
