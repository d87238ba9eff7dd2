// The text form of Prometheus' metrics, byte for byte: another program reads it.
#include "hamal/report/metrics_text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace hamal {
namespace {

TEST(MetricsTextTest, families_have_help_type_and_samples) {
  const std::vector<MetricFamily> families{{"hamal_run_seconds", "How long.", {{{}, 1.25}}},
                                           {"hamal_read_bytes",
                                            "Read.",
                                            {{{{"vm", "web01"}, {"disk", "vda"}}, 4398046511104.0},
                                             {{{"vm", "web01"}, {"disk", "vdb"}}, 0}}},
                                           {"hamal_nothing", "No samples, no family.", {}}};
  EXPECT_EQ(metrics_text(families),
            "# HELP hamal_run_seconds How long.\n"
            "# TYPE hamal_run_seconds gauge\n"
            "hamal_run_seconds 1.25\n"
            "# HELP hamal_read_bytes Read.\n"
            "# TYPE hamal_read_bytes gauge\n"
            "hamal_read_bytes{vm=\"web01\",disk=\"vda\"} 4398046511104\n"
            "hamal_read_bytes{vm=\"web01\",disk=\"vdb\"} 0\n");
}

std::string value_text(double value) {
  const std::string text = metrics_text({{"n", "h", {{{}, value}}}});
  return text.substr(text.find("\nn ") + 3);
}

TEST(MetricsTextTest, numbers_are_whole_where_they_can_be) {
  EXPECT_EQ(value_text(1764021247.123), "1764021247.123\n");
  EXPECT_EQ(value_text(-3), "-3\n");
  EXPECT_EQ(value_text(281474976710656.0), "281474976710656\n");
  EXPECT_EQ(value_text(std::numeric_limits<double>::infinity()), "+Inf\n");
  EXPECT_EQ(value_text(-std::numeric_limits<double>::infinity()), "-Inf\n");
  EXPECT_EQ(value_text(std::numeric_limits<double>::quiet_NaN()), "NaN\n");
}

std::string label_text(const std::string& value) {
  const std::string text = metrics_text({{"n", "h", {{{{"l", value}}, 1}}}});
  const std::size_t begin = text.find("{l=\"") + 4;
  return text.substr(begin, text.rfind("\"} 1\n") - begin);
}

TEST(MetricsTextTest, label_values_are_escaped) {
  EXPECT_EQ(label_text(R"(a"b\c)"), R"(a\"b\\c)");
  EXPECT_EQ(label_text("two\nlines"), R"(two\nlines)");
  EXPECT_EQ(label_text("{vm=,} \t"), "{vm=,} \t");
  EXPECT_EQ(label_text("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"),
            "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
}

TEST(MetricsTextTest, bytes_that_are_not_utf8_are_replaced) {
  const std::string replaced = "\xEF\xBF\xBD";
  EXPECT_EQ(label_text("a\xFFz"), "a" + replaced + "z");
  EXPECT_EQ(label_text("cut \xE2\x82"), "cut " + replaced + replaced);
  EXPECT_EQ(label_text("\xC0\x80"), replaced + replaced);                 // overlong NUL
  EXPECT_EQ(label_text("\xED\xA0\x80"), replaced + replaced + replaced);  // a surrogate
  EXPECT_EQ(label_text("\xF4\x90\x80\x80").size(), 4 * replaced.size());  // above U+10FFFF
}

TEST(MetricsTextTest, help_keeps_its_quotes_and_its_line) {
  const std::string text = metrics_text({{"n", "a \"b\" \\ c\nd", {{{}, 1}}}});
  EXPECT_EQ(text.substr(0, text.find("# TYPE")), "# HELP n a \"b\" \\\\ c\\nd\n");
}

TEST(MetricsTextTest, what_was_written_is_read_back) {
  const std::vector<MetricFamily> families{
      {"one", "h", {{{{"vm", "a\"\\\n,}"}, {"disk", ""}}, 1764021247.5}, {{{"vm", "b"}}, 2}}},
      {"two", "h", {{{}, 3}}}};
  const auto read = parse_metrics_text(metrics_text(families));
  ASSERT_EQ(read.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].name, families[i].name);
    ASSERT_EQ(read[i].samples.size(), families[i].samples.size());
    for (std::size_t j = 0; j < read[i].samples.size(); ++j) {
      EXPECT_EQ(read[i].samples[j].labels, families[i].samples[j].labels);
      EXPECT_EQ(read[i].samples[j].value, families[i].samples[j].value);
    }
  }
}

TEST(MetricsTextTest, lines_that_are_not_understood_are_passed_over) {
  const auto read = parse_metrics_text(
      "garbage\n\n{} 1\nn{a} 1\nn{a=\"x 1\nn{a=\"x\\\nn{=\"x\"} 1\nn one\nn 1x\nn\n"
      "# a comment\nn{a=\"x\",} 7\nlast 8");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].name, "n");
  ASSERT_EQ(read[0].samples.size(), 1U);
  EXPECT_EQ(read[0].samples[0].value, 7);
  EXPECT_EQ(read[1].samples[0].value, 8);
}

}  // namespace
}  // namespace hamal
