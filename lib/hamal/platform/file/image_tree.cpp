// Finding raw images.
#include "hamal/platform/file/image_tree.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "hamal/block/endpoint.hpp"
#include "hamal/block/file_reader.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool is_image(const fs::path& path) {
  const std::string suffix = path.extension().string();
  std::error_code error;
  return (suffix == ".raw" || suffix == ".img") && fs::is_regular_file(path, error);
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::error_code error;
  fs::directory_iterator at(directory, error);
  std::vector<fs::path> paths;
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!is_hidden(at->path())) {
      paths.push_back(at->path());
    }
  }
  if (error) {
    throw system_error("cannot list the directory", directory.string(), error.value());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

ImageFile image(std::string id, const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) {
    throw system_error("cannot stat", path.string(), error.value());
  }
  return {std::move(id), path, size};
}

}  // namespace

std::vector<ImageVm> find_image_vms(const fs::path& directory) {
  std::vector<ImageVm> vms;
  for (const fs::path& path : entries(directory)) {
    std::error_code error;
    if (is_image(path)) {
      vms.push_back(
          {path.filename().string(), path.stem().string(), directory, {image("0", path)}});
    } else if (fs::is_directory(path, error)) {
      ImageVm vm{path.filename().string(), path.filename().string(), path, {}};
      for (const fs::path& inner : entries(path)) {
        if (is_image(inner)) {
          vm.images.push_back(image(inner.filename().string(), inner));
        }
      }
      if (!vm.images.empty()) {
        vms.push_back(std::move(vm));
      }
    }
  }
  return vms;
}

ImageVm adhoc_image_vm(const std::string& endpoint_or_path) {
  fs::path path = endpoint_or_path;
  if (!endpoint_or_path.starts_with('/') || endpoint_or_path.starts_with("/dev/")) {
    const Endpoint endpoint = parse_endpoint(endpoint_or_path);
    if (endpoint.kind != EndpointKind::file && endpoint.kind != EndpointKind::device) {
      throw Error(ErrorKind::usage, "not a file or a block device", endpoint_or_path,
                  "the platform \"file\" takes file:PATH or /dev/NAME");
    }
    path = endpoint.path;
  }
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) {
    throw system_error("cannot open", endpoint_or_path, error.value());
  }
  const FileReader reader(file_uri(real.string()), real.string());
  return {real.string(), real.stem().string(), real.parent_path(), {{"0", real, reader.size()}}};
}

}  // namespace hamal
