# find_package(regauge) gives C++ users regauge::core.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(regauge_core PROPERTIES EXPORT_NAME core)
install(TARGETS regauge_core EXPORT regauge ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT regauge NAMESPACE regauge:: FILE regauge-targets.cmake
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/regauge")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/regauge-config.cmake" [[
include(CMakeFindDependencyMacro)
find_dependency(Threads)  # the only thing that regauge::core asks of its users
include("${CMAKE_CURRENT_LIST_DIR}/regauge-targets.cmake")
]])
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/regauge-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/regauge-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/regauge-config-version.cmake"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/regauge")
if(TARGET regauge)
  install(TARGETS regauge RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
