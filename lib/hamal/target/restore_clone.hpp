// The clone of a file target as its checkpoint describes it, kept while a run changes the target
// (rule 12): "PATH.hamal-restore" beside it, sharing all blocks that have not changed.
//
// It is made without a name (O_TMPFILE) and linked once it is whole, so nothing half made is ever
// left. Whose it is stands in an extended attribute: installation, target, generation, disk. So a
// clone that a killed run left is known again without any mark, and a file of that name that
// somebody else made is never touched.
//
// Belongs to whoever holds the target's lock.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace hamal {

/// What a clone is of.
struct ClonedDisk {
  std::uint64_t generation = 0;
  std::string disk;  ///< whatever tells one disk from all others
};

class RestoreClone {
 public:
  /// `canonical`: of the target, which need not be a file; `installation`: this one's id.
  RestoreClone(const std::string& canonical, const std::string& installation);

  /// Where it lies, or would; empty for a target that is no file.
  const std::filesystem::path& path() const noexcept { return m_path; }
  /// Clones the target as it is now, durable on return; one of ours that is there is replaced.
  /// Returns why there is none: a run does without. Empty when there is one.
  std::string make(const ClonedDisk& of) const;
  /// It is there, ours, and of that disk at that generation.
  bool holds(const ClonedDisk& of) const;
  /// Makes the target what the clone is, durable on return; the clone stays. The target keeps its
  /// inode, owner and mode; it is made when it is gone. May be repeated: killed in the middle, the
  /// target is a mixture and the clone still whole. Throws Error (in use: wrong_target or busy).
  void put_back(const std::string& uri) const;
  /// Removes it if it is ours. False when one is there that is not.
  bool remove() const;

 private:
  std::string tag() const;
  std::string tag_of(const ClonedDisk& of) const;

  std::filesystem::path m_target;
  std::filesystem::path m_path;
  std::string m_owner;  // the tag up to the generation
};

}  // namespace hamal
