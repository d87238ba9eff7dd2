hamal_precompiled_header(standard fmt::fmt nlohmann_json::nlohmann_json)

# hamal_module(NAME [USES lib…]): the static library hamal_NAME from the sources of lib/hamal/NAME.
# DEPENDS names the module's own lower modules; the include order itself is checked by tests/unit/check_includes.
function(hamal_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  add_library(hamal_${name} STATIC ${sources})
  list(TRANSFORM ARG_DEPENDS PREPEND hamal_)
  target_link_libraries(hamal_${name} PUBLIC hamal_settings fmt::fmt ${ARG_DEPENDS}
    PRIVATE hamal_warnings Threads::Threads ${ARG_USES})
  hamal_precompiled(hamal_${name} standard)
endfunction()
