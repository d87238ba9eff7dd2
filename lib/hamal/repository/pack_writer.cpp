#include "hamal/repository/pack_writer.hpp"

#include <algorithm>
#include <cstring>
#include <system_error>

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_smallest_pack = 1U << 20;
constexpr unsigned k_most_puts = 4;

std::uint64_t pack_bytes(std::uint64_t memory) {
  return std::clamp(memory / 2, k_smallest_pack, k_pack_bytes);
}

}  // namespace

std::size_t PackWriter::RecordHash::operator()(const RecordId& id) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, id.data(), sizeof(hash));
  return hash;
}

PackWriter::PackWriter(PackWriterContext context, const SessionId& session,
                       std::set<std::uint32_t> durable, std::uint32_t next)
    : m_context(context),
      m_session(session),
      m_pack_bytes(pack_bytes(context.memory)),
      m_most(std::clamp(static_cast<unsigned>(context.memory / m_pack_bytes), 2U, k_most_puts + 1) -
             1),
      m_sealer(context.keyring.new_sealer(m_key_object)),
      m_durable(std::move(durable)),
      m_next(next) {}

PackWriter::~PackWriter() {
  const std::lock_guard lock(m_mutex);
  m_stop = true;
  m_queue.clear();
  m_changed.notify_all();
}

void PackWriter::check() const {
  if (m_error) {
    std::rethrow_exception(m_error);
  }
}

PackWriter::Placed PackWriter::place(const RecordId& id, ByteView plain, RecordEncoder& encoder,
                                     Bytes& scratch) {
  {
    std::unique_lock lock(m_mutex);
    m_unclaimed.wait(lock, [&] { return m_error || !m_claimed.contains(id); });
    check();
    if (const auto known = m_pending.find(id); known != m_pending.end()) {
      return {known->second, true};
    }
    m_claimed.insert(id);
  }
  try {
    if (const auto known = m_context.cache.find(id, static_cast<std::uint32_t>(plain.size()))) {
      return settle(id, {*known, true});
    }
    scratch.clear();
    encoder.encode(id, plain, scratch);
    std::unique_lock lock(m_mutex);
    require_open(lock);
    PackBuilder& builder = *m_open->builder;
    const RecordPlace place{
        {m_session, m_open->number}, builder.offset(), static_cast<std::uint32_t>(scratch.size())};
    builder.buffer().insert(builder.buffer().end(), scratch.begin(), scratch.end());
    builder.added();
    m_open->records.push_back({id, static_cast<std::uint32_t>(plain.size()), place});
    m_pending.emplace(id, place);
    if (builder.offset() >= m_pack_bytes) {
      close();
    }
    m_claimed.erase(id);
    m_unclaimed.notify_all();
    return {place, false};
  } catch (...) {
    settle(id, {});
    throw;
  }
}

PackWriter::Placed PackWriter::settle(const RecordId& id, Placed placed) {
  const std::lock_guard lock(m_mutex);
  m_claimed.erase(id);
  m_unclaimed.notify_all();
  return placed;
}

void PackWriter::require_open(std::unique_lock<std::mutex>& lock) {
  // Of those that wait for room the first to wake opens it.
  m_changed.wait(lock, [&] { return m_error || m_open || m_undurable.size() < m_most; });
  check();
  if (m_open) {
    return;
  }
  std::vector<KeyId> keys;
  if (const auto key = m_sealer->key_id()) {
    keys.push_back(*key);
  }
  m_open = std::make_unique<Pack>();
  m_open->number = m_next++;
  Bytes buffer;
  if (!m_spare.empty()) {
    buffer = std::move(m_spare.back());
    m_spare.pop_back();
  }
  m_open->builder = std::make_unique<PackBuilder>(keys, std::move(buffer));
  m_open->builder->buffer().reserve(m_pack_bytes + 2 * std::size_t{k_record_bytes});
  m_undurable.insert(m_open->number);
  m_changed.notify_all();  // others may wait for it
}

// With the lock.
void PackWriter::close() {
  m_queue.push_back(std::move(*m_open));
  m_open.reset();
  if (m_threads.size() < std::min<std::size_t>(m_most, m_undurable.size())) {
    hire();
  }
  m_changed.notify_all();
}

void PackWriter::hire() {
  try {
    m_threads.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    if (m_threads.empty()) {
      m_error = std::make_exception_ptr(
          Error(ErrorKind::failed, std::string("cannot start a thread: ") + error.what(),
                m_context.store.uri(), "raise the limit of processes (ulimit -u, TasksMax)",
                Transience::transient));
    }
  }
}

void PackWriter::work() {
  std::unique_lock lock(m_mutex);
  for (;;) {
    m_changed.wait(lock, [&] { return m_stop || m_error || !m_queue.empty(); });
    if (m_stop || m_error) {
      return;
    }
    Pack pack = std::move(m_queue.front());
    m_queue.pop_front();
    lock.unlock();
    try {
      Bytes spare = put(pack);
      lock.lock();
      m_spare.push_back(std::move(spare));
      for (const Record& record : pack.records) {
        m_pending.erase(record.id);
      }
      m_undurable.erase(pack.number);
      m_durable.insert(pack.number);
      ++m_put;
      m_changed.notify_all();
    } catch (...) {
      if (!lock.owns_lock()) {
        lock.lock();
      }
      fail(std::current_exception());
    }
  }
}

// The memory it was built in.
Bytes PackWriter::put(Pack& pack) {
  put_key();
  Bytes bytes = pack.builder->finish();
  pack.builder.reset();
  const std::string key = pack_key({m_session, pack.number});
  patiently(m_context.patience, [&] { m_context.store.put(key, bytes); });
  for (const Record& record : pack.records) {
    m_context.cache.add(record.id, record.plain, record.place);
  }
  return bytes;
}

void PackWriter::put_key() {
  std::call_once(m_key_put, [this] {
    if (const auto key = m_sealer->key_id()) {
      patiently(m_context.patience, [&] {
        m_context.store.put(data_key_key(*key), std::as_bytes(std::span(m_key_object)));
      });
    }
  });
}

void PackWriter::fail(std::exception_ptr error) {
  if (!m_error) {
    m_error = std::move(error);
  }
  m_changed.notify_all();
  m_unclaimed.notify_all();
}

std::uint32_t PackWriter::mark() {
  const std::lock_guard lock(m_mutex);
  return m_next;
}

bool PackWriter::durable(std::uint32_t mark) {
  const std::lock_guard lock(m_mutex);
  return m_undurable.empty() || *m_undurable.begin() >= mark;
}

void PackWriter::flush() {
  std::unique_lock lock(m_mutex);
  check();
  if (m_open) {
    close();
  }
  const std::uint32_t bound = m_next;
  m_changed.wait(lock,
                 [&] { return m_error || m_undurable.empty() || *m_undurable.begin() >= bound; });
  check();
}

bool PackWriter::is_durable(std::uint32_t number) {
  const std::lock_guard lock(m_mutex);
  return m_durable.contains(number);
}

std::uint64_t PackWriter::put_packs() {
  const std::lock_guard lock(m_mutex);
  return m_put;
}

}  // namespace hamal::repository
