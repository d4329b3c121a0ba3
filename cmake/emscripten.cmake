# Toolchain file of the wasm presets: the Emscripten that tools/bootstrap put into .toolchain, else the one
# whose emcc is on PATH, which must be at least 3.1.60 (ES modules in Node, generated types, wasm exceptions).
get_filename_component(_toolchain "${CMAKE_CURRENT_LIST_DIR}/../.toolchain" ABSOLUTE)
set(_emscripten "${_toolchain}/emscripten/usr/share/emscripten")
if(NOT EXISTS "${_toolchain}/emscripten/ready")
  find_program(REGAUGE_EMCC emcc)
  if(NOT REGAUGE_EMCC)
    message(FATAL_ERROR "no Emscripten: run tools/bootstrap wasm, or install emsdk and put emcc on PATH")
  endif()
  file(REAL_PATH "${REGAUGE_EMCC}" _emcc)
  cmake_path(GET _emcc PARENT_PATH _emscripten)
  if(NOT EXISTS "${_emscripten}/emscripten-version.txt")  # a wrapper of a package manager's: ask it
    execute_process(COMMAND "${CMAKE_COMMAND}" -E env -- em-config EMSCRIPTEN_ROOT
      OUTPUT_VARIABLE _emscripten OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  file(READ "${_emscripten}/emscripten-version.txt" _version)
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" _version "${_version}")
  if(_version VERSION_LESS 3.1.60)
    message(FATAL_ERROR "Emscripten ${_version} at ${_emscripten} is older than 3.1.60: run tools/bootstrap wasm")
  endif()
endif()
include("${_emscripten}/cmake/Modules/Platform/Emscripten.cmake")

# Header-only packages and Catch2 for wasm are looked for here only, never in /usr, whose headers are the host's.
list(APPEND CMAKE_FIND_ROOT_PATH "${_toolchain}")
list(APPEND CMAKE_PREFIX_PATH "${_toolchain}/headers/usr" "${_toolchain}/catch2-wasm")
