// Snapshots as reflink copies in hidden directories that carry our mark: ".hamal-MARK-TIME-RANDOM".
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace hamal {

class ReflinkStore {
 public:
  /// `mark`: this installation's; `directory`: where the images are.
  ReflinkStore(std::filesystem::path directory, std::string mark);

  /// A new snapshot id, with our mark and the time in it.
  std::string new_id() const;
  /// Where the snapshot keeps its copy of an image.
  std::filesystem::path copy_path(const std::string& id, const std::string& file_name) const;
  /// Copies one image into the snapshot, made when it is the first. Throws Error with the reason
  /// when the file system has no reflinks; nothing of the snapshot is left then.
  void clone(const std::filesystem::path& image, const std::string& id) const;
  /// All snapshots in the directory, whoever made them.
  std::vector<std::string> list() const;
  bool is_ours(const std::string& id) const;
  /// Removes the copies. Throws Error for an id that is not ours; none there is no error.
  void remove(const std::string& id) const;

 private:
  std::filesystem::path directory_of(const std::string& id) const;

  std::filesystem::path m_directory;
  std::string m_mark;
};

}  // namespace hamal
