// QEMU's NBD server and our exports on it.
#pragma once
#include <string>
#include <vector>

#include "hamal/platform/qemu/names.hpp"
#include "hamal/platform/qemu/qmp_client.hpp"

namespace hamal::qemu {

struct NbdExport {
  std::string id;  ///< also its name on the wire
  std::string node;
  /// A bitmap on another node to offer as qemu:dirty-bitmap:NAME; none when empty.
  std::string bitmap_node;
  std::string bitmap;
};

/// nbd+unix:///ID?socket=PATH
std::string export_uri(const std::string& socket, const std::string& id);

/// Adds a read-only export; starts an NBD server on `socket` (and marks it as ours) when QEMU has
/// none.
void add_export(QmpClient& qmp, const NbdExport& entry, const std::string& socket,
                const std::string& mark);
/// Disconnects its clients and waits until it is gone; one that is gone already is no error.
void remove_export(QmpClient& qmp, const std::string& id);
/// All exports of a snapshot.
void remove_exports(QmpClient& qmp, const SnapshotName& snapshot);
std::vector<std::string> export_ids(QmpClient& qmp);
/// Stops the NBD server when we started it and nothing is exported any more.
void stop_idle_server(QmpClient& qmp, const std::string& mark);

}  // namespace hamal::qemu
