# Read by cpack once per generator: the .deb holds the version where it will be, the archive a folder of its own name.
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_PACKAGING_INSTALL_PREFIX "/opt/hamal-versions/${CPACK_PACKAGE_VERSION}")
else()
  set(CPACK_PACKAGING_INSTALL_PREFIX "/")
endif()
