// Which vms a directory of raw images holds.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hamal {

struct ImageFile {
  std::string id;  ///< file name in a vm's directory, "0" when the vm is the image
  std::filesystem::path path;
  std::uint64_t size = 0;
};

/// A vm as the file platform sees it: an image DIRECTORY/NAME.raw, or the images of DIRECTORY/NAME/
/// in the order of their names.
struct ImageVm {
  std::string id;    ///< path relative to the directory; the whole path of an ad-hoc image
  std::string name;  ///< without the suffix
  std::filesystem::path directory;  ///< where its images are, and its snapshots beside them
  std::vector<ImageFile> images;
};

/// Images end in .raw or .img; hidden files and directories are none. Throws Error when the
/// directory cannot be read.
std::vector<ImageVm> find_image_vms(const std::filesystem::path& directory);

/// One image or device named by an endpoint or a path. Throws Error when there is none.
ImageVm adhoc_image_vm(const std::string& endpoint_or_path);

}  // namespace hamal
