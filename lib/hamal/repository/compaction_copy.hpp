// Copies records between packs, as they are stored. Private to this folder.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "hamal/repository/compaction.hpp"
#include "hamal/repository/moved.hpp"
#include "hamal/repository/need_records.hpp"
#include "hamal/repository/pack.hpp"

namespace hamal::repository {

/// Gathers records into packs of one session. Memory: a pack, twice.
class RecordCopier {
 public:
  RecordCopier(const KeepingContext& context, const SessionId& session, CompactionReport& report);
  /// Records that are not what they should be are left where they are.
  void copy(const PackName& pack, const std::vector<RecordSet::Record>& records);
  /// Puts the last pack. What was moved where: all of it is durable.
  Compaction finish();

 private:
  struct Pending {
    PackName from;
    std::uint32_t offset = 0;
    std::optional<KeyId> key;
    Bytes stored;
  };

  void take(const PackName& pack, const std::vector<KeyId>& keys, const RecordSet::Record& record,
            ByteView stored);
  void put_pack();

  const KeepingContext& m_context;
  CompactionReport& m_report;
  RecordDecoder m_decoder;
  Compaction m_compaction;
  std::vector<Pending> m_pending;
  std::uint64_t m_pending_bytes = 0;
  std::uint32_t m_next = 0;
};

}  // namespace hamal::repository
