#include "hamal/repository/compaction_copy.hpp"

#include <algorithm>

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_key_object = 16U << 20;
// One request fetches records that lie so near each other, up to so much.
constexpr std::uint64_t k_widest_gap = 256U << 10;
constexpr std::uint64_t k_longest_run = 4U << 20;

std::vector<KeyId> read_keys(ObjectStore& store, const std::string& key) {
  Bytes header(pack_header_bytes(0));
  store.get_range(key, 0, header);
  if (const std::uint64_t bytes = parse_pack_header_bytes(header, key); bytes > header.size()) {
    header.resize(bytes);
    store.get_range(key, 0, header);
  }
  return parse_pack_header(header, key);
}

}  // namespace

RecordCopier::RecordCopier(const KeepingContext& context, const SessionId& session,
                           CompactionReport& report)
    : m_context(context),
      m_report(report),
      m_decoder(context.repository.keyring(), [&context](const KeyId& id) {
        return context.repository.store().get(data_key_key(id), k_max_key_object);
      }) {
  m_compaction.session = session;
}

void RecordCopier::copy(const PackName& pack, const std::vector<RecordSet::Record>& records) {
  ObjectStore& store = m_context.repository.store();
  const std::string key = pack_key(pack);
  const std::vector<KeyId> keys = read_keys(store, key);
  Bytes run;
  for (std::size_t first = 0; first < records.size();) {
    m_context.cancel.check();
    const std::uint64_t begin = records[first].offset;
    std::uint64_t end = begin + records[first].length;
    std::size_t last = first + 1;
    for (; last < records.size() && records[last].offset <= end + k_widest_gap &&
           records[last].offset + std::uint64_t{records[last].length} - begin <= k_longest_run;
         ++last) {
      end = std::max(end, records[last].offset + std::uint64_t{records[last].length});
    }
    run.resize(end - begin);
    store.get_range(key, begin, run);
    for (; first < last; ++first) {
      take(pack, keys, records[first],
           ByteView(run).subspan(records[first].offset - begin, records[first].length));
    }
  }
}

void RecordCopier::take(const PackName& pack, const std::vector<KeyId>& keys,
                        const RecordSet::Record& record, ByteView stored) {
  Pending pending{pack, record.offset, std::nullopt, {stored.begin(), stored.end()}};
  const std::string object = pack_key(pack) + " at " + std::to_string(record.offset);
  try {
    const RecordHeader header = parse_record_header(stored, object);
    if (k_record_header_bytes + std::uint64_t{header.body_length} != stored.size() ||
        (header.key && *header.key >= keys.size())) {
      throw Error(ErrorKind::failed, "is not the record that versions name", object);
    }
    if (header.key) {
      pending.key = keys[*header.key];
    }
    // Damage is not copied: under the checksum of a new pack it would look whole.
    if (m_context.repository.keyring().can_read_records()) {
      Bytes plain(header.plain_length);
      m_decoder.decode(stored, header.id, keys, object, plain);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed || error.transient()) {
      throw;
    }
    m_context.log.warning("not moved: {}", error.what());
    ++m_report.damaged;
    return;
  }
  m_report.live_bytes += stored.size();
  m_pending_bytes += stored.size();
  m_pending.push_back(std::move(pending));
  if (m_pending_bytes >= k_pack_bytes) {
    put_pack();
  }
}

void RecordCopier::put_pack() {
  if (m_pending.empty()) {
    return;
  }
  std::vector<KeyId> keys;
  std::map<KeyId, std::uint16_t> places;
  for (const Pending& pending : m_pending) {
    if (pending.key &&
        places.try_emplace(*pending.key, static_cast<std::uint16_t>(keys.size())).second) {
      keys.push_back(*pending.key);
    }
  }
  PackBuilder pack(keys);
  for (const Pending& pending : m_pending) {
    const auto at = static_cast<std::uint32_t>(pack.offset());
    RecordHeader header = parse_record_header(pending.stored, "record");
    if (pending.key) {
      header.key = places.at(*pending.key);
    }
    append_record_header(header, pack.buffer());
    const ByteView body = ByteView(pending.stored).subspan(k_record_header_bytes);
    pack.buffer().insert(pack.buffer().end(), body.begin(), body.end());
    pack.added();
    m_compaction.packs[pending.from].push_back({pending.offset, m_next, at});
  }
  m_context.repository.store().put(pack_key({m_compaction.session, m_next}), pack.finish());
  ++m_next;
  ++m_report.new_packs;
  m_pending.clear();
  m_pending_bytes = 0;
}

Compaction RecordCopier::finish() {
  put_pack();
  return std::move(m_compaction);
}

}  // namespace hamal::repository
