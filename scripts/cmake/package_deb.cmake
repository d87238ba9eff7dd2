# Run by cpack between installing and packing: what the .deb has outside of the version's folder, and the manifest anew,
# since the binaries were stripped in between.
file(GLOB_RECURSE manifests "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/manifest")
foreach(manifest IN LISTS manifests)
  get_filename_component(folder "${manifest}" DIRECTORY)
  execute_process(COMMAND sh -c "cut -c 67- manifest | tr '\\n' '\\0' | xargs -0 sha256sum > manifest.new && mv manifest.new manifest"
    WORKING_DIRECTORY "${folder}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
if(CPACK_GENERATOR STREQUAL "DEB")
  set(top "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
  set(source "${CPACK_HAMAL_SOURCE}")
  file(COPY "${source}/scripts/etc/hamal.conf" DESTINATION "${top}/etc/hamal")
  file(COPY "${source}/scripts/deb/copyright" DESTINATION "${top}/usr/share/doc/hamal")
  file(COPY "${source}/scripts/deb/lintian-overrides" DESTINATION "${top}/usr/share/lintian/overrides")
  file(RENAME "${top}/usr/share/lintian/overrides/lintian-overrides" "${top}/usr/share/lintian/overrides/hamal")
  string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, where it is set
  file(WRITE "${top}/usr/share/doc/hamal/changelog" "hamal (${CPACK_PACKAGE_VERSION}) stable; urgency=medium

  * What changed is in /opt/hamal/changelog.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
  execute_process(COMMAND gzip -9n "${top}/usr/share/doc/hamal/changelog" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND sh -c "chmod -R u=rwX,go=rX '${top}' && chmod 0640 '${top}/etc/hamal/hamal.conf'"
    COMMAND_ERROR_IS_FATAL ANY)
endif()
