#include "hamal/report/progress_format.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

std::uint64_t whole(double rate) {
  return rate > 0 ? static_cast<std::uint64_t>(std::llround(rate)) : 0;
}

std::string amounts(const ProgressView& view) {
  std::string text;
  if (const auto percent = view.percent()) {
    text += fmt::format(" {}% {}/{}", *percent, format_size(view.done), format_size(view.total));
  } else if (view.done > 0) {
    text += " " + format_size(view.done);
  }
  if (view.done > 0) {
    text += fmt::format(" {}/s", format_size(whole(view.rate)));
  }
  if (const auto eta = view.eta()) {
    text += " ETA " + format_duration(*eta);
  }
  if (!view.bound_by.empty() && view.bound_by != "nothing") {
    text += " bound by: " + view.bound_by;
  }
  return text;
}

}  // namespace

std::string progress_text(const ProgressView& view) {
  return escape_control(view.object) + " " + escape_control(view.phase) + amounts(view);
}

std::string progress_text(const std::vector<ProgressView>& views) {
  if (views.empty()) {
    return {};
  }
  if (views.size() == 1) {
    return progress_text(views.front());
  }
  ProgressView sum;
  bool known = true;
  std::string names;
  for (const ProgressView& view : views) {
    sum.done += view.done;
    sum.total += view.total;
    sum.rate += view.rate;
    known = known && view.total > 0;
    sum.bound_by =
        sum.bound_by.empty() || sum.bound_by == view.bound_by ? view.bound_by : "several";
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", escape_control(view.object),
                         escape_control(view.phase));
  }
  // A sum over some of them would promise an end that is none.
  sum.total = known ? sum.total : 0;
  return fmt::format("{} disks{}: {}", views.size(), amounts(sum), names);
}

std::string clip_columns(std::string_view text, std::size_t columns) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins && ++used > columns) {
      return std::string(text.substr(0, i));
    }
  }
  return std::string(text);
}

std::string progress_json(std::string_view event, const ProgressView& view, std::string_view time) {
  nlohmann::ordered_json line;
  line["event"] = event;
  line["time"] = time;
  line["object"] = view.object;
  line["phase"] = view.phase;
  line["done"] = view.done;
  line["total"] = view.total > 0 ? nlohmann::ordered_json(view.total) : nullptr;
  line["rate"] = whole(view.rate);
  const auto eta = view.eta();
  line["bound_by"] = view.bound_by.empty() ? nlohmann::ordered_json(nullptr)
                                           : nlohmann::ordered_json(view.bound_by);
  line["eta_seconds"] = eta ? nlohmann::ordered_json(eta->count()) : nullptr;
  // Names come from platforms and need not be UTF-8.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace hamal
