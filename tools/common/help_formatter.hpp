// How --help looks: private to the parsing, since it is made of CLI11.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace hamal {

inline constexpr const char* k_common_group = "Options of every tool";

/// Names and operands without CLI11's annotations, descriptions folded at 80 columns, the options
/// of every tool last.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option_name(const CLI::Option* option, bool positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace hamal
