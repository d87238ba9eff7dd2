// Makes and ends temporary exports.
#include "hamal/platform/qemu/temporary_export.hpp"

#include <utility>

#include "hamal/platform/qemu/bitmaps.hpp"
#include "hamal/platform/qemu/nbd_export.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::qemu {
namespace {

class OwningSource final : public ExtentSource {
 public:
  OwningSource(std::shared_ptr<TemporaryExport> owner, ExtentSourcePtr source)
      : m_owner(std::move(owner)), m_source(std::move(source)) {}
  bool next(std::vector<Extent>& window) override { return m_source->next(window); }

 private:
  std::shared_ptr<TemporaryExport> m_owner;
  ExtentSourcePtr m_source;
};

std::string context_of(const std::string& bitmap) {
  return "qemu:dirty-bitmap:" + bitmap;
}

}  // namespace

TemporaryExport::TemporaryExport(const ReadContext& context, const FrozenPlace& place,
                                 const std::vector<std::string>& bitmaps, std::uint64_t granularity)
    : m_context(context),
      m_format(place.format),
      m_name(read_name(to_string(place.snapshot), random_hex(8))) {
  try {
    {
      QmpClient qmp(m_context.qmp, &m_context.cancel);
      merge_bitmaps(qmp, m_format, m_name, bitmaps, granularity);
      add_export(qmp, {m_name, place.frozen, m_format, m_name}, m_context.nbd_socket,
                 place.snapshot.mark);
    }
    m_reader = std::make_unique<NbdReader>(export_uri(m_context.nbd_socket, m_name),
                                           std::vector<std::string>{context_of(m_name)},
                                           &m_context.cancel);
  } catch (...) {
    end();
    throw;
  }
}

TemporaryExport::~TemporaryExport() {
  end();
}

void TemporaryExport::end() noexcept {
  // Disconnected first: QEMU then ends the export at once.
  m_reader.reset();
  try {
    // Not cancelled: this has to be done also when the run is.
    QmpClient qmp(m_context.qmp);
    remove_export(qmp, m_name);
    remove_bitmap(qmp, m_format, m_name);
  } catch (const std::exception& error) {
    m_context.log.warning("{}: cannot be removed now, the end of the snapshot will: {}", m_name,
                          error.what());
  }
}

ExtentSourcePtr TemporaryExport::dirty(std::shared_ptr<TemporaryExport> self) {
  ExtentSourcePtr extents = self->m_reader->dirty(context_of(self->m_name));
  return std::make_unique<OwningSource>(std::move(self), std::move(extents));
}

}  // namespace hamal::qemu
