#include "hamal/sync/run_plan.hpp"

#include <utility>

namespace hamal {

bool RunPlan::choose(const std::string& snapshot_id) {
  const Continuation wanted = hamal::continuation(*m_mark, m_planned.disk, snapshot_id);
  if (wanted == Continuation::none) {
    return true;
  }
  m_recorded = recorded_plan(*m_mark);
  if (!m_recorded || m_recorded->disk_size() != m_planned.disk.size) {
    m_recorded.reset();
    return false;
  }
  m_continuation = wanted;
  return true;
}

void RunPlan::open() {
  const auto& given = m_planned.plan.path();
  switch (m_continuation) {
    case Continuation::same_snapshot:
      m_spool = std::move(m_recorded);
      m_path = m_mark->plan_path;
      return;
    case Continuation::united_plans:
      m_path = given.parent_path() / ("united-" + given.filename().string());
      m_united = PlanFile(m_path);
      unite_plans(m_path, m_planned.disk.size, *m_recorded, Spool(given));
      break;
    case Continuation::none:
      m_path = given;
      break;
  }
  m_spool.emplace(m_path);
}

void RunPlan::keep() noexcept {
  (m_continuation == Continuation::united_plans ? m_united : m_planned.plan).keep();
}

}  // namespace hamal
