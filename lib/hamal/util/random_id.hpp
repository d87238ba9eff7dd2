// Random identifiers from the kernel's generator.
#pragma once
#include <string>

namespace hamal {
/// Version 4 UUID in lower case.
std::string random_uuid();
/// `digits` lower-case hexadecimal digits.
std::string random_hex(unsigned digits);
}  // namespace hamal
