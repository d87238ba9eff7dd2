// The main() of every tool: signals, options, session, and the one place where errors become exit
// statuses.
#pragma once
#include <functional>

#include "common/common_options.hpp"
#include "common/session.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// Runs `parse` then `run`. Every Error is caught here, once: "TOOL: error: …" on stderr and in the
/// log, and its exit status. HelpRequested: its text on stdout, status 0.
int run_tool(const char* tool, const std::function<const CommonOptions&()>& parse,
             const std::function<int(Session&)>& run);

/// A tool is a parser `Request parse(argc, argv)` whose Request has a member `common`, and a
/// function `int run(const Request&, Session&)` that returns an exit status.
template <typename Request>
int tool_main(int argc, char** argv, const char* tool, Request (*parse)(int, const char* const*),
              int (*run)(const Request&, Session&)) {
  Request request;
  return run_tool(
      tool,
      [&]() -> const CommonOptions& {
        request = parse(argc, argv);
        return request.common;
      },
      [&](Session& session) { return run(request, session); });
}

}  // namespace hamal
