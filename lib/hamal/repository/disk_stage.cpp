#include "hamal/repository/disk_stage.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/repository/sorted_entries.hpp"
#include "hamal/repository/stage_writer.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

// So many places of lost records are read again one by one; of more, everything is.
constexpr std::size_t k_max_lost = 65536;
constexpr std::size_t k_upload_piece = 1U << 20;

std::string heading_of(const StageContext& context, const StageRequest& request) {
  return to_hex(context.session) + "\n" + request.id + "\n" + std::to_string(request.size) + "\n" +
         to_string(request.mode) + "\n" + request.base_change_id + "\n" + request.change_id;
}

bool is_lost(const StageContext& context, const StagedEntry& staged) {
  const LayerEntry& entry = staged.entry;
  return entry.extent.kind == ExtentKind::data && entry.place.pack.session == context.session &&
         !context.packs.is_durable(entry.place.pack.number);
}

std::vector<Extent> without(const std::vector<Extent>& ranges, std::vector<Extent> lost) {
  std::sort(lost.begin(), lost.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> merged;
  for (const Extent& one : lost) {
    if (!merged.empty() && one.offset <= merged.back().end()) {
      merged.back().length = std::max(merged.back().end(), one.end()) - merged.back().offset;
    } else {
      merged.push_back(one);
    }
  }
  std::vector<Extent> rest;
  const auto source = subtract(vector_source(ranges), vector_source(merged));
  for (std::vector<Extent> window; source->next(window);) {
    rest.insert(rest.end(), window.begin(), window.end());
  }
  return rest;
}

class Stage final : public DiskStage {
 public:
  Stage(const StageContext& context, const StageRequest& request, std::optional<DiskVersion> base)
      : m_context(context),
        m_request(request),
        m_base(std::move(base)),
        m_journal(journal_path(context.directory, request.index), heading_of(context, request)),
        m_zero_bytes(m_journal.progress().zero_bytes),
        m_finished(believable()),
        m_writer(
            make_stage_writer({context.repository.keyring(), context.packs, m_journal,
                               context.repository.store().uri() + "#" + request.id, request.size,
                               request.mode, context.compression, m_zero_bytes})) {}

  BlockWriter& writer() noexcept override { return *m_writer; }
  std::vector<Extent> finished() const override { return m_finished; }
  std::uint32_t mark() override { return m_context.packs.mark(); }
  bool durable(std::uint32_t mark) override { return m_context.packs.durable(mark); }

  void note_finished(const std::vector<Extent>& ranges) override {
    m_journal.note({ranges, m_zero_bytes.load()});
  }

  DiskVersion finish() override {
    m_context.packs.flush();
    DiskVersion version;
    version.id = m_request.id;
    version.label = m_request.label;
    version.index = m_request.index;
    version.size = m_request.size;
    version.change_id = m_request.change_id;
    version.mode = m_request.mode;
    version.reason = m_request.reason;
    make_layers(version);
    const std::string key = staged_key(m_context.session, m_request.index);
    const std::string text = to_text(version, key, m_context.repository.keyring());
    patiently(m_context.patience,
              [&] { m_context.repository.store().put(key, std::as_bytes(std::span(text))); });
    return version;
  }

 private:
  // Without what lies in packs that never arrived, or are gone.
  std::vector<Extent> believable() {
    std::vector<Extent> lost;
    m_journal.each([&](const StagedEntry& staged) {
      if (is_lost(m_context, staged) && lost.size() <= k_max_lost) {
        lost.push_back({staged.entry.extent.offset, staged.entry.extent.length, ExtentKind::data});
      }
    });
    if (lost.size() > k_max_lost) {
      return {};
    }
    return without(m_journal.progress().finished, std::move(lost));
  }

  void make_layers(DiskVersion& version) {
    SortedEntries sorted(m_context.directory);
    std::set<std::uint32_t> packs;
    m_journal.each([&](const StagedEntry& staged) {
      if (!is_lost(m_context, staged)) {
        sorted.add(staged);
        if (staged.entry.extent.kind == ExtentKind::data &&
            staged.entry.place.pack.session == m_context.session) {
          packs.insert(staged.entry.place.pack.number);
        }
      }
    });
    const bool full = m_request.mode == SyncMode::full;
    const std::vector<LayerReference> below = full ? std::vector<LayerReference>{} : m_base->layers;
    StageTotals totals;
    if (full || sorted.added() > 0) {
      const std::size_t merged = merge_count(sorted.added(), below);
      auto entries = sorted.sorted(totals);
      if (merged > 0) {
        std::vector<EntrySourcePtr> stacked;
        stacked.push_back(std::move(entries));
        stacked.push_back(visible_entries(open_top(merged)));
        entries = overlay_entries(std::move(stacked));
      }
      version.layers.push_back(put_layer(*entries));
      version.layers.insert(version.layers.end(),
                            below.begin() + static_cast<std::ptrdiff_t>(merged), below.end());
    } else {
      version.layers = below;
    }
    version.data_bytes = totals.data_bytes;
    version.zero_bytes = totals.zero_bytes + m_zero_bytes.load();
    version.stored_bytes = totals.stored_bytes;
    version.shared_bytes = totals.shared_bytes;
    version.packs = packs.size();
  }

  static std::size_t merge_count(std::uint64_t entries, const std::vector<LayerReference>& below) {
    std::vector<std::uint64_t> sizes;
    sizes.reserve(below.size());
    for (const LayerReference& layer : below) {
      sizes.push_back(layer.entries);
    }
    return layers_to_merge(entries, sizes);
  }

  LayerStack open_top(std::size_t count) {
    DiskVersion top = *m_base;
    top.layers.resize(count);
    return patiently(m_context.patience, [&] { return m_context.repository.open_layers(top); });
  }

  LayerReference put_layer(EntrySource& entries) {
    const auto path = m_context.directory / (std::to_string(m_request.index) + ".layer");
    const std::string key = layer_key(m_context.session, m_request.index, 0);
    LayerReference reference =
        write_layer(path, key, m_request.size, m_context.repository.keyring(), entries);
    patiently(m_context.patience, [&] { upload(path, key); });
    ::unlink(path.c_str());
    return reference;
  }

  void upload(const std::filesystem::path& path, const std::string& key) {
    const UniqueFd file = open_file(path, O_RDONLY);
    std::uint64_t left = std::filesystem::file_size(path);
    Bytes piece(std::min<std::uint64_t>(left, k_upload_piece));
    if (left == piece.size()) {
      pread_all(file.get(), piece, 0, path);
      m_context.repository.store().put(key, piece);
      return;
    }
    const auto upload = m_context.repository.store().upload(key);
    for (std::uint64_t at = 0; left > 0;) {
      const auto part = std::span(piece).first(std::min<std::uint64_t>(left, piece.size()));
      pread_all(file.get(), part, at, path);
      upload->append(part);
      at += part.size();
      left -= part.size();
    }
    upload->finish();
  }

  StageContext m_context;
  StageRequest m_request;
  std::optional<DiskVersion> m_base;
  Journal m_journal;
  std::atomic<std::uint64_t> m_zero_bytes;
  std::vector<Extent> m_finished;
  std::unique_ptr<BlockWriter> m_writer;
};

}  // namespace

std::filesystem::path journal_path(const std::filesystem::path& session, std::uint64_t disk_index) {
  return session / (std::to_string(disk_index) + ".journal");
}

std::unique_ptr<DiskStage> make_disk_stage(const StageContext& context, const StageRequest& request,
                                           const std::optional<DiskVersion>& base) {
  return std::make_unique<Stage>(context, request, base);
}

}  // namespace hamal::repository
