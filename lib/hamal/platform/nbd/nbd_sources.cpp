// Sharing connections between readers.
#include "hamal/platform/nbd/nbd_sources.hpp"

#include <utility>

#include "hamal/block/nbd_connection.hpp"

namespace hamal {

NbdSources::NbdSources(std::string bitmap_context, const CancelToken& cancel)
    : m_bitmap_context(std::move(bitmap_context)), m_cancel(cancel) {}

std::unique_ptr<NbdReader> NbdSources::open(const std::string& uri) {
  std::shared_ptr<NbdConnection> connection = m_open[uri].lock();
  if (connection) {
    connection->check_alive();
  }
  if (!connection || connection->broken()) {
    std::vector<std::string> contexts{k_base_allocation};
    if (!m_bitmap_context.empty()) {
      contexts.push_back(m_bitmap_context);
    }
    connection =
        std::make_shared<NbdConnection>(uri, contexts, NbdConnection::Sharing::shared, &m_cancel);
    m_open[uri] = connection;
  }
  return std::make_unique<NbdReader>(std::move(connection));
}

}  // namespace hamal
