# find_package(regauge) gives C++ users regauge::core and, natively, regauge::files; pkg-config gives `regauge`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_libraries regauge_core)
set_target_properties(regauge_core PROPERTIES EXPORT_NAME core)
if(TARGET regauge_files)
  list(APPEND _libraries regauge_files)
  set_target_properties(regauge_files PROPERTIES EXPORT_NAME files)
  install(FILES "${PROJECT_SOURCE_DIR}/native/native_files.hpp" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/regauge")
endif()
install(TARGETS ${_libraries} EXPORT regauge ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
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

set(_links "-lregauge_core")
if(TARGET regauge_files)
  string(PREPEND _links "-lregauge_files ")
endif()
# The prefix is found from where the file lies, so that an installation may be moved: lib/pkgconfig is two folders
# below it, lib/<triplet>/pkgconfig three.
string(REGEX REPLACE "[^/]+" ".." _up "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/regauge.pc" "prefix=\${pcfiledir}/${_up}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}

Name: regauge
Description: ${PROJECT_DESCRIPTION}
Version: ${PROJECT_VERSION}
Cflags: -I\${includedir}
Libs: -L\${libdir} ${_links} -lstdc++ -lm -pthread
")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/regauge.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# Ours, and those of what is compiled in.
file(GLOB _licences "${PROJECT_SOURCE_DIR}/licenses/*.txt")
set(_compiled_in "Eigen|xsimd|nlohmann-json|CLI11|zlib")  # the others are in the wheel or in npm's package
if(MINGW)
  string(APPEND _compiled_in "|mingw-w64")
endif()
list(FILTER _licences INCLUDE REGEX "/(${_compiled_in})\\.txt$")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES ${_licences} DESTINATION "${CMAKE_INSTALL_DOCDIR}/licenses")

if(TARGET regauge)
  install(TARGETS regauge RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
