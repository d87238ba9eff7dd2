// A stream that always ends: with its trailer, or with the record that says why it failed.
#pragma once
#include <exception>
#include <optional>

#include "common/output.hpp"
#include "hamal-cbt-read/source.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// The header of a stream that failed before the changes of its disks were known: its reader needs
/// one before the error record.
StreamHeader header_of_failure(const ReadSource& source);

/// Calls `produce(emplace)`; emplace(header) makes the writer. Whatever it throws is told to the
/// reader, as long as anything reaches it, and thrown on.
template <typename Writer, typename Produce>
void guarded_stream(const ReadSource& source, StdoutSink& sink, Produce produce) {
  std::optional<Writer> writer;
  const auto emplace = [&](const StreamHeader& header) -> Writer& {
    return writer.emplace([&sink](std::string_view bytes) { sink.write(bytes); }, header);
  };
  const auto last_words = [&](ExitStatus status, const char* message) {
    if (sink.torn()) {
      return;
    }
    sink.begin_last_words();
    try {
      if (!writer) {
        emplace(header_of_failure(source));
      }
      writer->fail(status, message);
      sink.flush();
    } catch (const std::exception&) {
      // The first failure is the one to report.
    }
  };
  try {
    produce(emplace);
    sink.flush();
  } catch (const Error& error) {
    last_words(exit_status(error), error.what());
    throw;
  } catch (const std::exception& error) {
    last_words(ExitStatus::failed, error.what());
    throw;
  }
}

}  // namespace hamal
