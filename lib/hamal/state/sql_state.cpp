// State over SOCI. The SQL is the common part of SQLite's and PostgreSQL's; what differs is in
// database.hpp.
#include "hamal/state/sql_state.hpp"

#include <soci/soci.h>

#include <charconv>
#include <functional>

#include "hamal/extent/validate.hpp"
#include "hamal/state/migrate.hpp"
#include "hamal/state/sql_lease_state.hpp"
#include "hamal/state/sql_state_dump.hpp"
#include "hamal/state/sql_task_state.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

constexpr const char* k_select_checkpoints =
    "SELECT platform, vm_id, disk_id, target, vm_name, change_id, snapshot_id, generation, size, "
    "committed, target_uri, disk_flag, released, proxy FROM checkpoints";
constexpr const char* k_select_marks =
    "SELECT platform, vm_id, disk_id, target, mode, base_change_id, change_id, snapshot_id, "
    "plan_path, started, target_created, finished, restore_path, proxy FROM in_progress";

constexpr const char* k_select_runs =
    "SELECT job, platform, vm_id, vm_name, state, run_id, started, ended, last_success, mode, "
    "bytes, duration_ms, failures, last_error, next_run FROM runs";

// "OFFSET+LENGTH OFFSET+LENGTH …"
std::string text_of(const std::vector<Extent>& extents) {
  std::string text;
  for (const Extent& extent : extents) {
    text += (text.empty() ? "" : " ") + std::to_string(extent.offset) + "+" +
            std::to_string(extent.length);
  }
  return text;
}

// What was not written by text_of() counts as nothing: more is copied than needed, never less.
std::vector<Extent> extents_of(const std::string& text) {
  std::vector<Extent> extents;
  const char* at = text.data();
  const char* const end = at + text.size();
  std::uint64_t previous = 0;
  while (at != end) {
    Extent extent;
    const auto offset = std::from_chars(at, end, extent.offset);
    if (offset.ec != std::errc{} || offset.ptr == end || *offset.ptr != '+') {
      return {};
    }
    const auto length = std::from_chars(offset.ptr + 1, end, extent.length);
    if (length.ec != std::errc{} || (length.ptr != end && *length.ptr != ' ') ||
        extent_problem(extent, previous, previous, k_max_disk_size)) {
      return {};
    }
    previous = extent.end();
    extents.push_back(extent);
    at = length.ptr == end ? end : length.ptr + 1;
    if (at == end && length.ptr != end) {
      return {};
    }
  }
  return extents;
}

class SqlState final : public State {
 public:
  explicit SqlState(std::unique_ptr<Database> database)
      : m_database(std::move(database)),
        m_sql(m_database->sql()),
        m_tasks(*m_database),
        m_leases(*m_database) {
    migrate(*m_database);
  }

  bool shared() const noexcept override { return m_database->shared(); }

  std::string installation_id() override { return once("installation_id", random_uuid); }

  std::string disk_flag_key() override {
    return once("disk_flag_key", [] { return random_hex(64); });
  }

  std::optional<Checkpoint> find_checkpoint(const DiskIdentity& identity) override {
    std::optional<Checkpoint> found;
    m_database->run([&] { found = select_checkpoint(identity); });
    return found;
  }

  std::vector<Checkpoint> list_checkpoints() override {
    std::vector<Checkpoint> all;
    m_database->run([&] {
      all.clear();
      const soci::rowset<soci::row> rows =
          (m_sql.prepare << std::string(k_select_checkpoints) +
                                " ORDER BY platform, vm_name, disk_id, target");
      for (const auto& row : rows) {
        all.push_back(checkpoint_of(row));
      }
    });
    return all;
  }

  void commit_checkpoint(const Checkpoint& c) override {
    write(c.identity, [&] {
      const auto stored = select_checkpoint(c.identity);
      const std::uint64_t before = stored ? stored->generation : 0;
      if (m_database->repeated() && stored && same_commit(*stored, c)) {
        return;  // the connection broke after the commit and before its reply
      }
      if (c.generation != before + 1) {
        throw Error(ErrorKind::busy,
                    "another run committed generation " + std::to_string(before) +
                        " while this one made " + std::to_string(c.generation),
                    c.identity.target, "run it again");
      }
      require_no_other(c.identity,
                       "the target holds neither disk now; copy all of one again: "
                       "--incremental=never --force");
      replace_checkpoint(c);
    });
  }

  void cache_checkpoint(const Checkpoint& c) override {
    write(c.identity, [&] { replace_checkpoint(c); });
  }

  bool forget_checkpoint(const DiskIdentity& identity) override {
    bool found = false;
    write(identity, [&] {
      const long long rows = erase("checkpoints", identity) + erase("in_progress", identity);
      found = found || rows > 0;
    });
    return found;
  }

  std::optional<InProgress> find_in_progress(const DiskIdentity& i) override {
    std::optional<InProgress> found;
    m_database->run([&] {
      soci::row row;
      m_sql << std::string(k_select_marks) +
                   " WHERE platform = :p AND vm_id = :v AND disk_id = :d AND target = :t",
          soci::use(i.platform), soci::use(i.vm_id), soci::use(i.disk_id), soci::use(i.target),
          soci::into(row);
      if (m_sql.got_data()) {
        found = mark_of(row);
      }
    });
    return found;
  }

  std::vector<InProgress> list_in_progress() override {
    std::vector<InProgress> all;
    m_database->run([&] {
      all.clear();
      const soci::rowset<soci::row> rows = (m_sql.prepare << k_select_marks);
      for (const auto& row : rows) {
        all.push_back(mark_of(row));
      }
    });
    return all;
  }

  void mark_in_progress(const InProgress& m, const std::vector<DiskIdentity>& given_up) override {
    write(m.identity, [&] {
      for (const DiskIdentity& other : given_up) {
        m_leases.require_idle({other.platform, other.vm_id});
        erase("checkpoints", other);
        erase("in_progress", other);
      }
      require_no_other(m.identity, "two jobs have one target? change one of them");
      erase("in_progress", m.identity);
      const std::string mode = to_string(m.mode);
      const int created = m.target_created ? 1 : 0;
      const std::string finished = text_of(m.finished);
      m_sql
          << "INSERT INTO in_progress (platform, vm_id, disk_id, target, mode, base_change_id, "
             "change_id, snapshot_id, plan_path, started, target_created, finished, restore_path, "
             "proxy) VALUES (:p, :v, :d, :t, :m, :b, :c, :s, :l, :w, :r, :f, :e, :x)",
          soci::use(m.identity.platform), soci::use(m.identity.vm_id),
          soci::use(m.identity.disk_id), soci::use(m.identity.target), soci::use(mode),
          soci::use(m.base_change_id), soci::use(m.change_id), soci::use(m.snapshot_id),
          soci::use(m.plan_path), soci::use(m.started), soci::use(created), soci::use(finished),
          soci::use(m.restore_path), soci::use(m.proxy);
    });
  }

  void record_finished(const DiskIdentity& i, const std::vector<Extent>& extents) override {
    const std::string finished = text_of(extents);
    const long long rows = update("UPDATE in_progress SET finished = :f", finished, i);
    if (rows != 1) {
      throw Error(ErrorKind::busy, "the in-progress mark of this target is gone", i.target,
                  "its checkpoint was forgotten while the run went on; run it again");
    }
  }

  bool clear_in_progress(const DiskIdentity& i) override {
    bool found = false;
    write(i, [&] {
      const long long rows = erase("in_progress", i);
      found = found || rows > 0;
    });
    return found;
  }

  bool release_target(const DiskIdentity& i, const std::string& when) override {
    return update("UPDATE checkpoints SET released = :r", when, i) == 1;
  }

  void put_snapshot(const SnapshotRecord& r) override {
    m_database->transact(key_of_snapshot(r.platform, r.snapshot_id), [&] {
      m_leases.require({r.platform, r.vm_id});
      m_sql << "DELETE FROM snapshots WHERE platform = :p AND snapshot_id = :s",
          soci::use(r.platform), soci::use(r.snapshot_id);
      m_sql << "INSERT INTO snapshots (platform, snapshot_id, vm_id, state, created, document) "
               "VALUES (:p, :s, :v, :t, :c, :d)",
          soci::use(r.platform), soci::use(r.snapshot_id), soci::use(r.vm_id), soci::use(r.state),
          soci::use(r.created), soci::use(r.document);
    });
  }

  void remove_snapshot(const std::string& platform, const std::string& snapshot_id) override {
    m_database->transact(key_of_snapshot(platform, snapshot_id), [&] {
      std::string vm_id;
      m_sql << "SELECT vm_id FROM snapshots WHERE platform = :p AND snapshot_id = :s",
          soci::use(platform), soci::use(snapshot_id), soci::into(vm_id);
      if (!m_sql.got_data()) {
        return;
      }
      m_leases.require({platform, vm_id});
      m_sql << "DELETE FROM snapshots WHERE platform = :p AND snapshot_id = :s",
          soci::use(platform), soci::use(snapshot_id);
    });
  }

  std::vector<SnapshotRecord> list_snapshots() override {
    std::vector<SnapshotRecord> all;
    m_database->run([&] {
      all.clear();
      const soci::rowset<soci::row> rows =
          (m_sql.prepare << "SELECT platform, snapshot_id, vm_id, state, created, document "
                            "FROM snapshots ORDER BY created");
      for (const auto& row : rows) {
        all.push_back({.platform = row.get<std::string>(0),
                       .vm_id = row.get<std::string>(2),
                       .snapshot_id = row.get<std::string>(1),
                       .state = row.get<std::string>(3),
                       .created = row.get<std::string>(4),
                       .document = row.get<std::string>(5)});
      }
    });
    return all;
  }

  void put_run(const RunRecord& r) override {
    m_database->transact(key_of(r), [&] {
      m_leases.require({r.platform, r.vm_id});
      erase_run(r);
      const auto bytes = static_cast<long long>(r.bytes);
      const auto duration = static_cast<long long>(r.duration_ms);
      const auto failures = static_cast<long long>(r.failures);
      m_sql << "INSERT INTO runs (job, platform, vm_id, vm_name, state, run_id, started, ended, "
               "last_success, mode, bytes, duration_ms, failures, last_error, next_run) VALUES "
               "(:j, :p, :v, :n, :s, :r, :b, :e, :l, :m, :y, :d, :f, :x, :w)",
          soci::use(r.job), soci::use(r.platform), soci::use(r.vm_id), soci::use(r.vm_name),
          soci::use(r.state), soci::use(r.run_id), soci::use(r.started), soci::use(r.ended),
          soci::use(r.last_success), soci::use(r.mode), soci::use(bytes), soci::use(duration),
          soci::use(failures), soci::use(r.last_error), soci::use(r.next_run);
    });
  }

  void remove_run(const RunRecord& r) override {
    m_database->transact(key_of(r), [&] {
      m_leases.require({r.platform, r.vm_id});
      erase_run(r);
    });
  }

  std::optional<RunRecord> find_run(const std::string& job, const std::string& platform,
                                    const std::string& vm_id) override {
    std::optional<RunRecord> found;
    m_database->run([&] {
      soci::row row;
      m_sql << std::string(k_select_runs) + " WHERE job = :j AND platform = :p AND vm_id = :v",
          soci::use(job), soci::use(platform), soci::use(vm_id), soci::into(row);
      found = m_sql.got_data() ? std::optional(run_of(row)) : std::nullopt;
    });
    return found;
  }

  std::vector<RunRecord> list_runs() override {
    std::vector<RunRecord> all;
    m_database->run([&] {
      all.clear();
      const soci::rowset<soci::row> rows =
          (m_sql.prepare << std::string(k_select_runs) + " ORDER BY job, platform, vm_name, vm_id");
      for (const auto& row : rows) {
        all.push_back(run_of(row));
      }
    });
    return all;
  }

  StateDump dump() override { return dump_rows(*m_database); }
  void load(const StateDump& dump) override { load_rows(*m_database, dump); }

  TaskState& tasks() override { return m_tasks; }
  LeaseState& leases() override { return m_leases; }

 private:
  // What transactions wait for each other by: the target, because a mark forgets what other disks
  // had there.
  static std::string key_of(const DiskIdentity& identity) { return "target " + identity.target; }
  static std::string key_of(const RunRecord& run) {
    return "run " + run.job + " " + run.platform + " " + run.vm_id;
  }
  static std::string key_of_snapshot(const std::string& platform, const std::string& id) {
    return "snapshot " + platform + " " + id;
  }

  static bool same_commit(const Checkpoint& stored, const Checkpoint& made) {
    return stored.generation == made.generation && stored.committed == made.committed &&
           stored.snapshot_id == made.snapshot_id && stored.change_id == made.change_id &&
           stored.disk_flag == made.disk_flag;
  }

  // One transaction on what belongs to a machine, by whoever may.
  void write(const DiskIdentity& identity, const std::function<void()>& body) {
    m_database->transact(key_of(identity), [&] {
      m_leases.require({identity.platform, identity.vm_id});
      body();
    });
  }

  // In a transaction.
  void erase_run(const RunRecord& r) {
    m_sql << "DELETE FROM runs WHERE job = :j AND platform = :p AND vm_id = :v", soci::use(r.job),
        soci::use(r.platform), soci::use(r.vm_id);
  }

  // In a transaction.
  void replace_checkpoint(const Checkpoint& c) {
    erase("checkpoints", c.identity);
    const auto generation = static_cast<long long>(c.generation);
    const auto size = static_cast<long long>(c.size);
    m_sql << "INSERT INTO checkpoints (platform, vm_id, disk_id, target, vm_name, change_id, "
             "snapshot_id, generation, size, committed, target_uri, disk_flag, proxy) VALUES "
             "(:p, :v, :d, :t, :n, :c, :s, :g, :z, :w, :u, :f, :x)",
        soci::use(c.identity.platform), soci::use(c.identity.vm_id), soci::use(c.identity.disk_id),
        soci::use(c.identity.target), soci::use(c.vm_name), soci::use(c.change_id),
        soci::use(c.snapshot_id), soci::use(generation), soci::use(size), soci::use(c.committed),
        soci::use(c.target_uri), soci::use(c.disk_flag), soci::use(c.proxy);
    erase("in_progress", c.identity);
  }

  // A value of `meta` that the first who asks makes.
  std::string once(const std::string& key, const std::function<std::string()>& make) {
    std::string value;
    m_database->run([&] { value = meta(key); });
    if (!value.empty()) {
      return value;
    }
    m_database->transact("meta", [&] {
      value = meta(key);
      if (value.empty()) {
        value = make();
        m_sql << "INSERT INTO meta (key, value) VALUES (:k, :v)", soci::use(key), soci::use(value);
      }
    });
    return value;
  }

  std::string meta(const std::string& key) {
    std::string value;
    m_sql << "SELECT value FROM meta WHERE key = :k", soci::use(key), soci::into(value);
    return m_sql.got_data() ? value : std::string();
  }

  // How many rows it changed.
  long long update(const std::string& statement, const std::string& value, const DiskIdentity& i) {
    long long rows = 0;
    write(i, [&] {
      soci::statement update =
          (m_sql.prepare
               << statement +
                      " WHERE platform = :p AND vm_id = :v AND disk_id = :d AND target = :t",
           soci::use(value), soci::use(i.platform), soci::use(i.vm_id), soci::use(i.disk_id),
           soci::use(i.target));
      update.execute(true);
      rows = update.get_affected_rows();
    });
    return rows;
  }

  std::optional<Checkpoint> select_checkpoint(const DiskIdentity& i) {
    soci::row row;
    m_sql << std::string(k_select_checkpoints) +
                 " WHERE platform = :p AND vm_id = :v AND disk_id = :d AND target = :t",
        soci::use(i.platform), soci::use(i.vm_id), soci::use(i.disk_id), soci::use(i.target),
        soci::into(row);
    if (!m_sql.got_data()) {
      return std::nullopt;
    }
    return checkpoint_of(row);
  }

  static Checkpoint checkpoint_of(const soci::row& row) {
    Checkpoint c;
    c.identity = {row.get<std::string>(0), row.get<std::string>(1), row.get<std::string>(2),
                  row.get<std::string>(3)};
    c.vm_name = row.get<std::string>(4);
    c.change_id = row.get<std::string>(5);
    c.snapshot_id = row.get<std::string>(6);
    c.generation = static_cast<std::uint64_t>(row.get<long long>(7));
    c.size = static_cast<std::uint64_t>(row.get<long long>(8));
    c.committed = row.get<std::string>(9);
    c.target_uri = row.get<std::string>(10);
    c.disk_flag = row.get<std::string>(11);
    c.released = row.get<std::string>(12);
    c.proxy = row.get<std::string>(13);
    return c;
  }

  static RunRecord run_of(const soci::row& row) {
    const auto count = [&row](std::size_t column) {
      return static_cast<std::uint64_t>(row.get<long long>(column));
    };
    return {.job = row.get<std::string>(0),
            .platform = row.get<std::string>(1),
            .vm_id = row.get<std::string>(2),
            .vm_name = row.get<std::string>(3),
            .state = row.get<std::string>(4),
            .run_id = row.get<std::string>(5),
            .started = row.get<std::string>(6),
            .ended = row.get<std::string>(7),
            .last_success = row.get<std::string>(8),
            .mode = row.get<std::string>(9),
            .bytes = count(10),
            .duration_ms = count(11),
            .failures = count(12),
            .last_error = row.get<std::string>(13),
            .next_run = row.get<std::string>(14)};
  }

  static InProgress mark_of(const soci::row& row) {
    InProgress m;
    m.identity = {row.get<std::string>(0), row.get<std::string>(1), row.get<std::string>(2),
                  row.get<std::string>(3)};
    m.mode = row.get<std::string>(4) == "incremental" ? SyncMode::incremental : SyncMode::full;
    m.base_change_id = row.get<std::string>(5);
    m.change_id = row.get<std::string>(6);
    m.snapshot_id = row.get<std::string>(7);
    m.plan_path = row.get<std::string>(8);
    m.started = row.get<std::string>(9);
    m.target_created = row.get<int>(10) != 0;
    m.finished = extents_of(row.get<std::string>(11));
    m.restore_path = row.get<std::string>(12);
    m.proxy = row.get<std::string>(13);
    return m;
  }

  long long erase(const std::string& table, const DiskIdentity& i) {
    soci::statement statement =
        (m_sql.prepare
             << "DELETE FROM " + table +
                    " WHERE platform = :p AND vm_id = :v AND disk_id = :d AND target = :t",
         soci::use(i.platform), soci::use(i.vm_id), soci::use(i.disk_id), soci::use(i.target));
    statement.execute(true);
    return statement.get_affected_rows();
  }

  // In a transaction, which every other one on this target waits for.
  void require_no_other(const DiskIdentity& i, const char* hint) {
    for (const char* table : {"checkpoints", "in_progress"}) {
      std::string platform;
      std::string vm_id;
      std::string disk_id;
      m_sql << std::string("SELECT platform, vm_id, disk_id FROM ") + table +
                   " WHERE target = :t AND NOT (platform = :p AND vm_id = :v AND disk_id = :d) "
                   "LIMIT 1",
          soci::use(i.target), soci::use(i.platform), soci::use(i.vm_id), soci::use(i.disk_id),
          soci::into(platform), soci::into(vm_id), soci::into(disk_id);
      if (m_sql.got_data()) {
        throw Error(ErrorKind::busy,
                    "a run of the disk " + platform + ":" + vm_id + "/" + disk_id +
                        " has begun to write to this target",
                    i.target, hint);
      }
    }
  }

  std::unique_ptr<Database> m_database;
  soci::session& m_sql;
  SqlTaskState m_tasks;
  SqlLeaseState m_leases;
};

}  // namespace

std::unique_ptr<State> make_state(std::unique_ptr<Database> database) {
  return std::make_unique<SqlState>(std::move(database));
}

}  // namespace hamal
