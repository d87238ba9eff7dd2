# Two INTERFACE targets: what every target is compiled with, and which warnings it must survive.
add_library(hamal_settings INTERFACE)
target_compile_features(hamal_settings INTERFACE cxx_std_20)
target_include_directories(hamal_settings INTERFACE ${CMAKE_SOURCE_DIR}/lib ${CMAKE_BINARY_DIR}/generated)
# The address sanitizer's fake stack and FORTIFY do not go together; the release build has it.
if(NOT HAMAL_SANITIZE AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_definitions(hamal_settings INTERFACE _FORTIFY_SOURCE=2)
endif()
if(HAMAL_SANITIZE)
  target_compile_options(hamal_settings INTERFACE -fsanitize=${HAMAL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(hamal_settings INTERFACE -fsanitize=${HAMAL_SANITIZE})
  if(HAMAL_SANITIZE MATCHES "undefined")
    target_compile_options(hamal_settings INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(HAMAL_FUZZ)
  # Coverage feedback in the library, the fuzzer's main in the targets alone (tests/fuzz).
  target_compile_options(hamal_settings INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  target_link_options(hamal_settings INTERFACE -fsanitize=address,undefined)
endif()

add_library(hamal_warnings INTERFACE)
target_compile_options(hamal_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  -Wsign-conversion -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Wnull-dereference)
# g++ 12 reports null dereferences inside std::string that are not there once sanitizers are on.
if(HAMAL_SANITIZE)
  target_compile_options(hamal_warnings INTERFACE -Wno-null-dereference -Wno-maybe-uninitialized)
endif()
if(HAMAL_WERROR)
  target_compile_options(hamal_warnings INTERFACE -Werror)
endif()

# A compiler cache for those who build again and again; precompiled headers for who builds once. Not both: a
# cache knows a precompiled header by its bytes, which differ from checkout to checkout.
if(NOT HAMAL_PCH)
  find_program(HAMAL_CCACHE ccache)
  if(HAMAL_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${HAMAL_CCACHE})
  endif()
endif()

# hamal_precompiled_header(NAME [LIBRARY…]): scripts/cmake/pch/NAME.hpp, compiled once with the definitions of the
# libraries whose headers it includes. No file may rely on it: every build without HAMAL_PCH shows whether a file
# includes what it uses.
function(hamal_precompiled_header name)
  if(HAMAL_PCH)
    file(WRITE ${CMAKE_BINARY_DIR}/generated/pch_${name}.cpp "")
    add_library(hamal_pch_${name} OBJECT ${CMAKE_BINARY_DIR}/generated/pch_${name}.cpp)
    target_link_libraries(hamal_pch_${name} PRIVATE hamal_settings hamal_warnings ${ARGN})
    target_precompile_headers(hamal_pch_${name} PRIVATE ${CMAKE_SOURCE_DIR}/scripts/cmake/pch/${name}.hpp)
  endif()
endfunction()

# hamal_precompiled(TARGET NAME): compiles it with that header.
function(hamal_precompiled target name)
  if(HAMAL_PCH)
    target_precompile_headers(${target} REUSE_FROM hamal_pch_${name})
  endif()
endfunction()

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/hamal/version.hpp CONTENT
"// Generated from the project() line of CMakeLists.txt.
#pragma once
namespace hamal {
inline constexpr const char* k_version = \"@PROJECT_VERSION@\";
}
" @ONLY)
