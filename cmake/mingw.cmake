# Toolchain file of the windows preset: GCC of mingw-w64, for Windows on x86-64, with POSIX threads (the other kind has
# no std::thread in GCC 12). Debian's packages: tools/bootstrap windows.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

# Win64 aligns the stack to 16 bytes, and GCC spills 32- and 64-byte registers there by aligned moves, which fault (GCC
# bug 54412). Debian's GCC is patched to write unaligned ones; elsewhere the assembler turns each into its unaligned
# form, which is as fast where the address is aligned. No kernel's object has an aligned one left (objdump).
set(CMAKE_C_FLAGS_INIT "-Wa,-muse-unaligned-vector-move")    # binutils 2.38 and later
set(CMAKE_CXX_FLAGS_INIT "-Wa,-muse-unaligned-vector-move -Wa,-mbig-obj")  # json and Catch2 make more sections than 65535
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")  # GCC's libraries and winpthreads are inside: one file, no DLL beside it

# Header-only packages and Catch2 are looked for in .toolchain only, never in /usr, whose libraries are the host's.
get_filename_component(_toolchain "${CMAKE_CURRENT_LIST_DIR}/../.toolchain" ABSOLUTE)
list(APPEND CMAKE_FIND_ROOT_PATH "${_toolchain}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
list(APPEND CMAKE_PREFIX_PATH "${_toolchain}/headers/usr" "${_toolchain}/catch2-windows")
