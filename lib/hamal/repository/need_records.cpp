#include "hamal/repository/need_records.hpp"

#include <fcntl.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <span>
#include <tuple>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

constexpr std::size_t k_read_items = 4096;

}  // namespace

/// One sorted run, a window at a time.
class RecordSet::Reader {
 public:
  Reader(int fd, const std::string& name, Run run) : m_fd(fd), m_name(name), m_run(run) {}

  bool next(Item& item) {
    if (m_at == m_window.size()) {
      m_at = 0;
      m_window.resize(std::min<std::uint64_t>(k_read_items, m_run.end - m_run.begin));
      if (m_window.empty()) {
        return false;
      }
      pread_all(m_fd, std::as_writable_bytes(std::span(m_window)), m_run.begin * sizeof(Item),
                m_name);
      m_run.begin += m_window.size();
    }
    item = m_window[m_at++];
    return true;
  }

 private:
  int m_fd;
  const std::string& m_name;
  Run m_run;
  std::vector<Item> m_window;
  std::size_t m_at = 0;
};

RecordSet::RecordSet(std::filesystem::path directory, std::size_t run)
    : m_directory(std::move(directory)), m_run(run) {}

void RecordSet::add(const RecordPlace& place) {
  if (place.offset > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorKind::failed, "a record lies beyond where packs end", pack_key(place.pack),
                "hamal-repo verify says what suffers");
  }
  const auto [number, is_new] =
      m_numbers.try_emplace(place.pack, static_cast<std::uint32_t>(m_packs.size()));
  if (is_new) {
    m_packs.push_back(place.pack);
  }
  m_items.push_back({number->second, {static_cast<std::uint32_t>(place.offset), place.length}});
  if (m_items.size() >= m_run) {
    sort_run();
    // What is told again and again may leave room for much more.
    if (m_items.size() > m_run / 2) {
      spill();
    }
  }
}

void RecordSet::sort_run() {
  const auto key = [](const Item& item) { return std::tuple(item.pack, item.record.offset); };
  std::sort(m_items.begin(), m_items.end(),
            [&](const Item& a, const Item& b) { return key(a) < key(b); });
  m_items.erase(std::unique(m_items.begin(), m_items.end(),
                            [&](const Item& a, const Item& b) { return key(a) == key(b); }),
                m_items.end());
}

void RecordSet::spill() {
  if (!m_file) {
    m_file = open_file(m_directory, O_TMPFILE | O_RDWR);
  }
  const std::uint64_t begin = m_runs.empty() ? 0 : m_runs.back().end;
  pwrite_all(m_file.get(), std::as_bytes(std::span(m_items)), begin * sizeof(Item),
             m_directory.string());
  m_runs.push_back({begin, begin + m_items.size()});
  m_items.clear();
}

void RecordSet::for_each_pack(
    const std::function<void(const PackName&, const std::vector<Record>&)>& each) {
  sort_run();
  if (!m_runs.empty()) {
    spill();
    m_items.shrink_to_fit();
  }
  const std::string name = m_directory.string();
  std::vector<Reader> readers;
  for (const Run& run : m_runs) {
    readers.emplace_back(m_file.get(), name, run);
  }
  using Head = std::pair<Item, std::size_t>;
  const auto later = [](const Head& a, const Head& b) {
    return std::tuple(a.first.pack, a.first.record.offset) >
           std::tuple(b.first.pack, b.first.record.offset);
  };
  std::priority_queue<Head, std::vector<Head>, decltype(later)> heads(later);
  const auto advance = [&](std::size_t reader) {
    Item item;
    if (readers[reader].next(item)) {
      heads.emplace(item, reader);
    }
  };
  for (std::size_t i = 0; i < readers.size(); ++i) {
    advance(i);
  }
  std::size_t at = 0;
  const auto next = [&](Item& item) {
    if (readers.empty()) {
      if (at == m_items.size()) {
        return false;
      }
      item = m_items[at++];
      return true;
    }
    if (heads.empty()) {
      return false;
    }
    const std::size_t reader = heads.top().second;
    item = heads.top().first;
    heads.pop();
    advance(reader);
    return true;
  };
  std::vector<Record> records;
  std::uint32_t pack = 0;
  Item item;
  while (next(item)) {
    if (item.pack != pack && !records.empty()) {
      each(m_packs[pack], records);
      records.clear();
    }
    pack = item.pack;
    if (records.empty() || records.back().offset != item.record.offset) {
      records.push_back(item.record);
    }
  }
  if (!records.empty()) {
    each(m_packs[pack], records);
  }
}

}  // namespace hamal::repository
