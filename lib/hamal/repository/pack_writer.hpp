// The packs of a session: records of all its disks gather in one open pack, full ones are put in
// the background.
//
//   record ─► known? ─ pending here ─────────────────────────► its place, shared
//                │   └ in the record cache ───────────────────► its place, shared
//                └ no: encoded by the caller's thread ─► open pack ─ full ─► queue ─► put ─►
//                durable
//
// A record goes into the cache when its pack is durable, not before; until then it is pending, so
// that no moment is in between. Whoever finds a record claimed by another thread waits for its
// place: one content is never stored twice. Packs in memory are bounded; who needs a new one while
// all are being put waits, and so its reads pause. The first pack that cannot be put ends all.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "hamal/repository/pack.hpp"
#include "hamal/repository/patience.hpp"
#include "hamal/repository/record_cache.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

struct PackWriterContext {
  ObjectStore& store;
  const Keyring& keyring;
  RecordCache& cache;
  Patience patience;
  std::uint64_t memory = 0;  ///< bytes of packs, the open one included
};

/// Thread-safe.
class PackWriter {
 public:
  /// `durable`: the numbers of the session's packs that are in the store; `next`: a number that
  /// none of its packs, durable or not, has had.
  PackWriter(PackWriterContext context, const SessionId& session, std::set<std::uint32_t> durable,
             std::uint32_t next);
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;

  struct Placed {
    RecordPlace place;
    bool shared = false;  ///< it was there already
  };
  /// `scratch` is the caller's, reused between calls.
  Placed place(const RecordId& id, ByteView plain, RecordEncoder& encoder, Bytes& scratch);
  RecordSealer& sealer() noexcept { return *m_sealer; }

  /// What was placed before the call is durable once durable(mark).
  std::uint32_t mark();
  bool durable(std::uint32_t mark);
  /// Closes the open pack and waits for all. Throws what could not be put.
  void flush();
  /// A pack of this session.
  bool is_durable(std::uint32_t number);
  /// Packs that were put by this process.
  std::uint64_t put_packs();

 private:
  struct RecordHash {
    std::size_t operator()(const RecordId& id) const noexcept;
  };
  struct Record {
    RecordId id{};
    std::uint32_t plain = 0;
    RecordPlace place;
  };
  struct Pack {
    std::uint32_t number = 0;
    std::unique_ptr<PackBuilder> builder;
    std::vector<Record> records;
  };

  Placed settle(const RecordId& id, Placed placed);
  void require_open(std::unique_lock<std::mutex>& lock);
  void close();
  void hire();
  void work();
  Bytes put(Pack& pack);
  void put_key();
  void fail(std::exception_ptr error);
  void check() const;

  PackWriterContext m_context;
  SessionId m_session;
  std::uint64_t m_pack_bytes;
  unsigned m_most;  // packs being put, or waiting to be
  std::string m_key_object;
  std::unique_ptr<RecordSealer> m_sealer;
  std::once_flag m_key_put;

  std::mutex m_mutex;
  std::condition_variable m_changed;    // packs: opened, queued, durable, failed
  std::condition_variable m_unclaimed;  // with every record, so it must not wake those of m_changed
  std::unordered_set<RecordId, RecordHash> m_claimed;
  std::unordered_map<RecordId, RecordPlace, RecordHash> m_pending;
  std::unique_ptr<Pack> m_open;
  std::deque<Pack> m_queue;
  std::vector<Bytes> m_spare;           // of packs that were put: new memory costs a fault per page
  std::set<std::uint32_t> m_undurable;  // the open one, those queued and those being put
  std::set<std::uint32_t> m_durable;
  std::uint32_t m_next;
  std::uint64_t m_put = 0;
  std::exception_ptr m_error;
  bool m_stop = false;
  std::vector<std::jthread> m_threads;  // last: they use all the others
};

}  // namespace hamal::repository
