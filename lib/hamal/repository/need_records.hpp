// Records by pack and offset, each once, in bounded memory: sorted in pieces, one scratch file.
// Private to this folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <vector>

#include "hamal/repository/record.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::repository {

/// Add everything, then for_each_pack(), once.
class RecordSet {
 public:
  struct Record {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
  };

  /// `directory`: where the scratch file lies; it has no name. `run`: records in memory.
  explicit RecordSet(std::filesystem::path directory, std::size_t run = 4U << 20);
  void add(const RecordPlace& place);
  /// Every pack with its records, which ascend by offset.
  void for_each_pack(const std::function<void(const PackName&, const std::vector<Record>&)>& each);

 private:
  struct Item {
    std::uint32_t pack = 0;
    Record record;
  };
  struct Run {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  class Reader;

  void sort_run();
  void spill();

  std::filesystem::path m_directory;
  std::size_t m_run;
  std::map<PackName, std::uint32_t> m_numbers;
  std::vector<PackName> m_packs;  // by number
  std::vector<Item> m_items;
  UniqueFd m_file;
  std::vector<Run> m_runs;
};

}  // namespace hamal::repository
