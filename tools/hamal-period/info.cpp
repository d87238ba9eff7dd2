#include "hamal-period/info.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/host.hpp"
#include "hamal/util/time.hpp"
#include "hamal/version.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;

// Monitoring runs as other users; nothing in there is secret.
constexpr unsigned k_mode = 0644;

}  // namespace

void write_info(Session& session, const std::string& started, bool loop, const PassTotals& pass) {
  const Config& config = session.config();
  try {
    const Json info{{"format", "hamal-info"},
                    {"version", 1},
                    {"hamal", k_version},
                    {"installation_id", session.state().installation_id()},
                    {"hyper_exporter_id", config.mass.hyper_exporter_id},
                    {"host", host_name()},
                    {"pid", ::getpid()},
                    {"started", started},
                    {"loop", loop},
                    {"last_pass",
                     {{"started", pass.started},
                      {"ended", pass.ended},
                      {"due", pass.due},
                      {"done", pass.done},
                      {"failed", pass.failed},
                      {"busy", pass.busy}}}};
    write_file_atomically(config.defaults.hamal_info_path,
                          info.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", k_mode);
  } catch (const Error& error) {
    session.log().warning("no program info: {}", error.what());
  }
}

std::optional<std::chrono::system_clock::time_point> last_pass_ended(const Session& session) {
  const std::string& path = session.config().defaults.hamal_info_path;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) {
    return std::nullopt;
  }
  try {
    const Json info = Json::parse(read_file(path));
    return parse_rfc3339(info.at("last_pass").at("ended").get<std::string>());
  } catch (const Json::exception&) {
    throw Error(ErrorKind::failed, "is not what hamal-period writes", path, "remove it");
  }
}

}  // namespace hamal
