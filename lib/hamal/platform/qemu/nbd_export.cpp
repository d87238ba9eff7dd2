// The commands behind nbd_export.hpp.
#include "hamal/platform/qemu/nbd_export.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "hamal/platform/qemu/nodes.hpp"
#include "hamal/util/units.hpp"

namespace hamal::qemu {
namespace {

using namespace std::chrono_literals;

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::usage, "too long for a unix socket", path,
                "use a shorter path in [platform] nbd_socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd &&
         ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void start_server(QmpClient& qmp, const std::string& socket, const std::string& mark) {
  // QEMU would unlink the other server's socket and take its place.
  if (somebody_listens(socket)) {
    throw Error(ErrorKind::usage, "another NBD server listens here, not this QEMU", socket,
                "give each machine its own [platform] nbd_socket");
  }
  qmp.execute("nbd-server-start", {{"addr", {{"type", "unix"}, {"data", {{"path", socket}}}}}});
  try {
    // It lives and dies with this QEMU, as the server does: whoever ends the last snapshot knows.
    qmp.execute("blockdev-add", {{"driver", "null-co"},
                                 {"node-name", server_marker_name(mark)},
                                 {"size", 0},
                                 {"read-only", true},
                                 {"read-zeroes", true}});
  } catch (const QmpError&) {
    qmp.execute("nbd-server-stop");
    throw;
  }
}

Json export_arguments(const NbdExport& entry) {
  Json arguments{{"type", "nbd"},
                 {"id", entry.id},
                 {"node-name", entry.node},
                 {"name", entry.id},
                 {"writable", false}};
  if (!entry.bitmap.empty()) {
    arguments["bitmaps"] = Json::array({{{"node", entry.bitmap_node}, {"name", entry.bitmap}}});
  }
  return arguments;
}

}  // namespace

std::string export_uri(const std::string& socket, const std::string& id) {
  return "nbd+unix:///" + percent_encode(id) + "?socket=" + percent_encode(socket, "/");
}

void add_export(QmpClient& qmp, const NbdExport& entry, const std::string& socket,
                const std::string& mark) {
  try {
    qmp.execute("block-export-add", export_arguments(entry));
  } catch (const QmpError& error) {
    if (error.description().find("NBD server not running") == std::string::npos) {
      throw;
    }
    start_server(qmp, socket, mark);
    qmp.execute("block-export-add", export_arguments(entry));
  }
}

std::vector<std::string> export_ids(QmpClient& qmp) {
  const Json exports = qmp.execute("query-block-exports");
  std::vector<std::string> ids;
  for (const Json& entry : json_array(exports, qmp.monitor())) {
    ids.push_back(json_string(entry, "id", qmp.monitor()));
  }
  return ids;
}

void remove_export(QmpClient& qmp, const std::string& id) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  bool asked = false;
  for (;;) {
    const std::vector<std::string> ids = export_ids(qmp);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      return;
    }
    if (!asked) {
      try {
        qmp.execute("block-export-del", {{"id", id}, {"mode", "hard"}});
      } catch (const QmpError&) {
        // It is shutting down already, or was gone before we asked: the list will tell.
      }
      asked = true;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Error(ErrorKind::failed, "the NBD export " + id + " does not end", qmp.monitor(),
                  "a client hangs in a request; try again", Transience::transient);
    }
    qmp.wait_event("BLOCK_EXPORT_DELETED", 100ms);
  }
}

void remove_exports(QmpClient& qmp, const SnapshotName& snapshot) {
  for (const std::string& id : export_ids(qmp)) {
    if (const auto owned = parse_owned_name(id); owned && owned->snapshot == snapshot) {
      remove_export(qmp, id);
    }
  }
}

void stop_idle_server(QmpClient& qmp, const std::string& mark) {
  const BlockGraph graph = query_block_graph(qmp);
  if (graph.find(server_marker_name(mark)) == nullptr || !export_ids(qmp).empty()) {
    return;
  }
  try {
    qmp.execute("nbd-server-stop");
  } catch (const QmpError&) {
    // The operator stopped it.
  }
  delete_node(qmp, server_marker_name(mark));
}

}  // namespace hamal::qemu
