// What to do about the server's faults.
#pragma once
#include <string>

#include "hamal/platform/vmware/xml_element.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {

/// Empty when nothing better is known than the server's own words. `detail` is the fault's element.
std::string fault_hint(const std::string& fault, const XmlElement& detail);
/// Whether the same call may succeed later.
Transience fault_transience(const std::string& fault);

}  // namespace hamal::vmware
