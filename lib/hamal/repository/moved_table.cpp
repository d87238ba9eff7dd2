#include "hamal/repository/moved_table.hpp"

#include <fcntl.h>

#include <algorithm>
#include <span>
#include <utility>

#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

std::optional<MovedRecord> find_in(std::span<const MovedRecord> records, std::uint64_t from) {
  const auto found =
      std::partition_point(records.begin(), records.end(),
                           [&](const MovedRecord& record) { return record.from < from; });
  return found != records.end() && found->from == from ? std::optional(*found) : std::nullopt;
}

}  // namespace

MovedTable::MovedTable(std::filesystem::path directory, std::size_t most)
    : m_directory(std::move(directory)), m_most(most) {}

MovedTable::Part MovedTable::add(const std::vector<MovedRecord>& records) {
  if (m_newest.size() + records.size() > m_most) {
    spill();
  }
  const Part part{m_in_file + m_newest.size(), static_cast<std::uint32_t>(records.size())};
  m_newest.insert(m_newest.end(), records.begin(), records.end());
  return part;
}

void MovedTable::spill() {
  if (m_newest.empty()) {
    return;
  }
  if (!m_file) {
    make_private_directories(m_directory);
    m_file = open_file(m_directory, O_TMPFILE | O_RDWR);
  }
  pwrite_all(m_file.get(), std::as_bytes(std::span(m_newest)), m_in_file * sizeof(MovedRecord),
             m_directory.string());
  m_in_file += m_newest.size();
  m_newest.clear();
}

std::optional<MovedRecord> MovedTable::find(const Part& part, std::uint64_t from) const {
  if (part.begin >= m_in_file) {
    return find_in(std::span(m_newest).subspan(part.begin - m_in_file, part.count), from);
  }
  const Records records = read(part);
  return find_in(*records, from);
}

MovedTable::Records MovedTable::read(const Part& part) const {
  const std::lock_guard lock(m_mutex);
  if (const auto found = m_index.find(part.begin); found != m_index.end()) {
    m_kept.splice(m_kept.begin(), m_kept, found->second);
    return found->second->records;
  }
  auto records = std::make_shared<std::vector<MovedRecord>>(part.count);
  pread_all(m_file.get(), std::as_writable_bytes(std::span(*records)),
            part.begin * sizeof(MovedRecord), m_directory.string());
  m_kept.push_front({part.begin, records});
  m_index[part.begin] = m_kept.begin();
  m_kept_records += part.count;
  while (m_kept_records > m_most && m_kept.size() > 1) {
    m_kept_records -= m_kept.back().records->size();
    m_index.erase(m_kept.back().begin);
    m_kept.pop_back();
  }
  return records;
}

}  // namespace hamal::repository
