#include "hamal/sync/disk_copy.hpp"

#include <algorithm>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/extent/totals.hpp"
#include "hamal/repository/patience.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds k_first_pause{250};
constexpr std::chrono::milliseconds k_longest_pause{5000};

class OutageCopy {
 public:
  OutageCopy(const DiskCopyRequest& request, std::unique_ptr<BlockReader> source,
             BlockWriter& target, DurableProgress& durable, DiskCopyStats& stats)
      : m_request(request),
        m_source(std::move(source)),
        m_target(&target),
        m_durable(durable),
        m_stats(stats) {}

  void run() {
    for (;;) {
      try {
        copy();
        m_request.progress.phase(m_request.object, "flushing", 0);
        m_durable.flush(*m_target);
        return;
      } catch (const repository::StoreUnreachable&) {
        throw;  // it has been waited for already
      } catch (const Error& error) {
        if (!error.transient()) {
          throw;
        }
        begin_outage(error);
      }
      reopen();
    }
  }

 private:
  void copy() {
    const auto rest = subtract(m_request.plan(), vector_source(m_durable.durable()));
    m_request.progress.phase(m_request.object, "copying", m_request.total);
    m_request.progress.advance(m_request.object, finished_bytes());
    copy_extents({.source = *m_source,
                  .target = *m_target,
                  .plan = *rest,
                  .finished = m_durable.written(),
                  .blank = m_request.blank,
                  .pace = m_request.pace,
                  .object = m_request.object,
                  .progress = m_request.progress,
                  .cancel = m_request.cancel,
                  .tick =
                      [this] {
                        m_durable.tick(*m_target, steady_clock::now());
                        note_progress();
                      }},
                 m_stats.copied);
  }

  // Of the plan: the ranges also hold what lies between its extents.
  std::uint64_t finished_bytes() const {
    if (m_durable.durable().empty()) {
      return 0;
    }
    ExtentTotals totals;
    const auto done =
        intersect(m_request.plan(), vector_source(m_durable.durable()), KindOf::first);
    for (std::vector<Extent> window; done->next(window);) {
      for (const Extent& extent : window) {
        totals.add(extent);
      }
    }
    return totals.bytes();
  }

  // An outage begins anew whenever something became durable since the last.
  void note_progress() {
    if (m_in_outage && m_durable.flushes() != m_flushes) {
      m_in_outage = false;
    }
  }

  void begin_outage(const Error& error) {
    note_progress();
    m_flushes = m_durable.flushes();
    m_durable.void_unflushed();
    ++m_stats.outages;
    m_request.log.warning("{}: interrupted: {}; trying again for up to {} s", m_request.object,
                          error.what(), m_request.outage_max.count() / 1000);
    if (!m_in_outage) {
      m_in_outage = true;
      m_outage_began = steady_clock::now();
      m_pause = k_first_pause;
    }
    give_up_after(m_request.outage_max, error);
  }

  void reopen() {
    m_request.progress.phase(m_request.object, "waiting for storage", 0);
    for (;;) {
      m_request.cancel.sleep_ms(static_cast<int>(m_pause.count()));
      m_pause = std::min(m_pause * 2, k_longest_pause);
      try {
        m_source.reset();
        m_target = &m_request.reopen_target();
        m_source = m_request.open_source();
        m_request.log.info("{}: source and target are back", m_request.object);
        return;
      } catch (const SnapshotGone& error) {
        // It may only seem so while its server comes up.
        give_up_after(std::min(m_request.restart_grace, m_request.outage_max), error);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::failed) {
          throw;
        }
        give_up_after(error.transient() ? m_request.outage_max
                                        : std::min(m_request.restart_grace, m_request.outage_max),
                      error);
      }
    }
  }

  void give_up_after(std::chrono::milliseconds bound, const Error& error) const {
    if (steady_clock::now() - m_outage_began >= bound) {
      throw Error(ErrorKind::failed, error.problem(), error.object(), error.hint(),
                  Transience::transient);
    }
  }

  const DiskCopyRequest& m_request;
  std::unique_ptr<BlockReader> m_source;
  BlockWriter* m_target;
  DurableProgress& m_durable;
  DiskCopyStats& m_stats;
  bool m_in_outage = false;
  steady_clock::time_point m_outage_began{};
  unsigned m_flushes = 0;  // when the outage began
  std::chrono::milliseconds m_pause{k_first_pause};
};

}  // namespace

void copy_disk(const DiskCopyRequest& request, std::unique_ptr<BlockReader> source,
               BlockWriter& target, DurableProgress& durable, DiskCopyStats& stats) {
  OutageCopy(request, std::move(source), target, durable, stats).run();
}

}  // namespace hamal
