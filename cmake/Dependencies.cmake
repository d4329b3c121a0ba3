# Each dependency is looked for first; what is not there is fetched, pinned by hash.
include(FetchContent)

# regauge_dependency(<package> <version> <target> URL <url> SHA256 <hash>)
macro(regauge_dependency package version target)
  cmake_parse_arguments(_dep "" "URL;SHA256" "" ${ARGN})
  if(NOT TARGET ${target})
    find_package(${package} ${version} QUIET CONFIG)
  endif()
  if(NOT TARGET ${target})
    message(STATUS "${package} ${version} is not here: fetching ${_dep_URL}")
    # SYSTEM first: CMake 3.25 takes it for a part of whatever argument stands before it.
    FetchContent_Declare(${package} SYSTEM URL "${_dep_URL}" URL_HASH SHA256=${_dep_SHA256}
      DOWNLOAD_EXTRACT_TIMESTAMP TRUE)
    FetchContent_MakeAvailable(${package})
  endif()
endmacro()

# Fetched projects get no tests, documentation or install rules of their own.
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)    # their option() leaves what is set here
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)    # CMake 4 would refuse the older ones
set(EIGEN_BUILD_DOC OFF)
set(EIGEN_BUILD_PKGCONFIG OFF)
set(JSON_Install OFF)
set(BENCHMARK_ENABLE_TESTING OFF)
set(BENCHMARK_ENABLE_INSTALL OFF)
set(BENCHMARK_ENABLE_WERROR OFF)
set(_saved_build_testing "${BUILD_TESTING}")
set(BUILD_TESTING OFF)

regauge_dependency(Eigen3 3.4 Eigen3::Eigen
  URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
  SHA256 8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72)
# By header, not by its CMake package: Debian's asks for xtl as well, which nothing here uses.
find_path(REGAUGE_XSIMD_INCLUDE xsimd/config/xsimd_config.hpp)
if(REGAUGE_XSIMD_INCLUDE)
  file(STRINGS "${REGAUGE_XSIMD_INCLUDE}/xsimd/config/xsimd_config.hpp" _xsimd REGEX "define XSIMD_VERSION_MAJOR")
  string(REGEX MATCH "[0-9]+$" _xsimd "${_xsimd}")
  if(_xsimd GREATER_EQUAL 13)
    add_library(xsimd INTERFACE IMPORTED)
    target_include_directories(xsimd INTERFACE "${REGAUGE_XSIMD_INCLUDE}")
  endif()
endif()
regauge_dependency(xsimd 13 xsimd  # 13 is the first with the wasm backend
  URL https://github.com/xtensor-stack/xsimd/archive/refs/tags/13.2.0.tar.gz
  SHA256 edd8cd3d548c185adc70321c53c36df41abe64c1fe2c67bc6d93c3ecda82447a)
regauge_dependency(nlohmann_json 3.11 nlohmann_json::nlohmann_json
  URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
  SHA256 d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)

# zlib from its own source in every build, in the version below: systems ship others, and zlib-ng in its place, whose
# DEFLATE is other bytes, while an .npz that is moved and moved back must be the same file.
set(REGAUGE_ZLIB_VERSION 1.3.1)
set(REGAUGE_ZLIB_SOURCE "${PROJECT_SOURCE_DIR}/.toolchain/zlib-source" CACHE PATH "where zlib's source is")
if(NOT EXISTS "${REGAUGE_ZLIB_SOURCE}/deflate.c")
  message(STATUS "zlib ${REGAUGE_ZLIB_VERSION} is not here (on Debian tools/bootstrap native brings it): fetching its source")
  FetchContent_Declare(zlib SOURCE_SUBDIR "regauge-compiles-it"
    URL https://github.com/madler/zlib/releases/download/v1.3.1/zlib-1.3.1.tar.gz
    URL_HASH SHA256=9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23
    DOWNLOAD_EXTRACT_TIMESTAMP TRUE)
  FetchContent_MakeAvailable(zlib)
  set(REGAUGE_ZLIB_SOURCE "${zlib_SOURCE_DIR}")
endif()
file(STRINGS "${REGAUGE_ZLIB_SOURCE}/zlib.h" _zlib REGEX "define ZLIB_VERSION \"${REGAUGE_ZLIB_VERSION}\"")
if(NOT _zlib)
  message(FATAL_ERROR "${REGAUGE_ZLIB_SOURCE} is not zlib ${REGAUGE_ZLIB_VERSION}: run tools/bootstrap native")
endif()

if(REGAUGE_BUILD_COMMAND)
  regauge_dependency(CLI11 2.1 CLI11::CLI11
    URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz
    SHA256 f2d893a65c3b1324c50d4e682c0cdc021dd0477ae2c048544f39eed6654b699a)
endif()
if(REGAUGE_BUILD_TESTS OR REGAUGE_FUZZ)
  regauge_dependency(Catch2 3 Catch2::Catch2WithMain
    URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
    SHA256 c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c)
  if(EMSCRIPTEN AND TARGET Catch2)  # just fetched: it must throw as our code does
    target_compile_options(Catch2 PRIVATE -fwasm-exceptions)
    target_compile_options(Catch2WithMain PRIVATE -fwasm-exceptions)
  endif()
endif()
if(REGAUGE_BUILD_BENCH AND NOT EMSCRIPTEN)
  regauge_dependency(benchmark 1.7 benchmark::benchmark
    URL https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz
    SHA256 32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981)
endif()
set(BUILD_TESTING "${_saved_build_testing}")

if(NOT EMSCRIPTEN)
  find_package(Threads REQUIRED)
  if(REGAUGE_MPI)
    find_package(MPI REQUIRED COMPONENTS CXX)
  endif()
endif()
