# regauge_core, and regauge_command (the commands with their I/O passed in, shared by the native program and
# the wasm).

include(EmbedRecipes)
file(GLOB_RECURSE REGAUGE_CORE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/src/*.cpp")
set(REGAUGE_SIMD_SOURCES ${REGAUGE_CORE_SOURCES})
list(FILTER REGAUGE_SIMD_SOURCES INCLUDE REGEX "\\.simd\\.cpp$")
list(FILTER REGAUGE_CORE_SOURCES EXCLUDE REGEX "\\.simd\\.cpp$")
file(GLOB_RECURSE REGAUGE_COMMAND_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/command/src/*.cpp")

# What of zlib raw DEFLATE and CRC-32 need is compiled into the core: an installed regauge::core asks for no zlib.
set(REGAUGE_ZLIB_FILES adler32 crc32 deflate inffast inflate inftrees trees zutil)
list(TRANSFORM REGAUGE_ZLIB_FILES REPLACE "(.+)" "${REGAUGE_ZLIB_SOURCE}/\\1.c")
set_property(SOURCE ${REGAUGE_ZLIB_FILES} APPEND PROPERTY COMPILE_OPTIONS -w)  # its warnings are not ours to mend
set(REGAUGE_ZLIB_USERS ${REGAUGE_CORE_SOURCES})
list(FILTER REGAUGE_ZLIB_USERS INCLUDE REGEX "/core/src/codec/")
set_property(SOURCE ${REGAUGE_ZLIB_FILES} ${REGAUGE_ZLIB_USERS} APPEND PROPERTY COMPILE_DEFINITIONS
  NO_GZIP      # without gzip's headers
  Z_PREFIX     # z_deflate and so on: a program may have a zlib of its own
  ZLIB_CONST)  # input may be const
set_property(SOURCE ${REGAUGE_ZLIB_USERS} APPEND PROPERTY INCLUDE_DIRECTORIES "${REGAUGE_ZLIB_SOURCE}")

add_library(regauge_core STATIC ${REGAUGE_CORE_SOURCES} "${REGAUGE_RECIPES_SOURCE}" ${REGAUGE_ZLIB_FILES})
add_library(regauge::core ALIAS regauge_core)
target_compile_features(regauge_core PUBLIC cxx_std_20)
target_compile_definitions(regauge_core PRIVATE
  REGAUGE_VERSION="${PROJECT_VERSION}"
  EIGEN_DONT_VECTORIZE  # Eigen's sums follow the packet width, and bits must not depend on the machine
  EIGEN_MPL2_ONLY)      # nothing under the LGPL
target_include_directories(regauge_core
  PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/core/include>" "$<INSTALL_INTERFACE:include>"
  PRIVATE "${PROJECT_SOURCE_DIR}/core/src")
# Header-only and out of the public headers, so that an installed regauge::core needs none of them.
target_link_libraries(regauge_core PRIVATE
  $<BUILD_INTERFACE:Eigen3::Eigen> $<BUILD_INTERFACE:xsimd> $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
if(NOT EMSCRIPTEN)
  target_link_libraries(regauge_core PUBLIC Threads::Threads)
endif()
regauge_compile_options(regauge_core)
regauge_position_independent(regauge_core)
regauge_add_simd_sources(regauge_core ${REGAUGE_SIMD_SOURCES})

if(REGAUGE_BUILD_COMMAND)
  add_library(regauge_command STATIC ${REGAUGE_COMMAND_SOURCES})
  target_include_directories(regauge_command
    PUBLIC "${PROJECT_SOURCE_DIR}/command/include"
    PRIVATE "${PROJECT_SOURCE_DIR}/command/src" "${PROJECT_SOURCE_DIR}/core/src")  # io/json_text.hpp
  target_compile_definitions(regauge_command PRIVATE REGAUGE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(regauge_command PUBLIC regauge_core PRIVATE CLI11::CLI11 nlohmann_json::nlohmann_json)
  regauge_compile_options(regauge_command)
  regauge_position_independent(regauge_command)
endif()
