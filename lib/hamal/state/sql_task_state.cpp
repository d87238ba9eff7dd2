#include "hamal/state/sql_task_state.hpp"

#include "hamal/util/time.hpp"

namespace hamal {
namespace {

const std::string k_begun = "begun";
const std::string k_over = "over";

// All reports of a proxy are numbered one after the other.
std::string key_of(const std::string& proxy) {
  return "tasks " + proxy;
}

}  // namespace

SqlTaskState::Known SqlTaskState::find(const std::string& proxy, const std::string& id) {
  Known known;
  m_sql << "SELECT state, run_id FROM tasks WHERE proxy = :p AND id = :i", soci::use(proxy),
      soci::use(id), soci::into(known.state), soci::into(known.run_id);
  return m_sql.got_data() ? known : Known();
}

void SqlTaskState::insert(const TaskRecord& t, const std::string& state) {
  const std::string ended = state == k_over ? rfc3339(system_clock().wall()) : std::string();
  m_sql << "INSERT INTO tasks (proxy, id, state, job, platform, vm_id, vm_name, run_id, started, "
           "ended) VALUES (:p, :i, :s, :j, :l, :v, :n, :r, :b, :e)",
      soci::use(t.proxy), soci::use(t.id), soci::use(state), soci::use(t.job),
      soci::use(t.platform), soci::use(t.vm_id), soci::use(t.vm_name), soci::use(t.run_id),
      soci::use(t.started), soci::use(ended);
}

bool SqlTaskState::has_report(const TaskReport& report) {
  int count = 0;
  m_sql << "SELECT COUNT(*) FROM task_reports WHERE proxy = :p AND report_key = :k",
      soci::use(report.proxy), soci::use(report.key), soci::into(count);
  return count > 0;
}

bool SqlTaskState::knows_task(const std::string& proxy, const std::string& id) {
  bool known = false;
  m_database.run([&] { known = !find(proxy, id).state.empty(); });
  return known;
}

bool SqlTaskState::begin_task(const TaskRecord& task) {
  bool begun = false;
  m_database.transact(key_of(task.proxy), [&] {
    const Known known = find(task.proxy, task.id);
    if (known.state.empty()) {
      insert(task, k_begun);
      begun = true;
    } else {
      // The connection broke after the commit and before its reply.
      begun = m_database.repeated() && known.state == k_begun && known.run_id == task.run_id;
    }
  });
  return begun;
}

bool SqlTaskState::end_task(const TaskReport& report) {
  bool ended = false;
  m_database.transact(key_of(report.proxy), [&] {
    const Known known = find(report.proxy, report.task);
    if (known.state == k_over) {
      ended = m_database.repeated() && has_report(report);
      return;
    }
    if (known.state.empty()) {
      TaskRecord refused;
      refused.proxy = report.proxy;
      refused.id = report.task;
      insert(refused, k_over);
    } else {
      const std::string now = rfc3339(system_clock().wall());
      m_sql << "UPDATE tasks SET state = :s, ended = :e WHERE proxy = :p AND id = :i",
          soci::use(k_over), soci::use(now), soci::use(report.proxy), soci::use(report.task);
    }
    m_sql << "INSERT INTO task_reports (proxy, number, task, report_key, body) "
             "SELECT CAST(:p AS TEXT), COALESCE(MAX(number), 0) + 1, CAST(:t AS TEXT), "
             "CAST(:k AS TEXT), CAST(:b AS TEXT) FROM task_reports WHERE proxy = :q",
        soci::use(report.proxy, "p"), soci::use(report.task, "t"), soci::use(report.key, "k"),
        soci::use(report.body, "b"), soci::use(report.proxy, "q");
    ended = true;
  });
  return ended;
}

std::uint64_t SqlTaskState::prune_tasks(const std::string& before) {
  long long rows = 0;
  m_database.transact("prune tasks", [&] {
    // Those that an older hamal ended: when is not known, so their time begins now.
    const std::string now = rfc3339(system_clock().wall());
    m_sql << "UPDATE tasks SET ended = :e WHERE state = :s AND ended = ''", soci::use(now),
        soci::use(k_over);
    soci::statement erase =
        (m_sql.prepare << "DELETE FROM tasks WHERE state = :s AND ended < :b AND NOT EXISTS "
                          "(SELECT 1 FROM task_reports r WHERE r.proxy = tasks.proxy AND r.task = "
                          "tasks.id)",
         soci::use(k_over), soci::use(before));
    erase.execute(true);
    rows = erase.get_affected_rows();
  });
  return static_cast<std::uint64_t>(rows);
}

std::vector<TaskRecord> SqlTaskState::begun_tasks(const std::string& proxy) {
  std::vector<TaskRecord> all;
  m_database.run([&] {
    all.clear();
    const soci::rowset<soci::row> rows =
        (m_sql.prepare << "SELECT id, job, platform, vm_id, vm_name, run_id, started FROM tasks "
                          "WHERE proxy = :p AND state = :s ORDER BY started, id",
         soci::use(proxy), soci::use(k_begun));
    for (const auto& row : rows) {
      all.push_back({.proxy = proxy,
                     .id = row.get<std::string>(0),
                     .job = row.get<std::string>(1),
                     .platform = row.get<std::string>(2),
                     .vm_id = row.get<std::string>(3),
                     .vm_name = row.get<std::string>(4),
                     .run_id = row.get<std::string>(5),
                     .started = row.get<std::string>(6)});
    }
  });
  return all;
}

std::vector<TaskReport> SqlTaskState::undelivered_reports(const std::string& proxy) {
  std::vector<TaskReport> all;
  m_database.run([&] {
    all.clear();
    const soci::rowset<soci::row> rows =
        (m_sql.prepare << "SELECT number, task, report_key, body FROM task_reports "
                          "WHERE proxy = :p ORDER BY number",
         soci::use(proxy));
    for (const auto& row : rows) {
      all.push_back({.number = static_cast<std::uint64_t>(row.get<long long>(0)),
                     .proxy = proxy,
                     .task = row.get<std::string>(1),
                     .key = row.get<std::string>(2),
                     .body = row.get<std::string>(3)});
    }
  });
  return all;
}

void SqlTaskState::forget_report(const TaskReport& report) {
  m_database.transact(key_of(report.proxy), [&] {
    m_sql << "DELETE FROM task_reports WHERE proxy = :p AND report_key = :k",
        soci::use(report.proxy), soci::use(report.key);
  });
}

}  // namespace hamal
