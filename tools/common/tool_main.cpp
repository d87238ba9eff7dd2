#include "common/tool_main.hpp"

#include <fmt/core.h>

#include <exception>
#include <memory>

#include "common/output.hpp"
#include "hamal/stream/extent_stream.hpp"

namespace hamal {
namespace {

int report(const char* tool, Session* session, std::string_view message, ExitStatus status) {
  // The last line on stderr is always this one, also when the log is mirrored there.
  if (session != nullptr) {
    session->log().error("{} (exit status {})", message, static_cast<int>(status));
  }
  fmt::print(stderr, "{}: error: {}\n", tool, message);
  return static_cast<int>(status);
}

}  // namespace

int run_tool(const char* tool, const std::function<const CommonOptions&()>& parse,
             const std::function<int(Session&)>& run) {
  std::unique_ptr<Session> session;
  try {
    install_signal_handlers();
    const CommonOptions& options = parse();
    session = std::make_unique<Session>(tool, options);
    const int status = run(*session);
    session->log().debug("exit status {}", status);
    return status;
  } catch (const HelpRequested& help) {
    try {
      write_stdout(help.text, process_cancel_token());
      return 0;
    } catch (const Error& error) {
      return report(tool, nullptr, error.what(), exit_status(error));
    }
  } catch (const StreamFailed& failure) {
    return report(tool, session.get(), failure.what(), static_cast<ExitStatus>(failure.status()));
  } catch (const Error& error) {
    return report(tool, session.get(), error.what(), exit_status(error));
  } catch (const std::exception& error) {
    return report(tool, session.get(), error.what(), ExitStatus::failed);
  }
}

}  // namespace hamal
