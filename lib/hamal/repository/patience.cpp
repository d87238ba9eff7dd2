#include "hamal/repository/patience.hpp"

#include <algorithm>

namespace hamal::repository {
namespace {

constexpr std::chrono::milliseconds k_first_pause{250};
constexpr std::chrono::milliseconds k_longest_pause{5000};

}  // namespace

StoreUnreachable::StoreUnreachable(const Error& last)
    : Error(ErrorKind::failed, last.problem(), last.object(),
            last.hint().empty() ? "run again when the store can be reached: nothing that is stored "
                                  "is uploaded again"
                                : last.hint(),
            Transience::transient) {}

void Outage::wait(const Error& error) {
  const auto now = std::chrono::steady_clock::now();
  if (!m_began) {
    m_began = true;
    m_since = now;
    m_pause = k_first_pause;
    m_patience.log.warning("the store cannot be used: {}; trying again for up to {} s",
                           error.what(), m_patience.outage_max.count() / 1000);
  }
  if (now - m_since >= m_patience.outage_max) {
    throw StoreUnreachable(error);
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(m_since + m_patience.outage_max - now);
  m_patience.cancel.sleep_ms(static_cast<int>(std::min(m_pause, left).count()));
  m_pause = std::min(m_pause * 2, k_longest_pause);
}

}  // namespace hamal::repository
