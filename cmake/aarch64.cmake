# Toolchain file of the preset aarch64: Debian's cross compiler, and QEMU to run what it makes. tools/bootstrap aarch64
# brings both.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(_root /usr/aarch64-linux-gnu)  # the loader and the libraries of that system
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${_root})

# Header-only packages and Catch2 for aarch64 are looked for here only, never in /usr, whose libraries are the host's.
get_filename_component(_toolchain "${CMAKE_CURRENT_LIST_DIR}/../.toolchain" ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH "${_toolchain}" "${_root}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
list(APPEND CMAKE_PREFIX_PATH "${_toolchain}/headers/usr" "${_toolchain}/catch2-aarch64")
