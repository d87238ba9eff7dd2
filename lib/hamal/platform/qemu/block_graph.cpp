// Reads and checks QEMU's description of its block graph.
#include "hamal/platform/qemu/block_graph.hpp"

#include <algorithm>

namespace hamal::qemu {
namespace {

BitmapState parse_bitmap(const Json& bitmap, const std::string& where) {
  return {json_string_or_empty(bitmap, "name", where),
          json_unsigned(bitmap, "granularity", where),
          json_bool(bitmap, "recording", false, where),
          json_bool(bitmap, "busy", false, where),
          json_bool(bitmap, "persistent", false, where),
          json_bool(bitmap, "inconsistent", false, where)};
}

BlockNode parse_node(const Json& node, const std::string& where) {
  BlockNode result;
  result.name = json_string(node, "node-name", where);
  result.driver = json_string(node, "drv", where);
  result.file = json_string_or_empty(node, "file", where);
  result.size = json_unsigned(json_member(node, "image", where), "virtual-size", where);
  result.read_only = json_bool(node, "ro", false, where);
  result.detect_zeroes = json_string_or_empty(node, "detect_zeroes", where);
  if (const auto cache = node.find("cache"); cache != node.end()) {
    result.cache_direct = json_bool(*cache, "direct", false, where);
    result.cache_no_flush = json_bool(*cache, "no-flush", false, where);
  }
  if (const auto bitmaps = node.find("dirty-bitmaps"); bitmaps != node.end()) {
    for (const Json& bitmap : json_array(*bitmaps, where)) {
      // QEMU's own, of jobs and filters, have no name.
      if (BitmapState state = parse_bitmap(bitmap, where); !state.name.empty()) {
        result.bitmaps.push_back(std::move(state));
      }
    }
  }
  return result;
}

bool wants_write(const Json& edge, const std::string& where) {
  const Json& permissions = json_array(json_member(edge, "perm", where), where);
  return std::find(permissions.begin(), permissions.end(), Json("write")) != permissions.end();
}

struct Vertex {
  std::string name;
  std::string type;
};

std::map<std::uint64_t, Vertex> parse_vertices(const Json& graph, const std::string& where) {
  std::map<std::uint64_t, Vertex> vertices;
  for (const Json& vertex : json_array(json_member(graph, "nodes", where), where)) {
    vertices[json_unsigned(vertex, "id", where)] = {json_string(vertex, "name", where),
                                                    json_string(vertex, "type", where)};
  }
  return vertices;
}

const Vertex& vertex_at(const std::map<std::uint64_t, Vertex>& vertices, const Json& edge,
                        const char* key, const std::string& where) {
  const auto found = vertices.find(json_unsigned(edge, key, where));
  if (found == vertices.end()) {
    throw Error(ErrorKind::failed, "QEMU's block graph names a node that it does not list", where);
  }
  return found->second;
}

}  // namespace

BlockGraph::BlockGraph(const Json& nodes, const Json& graph, const std::string& where)
    : m_where(where) {
  for (const Json& node : json_array(nodes, where)) {
    BlockNode parsed = parse_node(node, where);
    std::string name = parsed.name;
    m_nodes.insert_or_assign(std::move(name), std::move(parsed));
  }
  const auto vertices = parse_vertices(graph, where);
  for (const Json& edge : json_array(json_member(graph, "edges", where), where)) {
    const Vertex& parent = vertex_at(vertices, edge, "parent", where);
    const Vertex& child = vertex_at(vertices, edge, "child", where);
    if (parent.type == "block-driver") {
      m_edges.push_back({parent.name, child.name, json_string(edge, "name", where)});
    } else {
      m_users.push_back({parent.name, child.name, wants_write(edge, where)});
    }
  }
}

const BlockNode* BlockGraph::find(std::string_view name) const {
  const auto found = m_nodes.find(std::string(name));
  return found == m_nodes.end() ? nullptr : &found->second;
}

const BlockNode& BlockGraph::at(const std::string& name) const {
  if (const BlockNode* node = find(name)) {
    return *node;
  }
  throw Error(ErrorKind::failed, "QEMU has no block node \"" + name + "\" any more", m_where,
              "it was changed while hamal looked; try again", Transience::transient);
}

const BlockNode* BlockGraph::child(const std::string& parent, std::string_view role) const {
  for (const BlockEdge& edge : m_edges) {
    if (edge.parent == parent && edge.role == role) {
      return find(edge.child);
    }
  }
  return nullptr;
}

std::vector<std::string> BlockGraph::parents(const std::string& child,
                                             std::string_view role) const {
  std::vector<std::string> result;
  for (const BlockEdge& edge : m_edges) {
    if (edge.child == child && edge.role == role) {
      result.push_back(edge.parent);
    }
  }
  return result;
}

bool BlockGraph::used(const std::string& node) const {
  const auto is_child = [&](const auto& item) { return item.child == node; };
  const auto is_root = [&](const BlockUser& user) { return user.node == node; };
  return std::any_of(m_edges.begin(), m_edges.end(), is_child) ||
         std::any_of(m_users.begin(), m_users.end(), is_root);
}

bool BlockGraph::written(const std::string& node) const {
  return std::any_of(m_users.begin(), m_users.end(),
                     [&](const BlockUser& user) { return user.node == node && user.writes; });
}

BlockGraph query_block_graph(QmpClient& qmp) {
  const Json nodes = qmp.execute("query-named-block-nodes", {{"flat", true}});
  const Json graph = qmp.execute("x-debug-query-block-graph");
  return {nodes, graph, qmp.monitor()};
}

}  // namespace hamal::qemu
