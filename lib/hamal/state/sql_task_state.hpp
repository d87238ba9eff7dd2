// The tasks in the tables of a database.
#pragma once
#include "hamal/state/database.hpp"
#include "hamal/state/task_state.hpp"

namespace hamal {

class SqlTaskState final : public TaskState {
 public:
  /// The database outlives it, and has the tables.
  explicit SqlTaskState(Database& database) : m_database(database), m_sql(database.sql()) {}

  bool knows_task(const std::string& proxy, const std::string& id) override;
  bool begin_task(const TaskRecord& task) override;
  bool end_task(const TaskReport& report) override;
  std::uint64_t prune_tasks(const std::string& before) override;
  std::vector<TaskRecord> begun_tasks(const std::string& proxy) override;
  std::vector<TaskReport> undelivered_reports(const std::string& proxy) override;
  void forget_report(const TaskReport& report) override;

 private:
  struct Known {
    std::string state;  ///< empty: it is not known
    std::string run_id;
  };
  Known find(const std::string& proxy, const std::string& id);
  void insert(const TaskRecord& task, const std::string& state);
  bool has_report(const TaskReport& report);

  Database& m_database;
  soci::session& m_sql;
};

}  // namespace hamal
