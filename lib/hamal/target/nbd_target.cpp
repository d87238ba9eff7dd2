// NBD exports as targets. Their size is the server's to choose.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "hamal/block/nbd_writer.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

class NbdTarget final : public Target {
 public:
  NbdTarget(const std::string& uri, const CancelToken* cancel)
      : m_canonical(canonical_nbd(uri)), m_writer(uri, cancel) {}

  const std::string& canonical() const noexcept override { return m_canonical; }
  /// An export is never known to be blank.
  bool created() const noexcept override { return false; }
  BlockWriter& writer() noexcept override { return m_writer; }
  std::unique_ptr<BlockReader> open_reader() override { return m_writer.open_reader(); }

 private:
  std::string m_canonical;
  NbdWriter m_writer;
};

std::string decoded(std::string_view part) {
  return percent_decode(part).value_or(std::string(part));
}

/// The value of ?socket=…
std::string socket_of(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find_first_of("&;"), query.size());
    const std::string_view item = query.substr(0, end);
    if (item.starts_with("socket=")) {
      return decoded(item.substr(7));
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

}  // namespace

std::string canonical_nbd(const std::string& uri) {
  std::string_view rest = uri;
  const std::size_t colon = rest.find("://");
  if (colon == std::string_view::npos) {
    throw Error(ErrorKind::usage, "not an NBD URI", uri);
  }
  const bool is_unix = rest.substr(0, colon).ends_with("+unix");
  rest.remove_prefix(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  std::string_view query;
  if (const std::size_t mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  const std::string name = decoded(rest.substr(std::min(slash + 1, rest.size())));
  if (is_unix) {
    std::error_code error;
    const std::string socket = socket_of(query);
    const std::filesystem::path real =
        std::filesystem::weakly_canonical(std::filesystem::absolute(socket), error);
    return "nbd:unix:" + (error ? socket : real.string()) + ":" + name;
  }
  if (const std::size_t at = authority.find('@'); at != std::string_view::npos) {
    authority.remove_prefix(at + 1);
  }
  std::string host(authority);
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t port = host.rfind(':');
  if (port == std::string::npos || host.find(']', port) != std::string::npos) {
    host += ":10809";
  }
  return "nbd:" + host + "/" + name;
}

std::unique_ptr<Target> open_nbd_target(const Endpoint& endpoint, std::uint64_t size,
                                        const TargetOptions& options) {
  auto target = std::make_unique<NbdTarget>(endpoint.uri, options.cancel);
  const std::uint64_t actual = target->writer().size();
  if (actual != size) {
    throw Error(ErrorKind::wrong_target,
                "the export has " + std::to_string(actual) + " bytes and the disk has " +
                    std::to_string(size),
                endpoint.uri, "resize what the server exports: an NBD client cannot");
  }
  return target;
}

}  // namespace hamal
