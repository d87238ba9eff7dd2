// QEMU's block nodes, and which of them stands on which.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/platform/qemu/qmp_client.hpp"

namespace hamal::qemu {

struct BitmapState {
  std::string name;
  std::uint64_t granularity = 0;
  bool recording = false;
  bool busy = false;
  bool persistent = false;
  bool inconsistent = false;  ///< QEMU ended without saving it: it can only be removed
};

struct BlockNode {
  std::string name;
  std::string driver;
  std::string file;        ///< name of the image file, or a json: description
  std::uint64_t size = 0;  ///< bytes
  bool read_only = false;
  std::string detect_zeroes;
  bool cache_direct = false;
  bool cache_no_flush = false;
  std::vector<BitmapState> bitmaps;  ///< the named ones
};

/// "parent stands on child": by node name; `role` is "file", "target", "backing" …
struct BlockEdge {
  std::string parent;
  std::string child;
  std::string role;
};

/// Something that uses a node from outside: a guest's device, an export, a job.
struct BlockUser {
  std::string backend;  ///< empty for exports
  std::string node;
  bool writes = false;
};

class BlockGraph {
 public:
  /// From the replies of query-named-block-nodes and x-debug-query-block-graph; checks both.
  BlockGraph(const Json& nodes, const Json& graph, const std::string& where);

  const std::map<std::string, BlockNode>& nodes() const noexcept { return m_nodes; }
  const BlockNode* find(std::string_view name) const;
  /// The node that must be there; throws Error(failed).
  const BlockNode& at(const std::string& name) const;
  /// The child in that role, nullptr when there is none.
  const BlockNode* child(const std::string& parent, std::string_view role = "file") const;
  std::vector<std::string> parents(const std::string& child, std::string_view role = "file") const;
  bool used(const std::string& node) const;
  bool written(const std::string& node) const;

 private:
  std::string m_where;
  std::map<std::string, BlockNode> m_nodes;
  std::vector<BlockEdge> m_edges;
  std::vector<BlockUser> m_users;
};

BlockGraph query_block_graph(QmpClient& qmp);

}  // namespace hamal::qemu
