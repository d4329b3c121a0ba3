# regauge_files: this machine's files, as the command, the tests and Python's module read them (regauge::files once
# installed); and the native command: build/<preset>/regauge, with build/native/regauge the one that the README names.
file(GLOB REGAUGE_NATIVE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/native/*.cpp")
list(FILTER REGAUGE_NATIVE_SOURCES EXCLUDE REGEX "_${REGAUGE_OTHER_OS}\\.cpp$")
set(REGAUGE_FILES_SOURCES ${REGAUGE_NATIVE_SOURCES})
list(FILTER REGAUGE_FILES_SOURCES EXCLUDE REGEX "/(main|large_pages|mpi_[^/]*)\\.cpp$")
add_library(regauge_files STATIC ${REGAUGE_FILES_SOURCES})
target_include_directories(regauge_files
  PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/native>" "$<INSTALL_INTERFACE:include>")
target_link_libraries(regauge_files PUBLIC regauge_core)
regauge_compile_options(regauge_files)
regauge_position_independent(regauge_files)

list(FILTER REGAUGE_NATIVE_SOURCES INCLUDE REGEX "/(main|large_pages|mpi_[^/]*)\\.cpp$")
if(NOT REGAUGE_MPI)
  list(FILTER REGAUGE_NATIVE_SOURCES EXCLUDE REGEX "/mpi_[^/]*$")
endif()
add_executable(regauge ${REGAUGE_NATIVE_SOURCES})
target_link_libraries(regauge PRIVATE regauge_command regauge_files nlohmann_json::nlohmann_json)
target_compile_definitions(regauge PRIVATE REGAUGE_VERSION="${PROJECT_VERSION}")
regauge_compile_options(regauge)
if(WIN32)
  add_library(regauge_resources OBJECT "${PROJECT_SOURCE_DIR}/native/regauge.rc")  # alone: the compiler's options are not windres's
  target_link_libraries(regauge PRIVATE regauge_resources)
endif()
if(REGAUGE_MPI)
  target_link_libraries(regauge PRIVATE MPI::MPI_CXX)
  target_compile_definitions(regauge PRIVATE REGAUGE_MPI=1)
endif()
