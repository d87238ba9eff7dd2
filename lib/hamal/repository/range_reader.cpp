#include "hamal/repository/range_reader.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "hamal/repository/names.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

/// Bytes read for nothing that cost less than another request.
constexpr std::uint64_t k_gap = 32U << 10;
constexpr std::uint64_t k_longest_run = 4U << 20;

/// Where a byte of the disk goes.
std::span<std::byte> destination(const std::vector<WantedRange>& ranges, std::uint64_t offset) {
  const auto after =
      std::partition_point(ranges.begin(), ranges.end(),
                           [&](const WantedRange& range) { return range.end() <= offset; });
  return after->into.subspan(offset - after->offset);
}

}  // namespace

RangeReader::RangeReader(Repository& repository, PackReader& packs, const std::string& name)
    : m_repository(repository),
      m_packs(packs),
      m_name(name),
      m_decoder(repository.keyring(), [&packs](const KeyId& id) { return packs.key_object(id); }) {}

void RangeReader::group(const std::vector<LayerEntry>& entries) {
  m_entries.clear();
  for (const LayerEntry& entry : entries) {
    if (entry.extent.kind == ExtentKind::data) {
      m_entries.push_back(entry);
      m_entries.back().place = m_repository.current_place(entry.place);
    }
  }
  std::sort(m_entries.begin(), m_entries.end(), [](const LayerEntry& a, const LayerEntry& b) {
    return std::tie(a.place.pack, a.place.offset, a.extent.offset) <
           std::tie(b.place.pack, b.place.offset, b.extent.offset);
  });
  m_records.clear();
  m_runs.clear();
  for (std::size_t i = 0; i < m_entries.size(); ++i) {
    const RecordPlace& place = m_entries[i].place;
    if (!m_records.empty() && m_records.back().place == place) {
      m_records.back().end = i + 1;
      continue;
    }
    if (!m_runs.empty()) {
      const RecordPlace& first = m_records[m_runs.back().first].place;
      const RecordPlace& last = m_records.back().place;
      if (last.pack == place.pack && place.offset <= last.offset + last.length + k_gap &&
          place.offset >= last.offset + last.length &&
          place.offset + place.length - first.offset <= k_longest_run) {
        ++m_runs.back().end;
        m_records.push_back({place, i, i + 1});
        continue;
      }
    }
    m_runs.push_back({m_records.size(), m_records.size() + 1});
    m_records.push_back({place, i, i + 1});
  }
}

void RangeReader::read(const std::vector<WantedRange>& ranges,
                       const std::vector<LayerEntry>& entries) {
  for (const WantedRange& range : ranges) {
    std::uint64_t at = range.offset;
    const auto zero_up_to = [&](std::uint64_t end) {
      std::memset(range.into.data() + (at - range.offset), 0, end - at);
    };
    for (const LayerEntry& entry : entries) {
      if (entry.extent.kind == ExtentKind::zero || entry.extent.offset < range.offset ||
          entry.extent.offset >= range.end()) {
        continue;
      }
      zero_up_to(entry.extent.offset);
      at = entry.extent.end();
    }
    zero_up_to(range.end());
  }
  group(entries);
  PackSet looked_for;
  for (std::size_t i = 0; i < m_runs.size(); ++i) {
    try {
      read_run(ranges, m_runs[i]);
    } catch (const ObjectMissing&) {
      const Record& record = m_records[m_runs[i].first];
      const PackName missing = record.place.pack;
      if (looked_for.contains(missing)) {
        rethrow(record);
      }
      // A compaction may have moved what was there; all is read again, from where it is now. Also
      // when another thread has looked: our places may be older than what it found.
      looked_for.insert(missing);
      m_repository.look_again(missing);
      group(entries);
      i = static_cast<std::size_t>(-1);
    }
  }
}

void RangeReader::read_run(const std::vector<WantedRange>& ranges, const Run& run) {
  const RecordPlace& first = m_records[run.first].place;
  const RecordPlace& last = m_records[run.end - 1].place;
  const std::string object = m_repository.store().uri() + "/" + pack_key(first.pack);
  if (m_repository.is_missing(first.pack)) {
    throw ObjectMissing(object);  // a request per record that is lost would take hours
  }
  std::shared_ptr<const std::vector<KeyId>> keys;
  try {
    keys = m_packs.keys(first.pack);
    m_packs.read(first.pack, first.offset, last.offset + last.length - first.offset, m_buffer);
  } catch (const ObjectMissing&) {
    throw;  // read() knows what to do
  } catch (const Error&) {
    rethrow(m_records[run.first]);
  }
  for (std::size_t i = run.first; i < run.end; ++i) {
    const RecordPlace& place = m_records[i].place;
    const auto stored = ByteView(m_buffer).subspan(place.offset - first.offset, place.length);
    try {
      decode(ranges, m_records[i], stored, *keys, object);
    } catch (const Error&) {
      m_packs.forget(first.pack);
      rethrow(m_records[i]);
    }
  }
}

void RangeReader::decode(const std::vector<WantedRange>& ranges, const Record& record,
                         ByteView stored, std::span<const KeyId> keys, const std::string& object) {
  const LayerEntry& entry = m_entries[record.first];
  const auto into = destination(ranges, entry.extent.offset).first(entry.extent.length);
  if (entry.extent.length == entry.plain && record.end == record.first + 1) {
    m_decoder.decode(stored, entry.id, keys, object, into);
    return;
  }
  const LayerEntry* decoded = nullptr;
  for (std::size_t i = record.first; i < record.end; ++i) {
    const LayerEntry& part = m_entries[i];
    // The same place under another id cannot be right: the decoder says so.
    if (decoded == nullptr || decoded->id != part.id || decoded->plain != part.plain) {
      m_plain.resize(part.plain);
      m_decoder.decode(stored, part.id, keys, object, m_plain);
      decoded = &part;
    }
    std::memcpy(destination(ranges, part.extent.offset).data(), m_plain.data() + part.skip,
                part.extent.length);
  }
}

void RangeReader::rethrow(const Record& record) const {
  const Extent& extent = m_entries[record.first].extent;
  const std::string what = "bytes " + std::to_string(extent.offset) + " to " +
                           std::to_string(extent.end()) + " of " + m_name + " cannot be read: ";
  try {
    throw;
  } catch (const ObjectMissing& error) {
    throw Error(ErrorKind::failed, what + "what holds them is missing", error.object(),
                "hamal-repo verify says what else suffers; other versions may still restore");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) {
      throw;  // no matter of these bytes: a key that is missing
    }
    throw Error(error.kind(), what + error.problem(), error.object(), error.hint(),
                error.transient() ? Transience::transient : Transience::permanent);
  }
}

}  // namespace hamal::repository
