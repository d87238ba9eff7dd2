// The commands behind bitmaps.hpp.
#include "hamal/platform/qemu/bitmaps.hpp"

#include <fmt/format.h>

#include "hamal/util/text.hpp"

namespace hamal::qemu {
namespace {

// 4 KiB is what a guest's file system writes; QEMU's default of 64 KiB reads sixteen times as much.
constexpr std::uint64_t k_finest_granularity = 4096;
constexpr std::uint64_t k_coarsest_granularity = 2U << 20;

enum class Persistence { none, in_image };

void add(QmpClient& qmp, const std::string& node, const std::string& name,
         std::uint64_t granularity, Persistence persistence) {
  qmp.execute("block-dirty-bitmap-add", {{"node", node},
                                         {"name", name},
                                         {"granularity", granularity},
                                         {"persistent", persistence == Persistence::in_image}});
}

/// qcow2 limits the size of a bitmap: huge disks need a coarser one.
void add_finest(QmpClient& qmp, const std::string& node, const std::string& name,
                Persistence persistence) {
  for (std::uint64_t granularity = k_finest_granularity;; granularity *= 2) {
    try {
      return add(qmp, node, name, granularity, persistence);
    } catch (const QmpError& error) {
      const bool too_fine = to_lower(error.description()).find("granularity") != std::string::npos;
      if (!too_fine || granularity >= k_coarsest_granularity) {
        throw;
      }
    }
  }
}

bool is_gone(const QmpError& error) {
  return error.error_class() == "DeviceNotFound" ||
         error.description().find("not found") != std::string::npos ||
         error.description().find("Cannot find") != std::string::npos;
}

}  // namespace

void remove_bitmap(QmpClient& qmp, const std::string& node, const std::string& name) {
  try {
    qmp.execute("block-dirty-bitmap-remove", {{"node", node}, {"name", name}});
  } catch (const QmpError& error) {
    if (!is_gone(error)) {
      throw;
    }
  }
}

void add_bitmap(QmpClient& qmp, const QemuDisk& disk, const BlockNode& format,
                const SnapshotName& snapshot, BitmapHandover& handover) {
  handover.node = format.name;
  for (const BitmapState& bitmap : format.bitmaps) {
    const auto name = parse_bitmap_name(bitmap.name);
    if (!name || name->snapshot.mark != snapshot.mark) {
      continue;
    }
    if (bitmap.inconsistent) {
      handover.lost[bitmap.name] =
          fmt::format("the bitmap {} is inconsistent: QEMU was killed", bitmap.name);
      remove_bitmap(qmp, format.name, bitmap.name);
    } else if (bitmap.recording) {
      handover.recording.push_back(bitmap.name);
    }
  }
  const std::string name =
      to_string(BitmapName{snapshot, previous_of_next(format.bitmaps, snapshot.mark), new_own()});
  // Set first: when the connection breaks in between, the bitmap may be there and must be undone.
  handover.added = name;
  try {
    add_finest(qmp, format.name, name, disk.persistent ? Persistence::in_image : Persistence::none);
  } catch (const QmpError& error) {
    // Without a bitmap the disk can still be copied, if only in full.
    handover.added.clear();
    handover.failure = error.description();
  }
}

void disable_previous(QmpClient& qmp, BitmapHandover& handover) {
  if (handover.added.empty()) {
    return;
  }
  for (const std::string& name : handover.recording) {
    handover.disabled.push_back(name);
    qmp.execute("block-dirty-bitmap-disable", {{"node", handover.node}, {"name", name}});
  }
}

void undo_handover(QmpClient& qmp, const BitmapHandover& handover) {
  if (handover.added.empty()) {
    return;
  }
  for (const std::string& name : handover.disabled) {
    const Json bitmap{{"node", handover.node}, {"name", name}};
    qmp.execute("block-dirty-bitmap-enable", bitmap);
    // Recording again first, then what was missed in between: no write falls between the two.
    qmp.execute(
        "block-dirty-bitmap-merge",
        {{"node", handover.node}, {"target", name}, {"bitmaps", Json::array({handover.added})}});
  }
  remove_bitmap(qmp, handover.node, handover.added);
}

void merge_bitmaps(QmpClient& qmp, const std::string& node, const std::string& target,
                   const std::vector<std::string>& sources, std::uint64_t granularity) {
  const Json add_action{{"type", "block-dirty-bitmap-add"},
                        {"data",
                         {{"node", node},
                          {"name", target},
                          {"granularity", granularity},
                          {"persistent", false},
                          {"disabled", true}}}};
  const Json merge_action{{"type", "block-dirty-bitmap-merge"},
                          {"data", {{"node", node}, {"target", target}, {"bitmaps", sources}}}};
  qmp.execute("transaction", {{"actions", Json::array({add_action, merge_action})}});
}

void remove_older(QmpClient& qmp, const BlockNode& format, const std::string& mark,
                  std::uint32_t oldest_needed) {
  for (const BitmapState& bitmap : format.bitmaps) {
    const auto name = parse_bitmap_name(bitmap.name);
    if (name && name->snapshot.mark == mark && name->snapshot.sequence < oldest_needed) {
      remove_bitmap(qmp, format.name, bitmap.name);
    }
  }
}

void remove_read_bitmaps(QmpClient& qmp, const BlockNode& node, const SnapshotName& snapshot) {
  for (const BitmapState& bitmap : node.bitmaps) {
    const auto owned = parse_owned_name(bitmap.name);
    if (owned && owned->snapshot == snapshot && is_read_name(*owned)) {
      remove_bitmap(qmp, node.name, bitmap.name);
    }
  }
}

}  // namespace hamal::qemu
