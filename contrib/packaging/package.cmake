# Debian packages by CPack, one for each of the components: what runs on a node, containerd's snapshotter, the
# scheduler, the manager. script/package makes them.
set(pages ${CMAKE_BINARY_DIR}/pages)
add_custom_target(pages
  COMMAND ${CMAKE_SOURCE_DIR}/contrib/packaging/pages ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${pages}
  DEPENDS dfdaemon dfget dfinit dfctl containerd-skimmer scheduler manager)

# skimmer_install(component name target): the program as /usr/bin/<name>, its page and completions
function(skimmer_install component name target)
  install(PROGRAMS $<TARGET_FILE:${target}> DESTINATION bin RENAME ${name} COMPONENT ${component})
  install(FILES ${pages}/${name}.1.gz DESTINATION share/man/man1 COMPONENT ${component})
  install(FILES ${pages}/${name}.bash DESTINATION share/bash-completion/completions
    RENAME ${name} COMPONENT ${component})
  install(FILES ${pages}/${name}.zsh DESTINATION share/zsh/vendor-completions
    RENAME _${name} COMPONENT ${component})
  install(FILES ${pages}/${name}.fish DESTINATION share/fish/vendor_completions.d
    RENAME ${name}.fish COMPONENT ${component})
endfunction()

set(here ${CMAKE_SOURCE_DIR}/contrib/packaging)
skimmer_install(dfdaemon dfdaemon dfdaemon)
skimmer_install(dfdaemon dfget dfget)
skimmer_install(dfdaemon dfinit dfinit)
skimmer_install(dfdaemon dfctl dfctl)
skimmer_install(snapshotter containerd-skimmer containerd-skimmer)
skimmer_install(scheduler skimmer-scheduler scheduler)
skimmer_install(manager skimmer-manager manager)
install(DIRECTORY ${CMAKE_BINARY_DIR}/console/ DESTINATION share/skimmer/console COMPONENT manager
  OPTIONAL)
install(FILES ${here}/dfinit.yaml DESTINATION /etc/dragonfly COMPONENT dfdaemon)
install(FILES ${CMAKE_SOURCE_DIR}/contrib/systemd/no-mount.conf DESTINATION share/skimmer
  COMPONENT dfdaemon)
install(FILES ${here}/dfdaemon.tmpfiles DESTINATION lib/tmpfiles.d
  RENAME skimmer-dfdaemon.conf COMPONENT dfdaemon)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME skimmer)
set(CPACK_PACKAGE_VENDOR "Skimmer")
set(CPACK_PACKAGE_CONTACT "The Skimmer maintainers <skimmer@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DFDAEMON_PACKAGE_DEPENDS "fuse3, init-system-helpers")
set(CPACK_DEBIAN_SNAPSHOTTER_PACKAGE_DEPENDS "init-system-helpers")
set(CPACK_DEBIAN_SCHEDULER_PACKAGE_DEPENDS "init-system-helpers, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_MANAGER_PACKAGE_DEPENDS "init-system-helpers, systemd | systemd-standalone-sysusers")
set(CPACK_COMPONENT_DFDAEMON_DESCRIPTION "Serves blobs and files of a cluster from the nearest peers
 The node of Skimmer: file system, registry mirror and proxy, dfget, dfinit, dfctl.")
set(CPACK_COMPONENT_SNAPSHOTTER_DESCRIPTION "Starts images before they are there
 containerd's snapshotter of Skimmer: needs a dfdaemon with lazy.enable on the node.")
set(CPACK_COMPONENT_SCHEDULER_DESCRIPTION "Answers each peer of a cluster with its best parents
 The scheduler of Skimmer.")
set(CPACK_COMPONENT_MANAGER_DESCRIPTION "Keeps clusters and tells peers their scheduler
 The manager of Skimmer.")
foreach(component dfdaemon snapshotter scheduler manager)
  string(TOUPPER ${component} upper)
  set(PACKAGE skimmer-${component})
  set(UNIT ${PACKAGE}.service)
  set(made ${CMAKE_BINARY_DIR}/packaging/${component})
  foreach(script postinst prerm postrm)
    configure_file(${here}/${script}.in ${made}/${script} @ONLY
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
      WORLD_EXECUTE)
  endforeach()
  set(config ${component})
  if(component STREQUAL snapshotter)
    set(config containerd-skimmer)
  endif()
  file(WRITE ${made}/conffiles "/etc/dragonfly/${config}.yaml\n")
  if(component STREQUAL dfdaemon)
    file(APPEND ${made}/conffiles "/etc/dragonfly/dfinit.yaml\n")
  elseif(NOT component STREQUAL snapshotter)
    install(FILES ${here}/skimmer.sysusers DESTINATION lib/sysusers.d
      RENAME ${PACKAGE}.conf COMPONENT ${component})
  endif()
  install(FILES ${here}/${config}.yaml DESTINATION /etc/dragonfly COMPONENT ${component})
  install(FILES ${CMAKE_SOURCE_DIR}/contrib/systemd/${UNIT} DESTINATION /lib/systemd/system
    COMPONENT ${component})
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/${PACKAGE}
    RENAME copyright COMPONENT ${component})
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${PACKAGE})
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
    "${made}/postinst;${made}/prerm;${made}/postrm;${made}/conffiles")
endforeach()
set(CPACK_COMPONENTS_ALL dfdaemon snapshotter scheduler manager)
include(CPack)
