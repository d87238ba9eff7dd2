// The spool: round trips, and every way in which a file can be damaged.
#include "hamal/extent/spool.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "hamal/util/error.hpp"
#include "model.hpp"

namespace hamal::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    std::string name = (fs::temp_directory_path() / "hamal-spool-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("mkdtemp");
    }
    m_directory = name;
    m_path = m_directory / "plan";
  }
  ~SpoolTest() override { fs::remove_all(m_directory); }

  ExtentTotals write(const std::vector<Extent>& extents, std::uint64_t size) const {
    auto source = vector_source(extents, 3);
    return spool_extents(m_path, size, *source);
  }
  std::string bytes() const {
    std::ifstream in(m_path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void replace(const std::string& bytes) const {
    std::ofstream(m_path, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string refusal() const {
    try {
      const Spool spool(m_path);
      collect(*spool.extents());
    } catch (const Error& error) {
      EXPECT_EQ(error.object(), m_path.string());
      return error.problem();
    }
    return "accepted";
  }

  fs::path m_directory;
  fs::path m_path;
};

TEST_F(SpoolTest, ReadsBackWhatWasWritten) {
  std::random_device device;
  const std::uint64_t first = device();
  for (std::uint64_t seed = first; seed < first + 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const std::uint64_t size = random(1, 5000);
    const auto extents = random_extents(random, size);
    const ExtentTotals totals = write(extents, size);
    const Spool spool(m_path);
    EXPECT_EQ(spool.totals(), totals);
    EXPECT_EQ(spool.disk_size(), size);
    for (int pass = 0; pass < 2; ++pass) {
      ASSERT_EQ(drain(*spool.extents(), size), extents);
    }
  }
}

TEST_F(SpoolTest, HoldsTheExtremes) {
  const std::uint64_t size = (std::uint64_t{1} << 63) - 1;
  const std::vector<Extent> extents{{0, 1, ExtentKind::zero}, {size - 1, 1, ExtentKind::data}};
  EXPECT_EQ(write(extents, size), (ExtentTotals{2, 1, 1}));
  EXPECT_EQ(collect(*Spool(m_path).extents()), extents);
  const std::vector<Extent> whole{{0, size, ExtentKind::data}};
  write(whole, size);
  EXPECT_EQ(collect(*Spool(m_path).extents()), whole);
  write({}, 0);
  EXPECT_TRUE(collect(*Spool(m_path).extents()).empty());
}

TEST_F(SpoolTest, IsPrivate) {
  write({{0, 1, ExtentKind::data}}, 10);
  struct stat status {};
  ASSERT_EQ(::stat(m_path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(SpoolTest, AnUnfinishedOneLeavesTheOldOne) {
  write({{0, 1, ExtentKind::data}}, 10);
  {
    SpoolWriter writer(m_path, 10);
    const std::vector<Extent> other{{5, 5, ExtentKind::zero}};
    writer.append(other);
  }
  EXPECT_EQ(Spool(m_path).totals(), (ExtentTotals{1, 1, 0}));
  EXPECT_EQ(std::distance(fs::directory_iterator(m_directory), fs::directory_iterator()), 1);
}

TEST_F(SpoolTest, WhatWasLeftByAKilledRunIsOverwritten) {
  std::ofstream(m_path.string() + ".partial") << std::string(10'000, 'x');
  write({{0, 1, ExtentKind::data}}, 10);
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(SpoolTest, RefusesAnythingFlippedAnywhere) {
  write({{3, 500, ExtentKind::data}, {4000, 96, ExtentKind::zero}}, 5000);
  const std::string good = bytes();
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int bit : {0, 7}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      replace(bad);
      EXPECT_NE(refusal(), "accepted") << "byte " << i << " bit " << bit;
    }
  }
}

TEST_F(SpoolTest, RefusesAnythingCutOrLongerAnywhere) {
  write({{3, 500, ExtentKind::data}, {4000, 96, ExtentKind::zero}}, 5000);
  const std::string good = bytes();
  for (std::size_t length = 0; length < good.size(); ++length) {
    replace(good.substr(0, length));
    EXPECT_THAT(refusal(), HasSubstr("is truncated")) << length;
  }
  replace(good + "x");
  EXPECT_THAT(refusal(), HasSubstr("is truncated"));
}

TEST_F(SpoolTest, NamesWhatItIsNot) {
  replace(std::string(200, 'x'));
  EXPECT_THAT(refusal(), HasSubstr("does not start as one"));
  write({}, 10);
  std::string newer = bytes();
  newer[7] = 2;
  replace(newer);
  EXPECT_THAT(refusal(), HasSubstr("written by a newer hamal: version 2, this one reads 1"));
  fs::remove(m_path);
  EXPECT_THAT(refusal(), HasSubstr("cannot open"));
}

TEST_F(SpoolTest, RefusesACallerThatBreaksThePromises) {
  SpoolWriter writer(m_path, 100);
  const std::vector<Extent> backwards{{50, 10, ExtentKind::data}, {40, 5, ExtentKind::data}};
  EXPECT_THROW(writer.append(backwards), std::logic_error);
  const std::vector<Extent> outside{{90, 20, ExtentKind::data}};
  EXPECT_THROW(writer.append(outside), std::logic_error);
}

TEST_F(SpoolTest, HoldsAMillionExtentsInFewBytesEach) {
  std::vector<Extent> extents;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    extents.push_back({i * 16384, 4096, i % 8 == 0 ? ExtentKind::zero : ExtentKind::data});
  }
  write(extents, std::uint64_t{1} << 40);
  EXPECT_LE(fs::file_size(m_path), 6'000'000U);
  EXPECT_EQ(collect(*Spool(m_path).extents()), extents);
}

}  // namespace
}  // namespace hamal::test
