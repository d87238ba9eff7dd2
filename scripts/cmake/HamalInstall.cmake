# What a version consists of beside the binaries and pages (tools/, man/), and the packages made of it.
#
# A version is one folder that is never changed: `manifest` lists its files. scripts/install/install_hamal.sh, part of
# every version, makes it the one in use. The .deb carries the same folder and lets the same script do the rest.
set(HAMAL_RELEASE_KEY "" CACHE FILEPATH "Public key (PEM) by which this version knows its updates; none: it takes none")

# Written by the tools themselves, so after them.
set(completions ${CMAKE_BINARY_DIR}/completions)
add_custom_command(OUTPUT ${completions}/hamal.bash ${completions}/_hamal
  COMMAND ${CMAKE_SOURCE_DIR}/scripts/cmake/completions.sh ${CMAKE_BINARY_DIR}/bin ${completions} ${HAMAL_TOOLS}
  DEPENDS ${HAMAL_TOOLS} ${CMAKE_SOURCE_DIR}/scripts/cmake/completions.sh VERBATIM)
add_custom_target(completions ALL DEPENDS ${completions}/hamal.bash ${completions}/_hamal)

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/release/version CONTENT "${PROJECT_VERSION}\n")
configure_file(scripts/docker/docker-compose-hamal.yaml ${CMAKE_BINARY_DIR}/release/docker-compose-hamal.yaml @ONLY)

install(FILES ${completions}/hamal.bash ${completions}/_hamal DESTINATION completions)
install(FILES ${CMAKE_BINARY_DIR}/release/version ${CMAKE_BINARY_DIR}/release/docker-compose-hamal.yaml LICENSE DESTINATION .)
install(FILES CHANGELOG.md DESTINATION . RENAME changelog)
install(PROGRAMS update_sync_proxy.sh uninstall_hamal.sh DESTINATION .)
install(PROGRAMS scripts/install/install_hamal.sh scripts/install/check_host.sh DESTINATION tools)
install(FILES scripts/install/common.sh scripts/install/form.sh scripts/install/credentials.sh
  scripts/install/purge.sh DESTINATION tools)
install(FILES scripts/etc/hamal.conf scripts/docker/compose.env DESTINATION etc)
if(HAMAL_RELEASE_KEY)
  install(FILES ${HAMAL_RELEASE_KEY} DESTINATION etc RENAME hamal-release.pem)
endif()
install(DIRECTORY scripts/systemd/ DESTINATION systemd)
install(FILES scripts/docker/Dockerfile scripts/docker/packages DESTINATION docker)
install(DIRECTORY scripts/monitoring DESTINATION ${CMAKE_INSTALL_DOCDIR})
# docker-compose reads it beside its file.
install(CODE "file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
file(CREATE_LINK /etc/hamal/compose.env \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/.env\" SYMBOLIC)")
# Last: it lists what was installed before it.
install(SCRIPT scripts/cmake/manifest.cmake)

# It runs when nothing else of the package is there any more.
file(READ scripts/install/purge.sh HAMAL_PURGE)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS scripts/install/purge.sh)
configure_file(scripts/deb/postrm ${CMAKE_BINARY_DIR}/release/postrm @ONLY)

set(CPACK_PACKAGE_NAME hamal)
set(CPACK_PACKAGE_VENDOR "Hamal")
# Whoever builds a package answers for it, and says so as Debian's tools are told. An address that is none is honest else.
set(contact "An unofficial build of Hamal <no-maintainer@hamal.invalid>")
if(DEFINED ENV{DEBEMAIL} AND DEFINED ENV{DEBFULLNAME})
  set(contact "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
endif()
set(HAMAL_CONTACT "${contact}" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGE_CONTACT "${HAMAL_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "replicates the disks of virtual machines without an agent")
set(CPACK_PACKAGE_DESCRIPTION "Asks a virtualization platform for a snapshot and for the blocks that
changed since the last one, reads only those, and writes them durably to a
disk that is kept up to date in place, or to a repository of versions in a
directory or an S3 bucket.")
set(CPACK_GENERATOR "TGZ;DEB" CACHE STRING "Packages that cpack makes")
set(CPACK_STRIP_FILES ON)
set(CPACK_MONOLITHIC_INSTALL ON)
string(TOLOWER ${CMAKE_SYSTEM_NAME} hamal_system)
set(CPACK_PACKAGE_FILE_NAME hamal-${PROJECT_VERSION}-${hamal_system}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/scripts/cmake/package.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/scripts/cmake/package_deb.cmake)
set(CPACK_HAMAL_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The scripts' programs that are not essential; useradd is in passwd.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, openssl, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "curl, libnbd-bin, qemu-utils")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "docker-compose")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/scripts/deb/conffiles ${CMAKE_SOURCE_DIR}/scripts/deb/preinst ${CMAKE_SOURCE_DIR}/scripts/deb/postinst
  ${CMAKE_SOURCE_DIR}/scripts/deb/prerm ${CMAKE_BINARY_DIR}/release/postrm)
include(CPack)
