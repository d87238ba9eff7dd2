// The header and the trailer of both streams as JSON. Private to stream/.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/json/strict_json.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

inline constexpr std::uint64_t k_stream_version = 1;
inline constexpr std::size_t k_max_header = 16U << 20;
/// Of every line but the header's, and of the end record: this and the length of the header (a
/// trailer names each disk too).
inline constexpr std::size_t k_max_line = 1U << 20;

inline constexpr std::string_view k_extents_format = "hamal-extents";
inline constexpr std::string_view k_data_format = "hamal-data";

/// Without a line feed. Throws an Error for a header that no reader would take.
std::string header_to_json(const StreamHeader& header, std::string_view format);
StreamHeader parse_header(std::string_view json, std::string_view format, const Place& place);

/// {"trailer":{…}} without a line feed.
std::string trailer_to_json(const StreamHeader& header, const std::vector<StreamTotals>& totals);
/// Refuses a trailer that does not agree with what was read. `object` is all of the record.
void check_trailer(const nlohmann::json& object, const StreamHeader& header,
                   const std::vector<StreamTotals>& totals, const Place& place);

/// Compact; what is not UTF-8 is replaced.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace hamal
