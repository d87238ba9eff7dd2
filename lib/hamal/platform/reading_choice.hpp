// Of platforms that read a disk in one of several ways.
#pragma once
#include <string>

#include "hamal/stream/snapshot_document.hpp"

namespace hamal {

/// Implemented beside Platform, by the same object.
class ReadingChoice {
 public:
  virtual ~ReadingChoice() = default;
  /// The way in which open_reader() reads that disk, and why: a part of the result's reason. Empty
  /// when changed_extents() was not asked about it before.
  virtual std::string how_read(const SnapshotDisk& disk) const = 0;
};

}  // namespace hamal
