// Readers of one server's exports that share a connection where the server allows only one.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "hamal/block/nbd_reader.hpp"

namespace hamal {

/// Extents, data and the last check all go through one connection as long as any of them is open.
class NbdSources {
 public:
  /// `bitmap_context` is negotiated on each connection; may be empty.
  NbdSources(std::string bitmap_context, const CancelToken& cancel);

  std::unique_ptr<NbdReader> open(const std::string& uri);

 private:
  std::string m_bitmap_context;
  const CancelToken& m_cancel;
  std::map<std::string, std::weak_ptr<NbdConnection>> m_open;
};

}  // namespace hamal
