// SHA-1 (FIPS 180-4), for the records of OVSDB's files, which carry it to find damage. It is no
// protection against anyone.
#pragma once

#include <string>
#include <string_view>

namespace weft::imports {

/// 40 hexadecimal digits in lower case.
std::string sha1_hex(std::string_view bytes);

}  // namespace weft::imports
