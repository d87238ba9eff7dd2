// RBD images as targets: created when they are not there, locked against every other client.
#include <vector>

#include "hamal/block/rbd_image.hpp"
#include "hamal/block/rbd_writer.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

enum class Origin { found, created };

class RbdTarget final : public Target {
 public:
  RbdTarget(const Endpoint& endpoint, std::shared_ptr<RbdImage> image, Origin origin)
      : m_canonical(canonical_rbd(endpoint)),
        m_origin(origin),
        m_image(std::move(image)),
        m_writer(m_image) {}

  const std::string& canonical() const noexcept override { return m_canonical; }
  bool created() const noexcept override { return m_origin == Origin::created; }
  std::string overridden() const override { return m_overridden; }
  bool resized() const noexcept override { return m_resized; }
  BlockWriter& writer() noexcept override { return m_writer; }
  std::unique_ptr<BlockReader> open_reader() override { return m_writer.open_reader(); }

  void resize(std::uint64_t size) {
    m_image->resize(size);
    m_resized = true;
  }
  /// What it holds that someone may miss (rule 10).
  void refuse_used(const TargetOptions& options) {
    std::vector<std::byte> head(std::min<std::uint64_t>(m_image->size(), 1U << 20));
    open_reader()->read(0, head);
    const std::string found = signature_of(head);
    if (found.empty()) {
      return;
    }
    m_overridden = "the image holds " + found;
    if (options.force == Force::no) {
      throw Error(ErrorKind::wrong_target, m_overridden, m_writer.uri(),
                  "--force overwrites it; is it the right image?");
    }
  }

 private:
  std::string m_canonical;
  Origin m_origin;
  std::string m_overridden;
  bool m_resized = false;
  std::shared_ptr<RbdImage> m_image;
  RbdWriter m_writer;
};

void require_image(const Endpoint& endpoint) {
  if (!endpoint.snapshot.empty()) {
    throw Error(ErrorKind::usage, "a snapshot cannot be written", endpoint.uri,
                "name the image alone");
  }
}

}  // namespace

std::unique_ptr<Target> open_rbd_target(const Endpoint& endpoint, std::uint64_t size,
                                        const TargetOptions& options) {
  require_image(endpoint);
  Origin origin = Origin::found;
  std::shared_ptr<RbdImage> image = RbdImage::open_exclusive(endpoint);
  if (!image && !options.create) {
    throw Error(ErrorKind::base_mismatch,
                "the target is gone and what was to be written is only a part of it", endpoint.uri,
                "hamal-sync checkpoint forget, then a full copy");
  }
  if (!image) {
    RbdImage::create(endpoint, size);
    origin = Origin::created;
    image = RbdImage::open_exclusive(endpoint);
    if (!image) {
      throw Error(ErrorKind::busy, "the target was removed as soon as it was made", endpoint.uri,
                  "does another run give it up? run again");
    }
  }
  auto target = std::make_unique<RbdTarget>(endpoint, image, origin);
  if (!options.known && origin == Origin::found) {
    target->refuse_used(options);
  }
  const std::uint64_t actual = image->size();
  if (actual != size) {
    if (options.resize == Resize::refuse) {
      throw Error(ErrorKind::wrong_target,
                  "the target has " + std::to_string(actual) + " bytes (" + format_size(actual) +
                      ") and the disk has " + std::to_string(size) + " (" + format_size(size) + ")",
                  endpoint.uri, "--resize makes it as large as the disk; is it the right target?");
    }
    target->resize(size);
  }
  return target;
}

}  // namespace hamal
