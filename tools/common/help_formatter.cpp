#include "common/help_formatter.hpp"

#include <algorithm>
#include <sstream>

namespace hamal {
namespace {

constexpr std::size_t k_column = 26;
constexpr std::size_t k_width = 80;

std::string fold(const std::string& text) {
  std::istringstream words(text);
  std::string folded;
  std::string word;
  std::size_t used = 0;
  while (words >> word) {
    if (used > 0 && used + 1 + word.size() > k_width - k_column) {
      folded += "\n";
      used = 0;
    } else if (used > 0) {
      folded += " ";
      ++used;
    }
    folded += word;
    used += word.size();
  }
  return folded;
}

/// CLI11 prints subcommands in the order of their addition, but calls them so.
std::string make_commands(const CLI::App& app) {
  std::string text;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App* one) { return !one->get_name().empty(); })) {
    std::string name = "  " + command->get_name();
    name.resize(std::max(k_column, name.size() + 2), ' ');
    std::string purpose = fold(command->get_description());
    for (std::size_t at = purpose.find('\n'); at != std::string::npos;
         at = purpose.find('\n', at + k_column)) {
      purpose.insert(at + 1, k_column, ' ');
    }
    text += name + purpose + "\n";
  }
  return text.empty() ? text : "\nCommands:\n" + text;
}

}  // namespace

HelpFormatter::HelpFormatter() {
  column_width(k_column);
  label("Positionals", "Operands");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode mode) const {
  std::string text = make_description(app) + make_usage(app, std::move(name)) +
                     make_positionals(app) + make_commands(*app);
  std::vector<std::string> groups = app->get_groups();
  std::stable_partition(groups.begin(), groups.end(),
                        [](const std::string& group) { return group != k_common_group; });
  for (const std::string& group : groups) {
    const std::vector<const CLI::Option*> options =
        app->get_options([&](const CLI::Option* option) {
          return option->get_group() == group && option->nonpositional();
        });
    if (!group.empty() && !options.empty()) {
      text += make_group(group, false, options);
    }
  }
  static_cast<void>(mode);
  const std::string footer = make_footer(app);
  return footer.empty() ? text : text + "\n" + footer;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string text = "\nUsage: " + (name.empty() ? app->get_name() : name);
  const bool commands =
      !app->get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); })
           .empty();
  text += " [OPTIONS]";
  for (const CLI::Option* operand :
       app->get_options([](const CLI::Option* option) { return option->get_positional(); })) {
    const std::string word = operand->get_name(true);
    text += operand->get_required() ? " " + word : " [" + word + "]";
  }
  if (commands) {
    text += app->get_require_subcommand_min() > 0 ? " COMMAND" : " [COMMAND]";
  }
  return text + "\n";
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool positional) const {
  if (positional) {
    return option->get_name(true);
  }
  std::string names;
  for (const std::string& name : option->get_snames()) {
    names += (names.empty() ? "-" : ", -") + name;
  }
  for (const std::string& name : option->get_lnames()) {
    names += (names.empty() ? "    --" : ", --") + name;
  }
  return names;
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const bool takes_value = !option->get_positional() && option->get_type_size() != 0;
  return takes_value ? " " + option->get_type_name() : std::string();
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  return fold(option->get_description());
}

}  // namespace hamal
