# Of native/*_posix.cpp and *_windows.cpp one kind is compiled: native/os.hpp says what they do.
if(WIN32)
  set(REGAUGE_OS windows)
  set(REGAUGE_OTHER_OS posix)
else()
  set(REGAUGE_OS posix)
  set(REGAUGE_OTHER_OS windows)
endif()

# What every target of ours is compiled with, each flag with its reason.

function(regauge_compile_options target)
  if(MSVC)
    target_compile_options(${target} PRIVATE
      /fp:precise /fp:contract-  # no contraction: the same bits on every machine
      /utf-8 /bigobj)            # sources are UTF-8; xsimd and json make many sections
  else()
    target_compile_options(${target} PRIVATE
      -ffp-contract=off          # a*b+c rounds twice everywhere: the same bits with and without FMA
      -fno-math-errno)           # sqrt as one instruction; changes no value
    if(CMAKE_SIZEOF_VOID_P EQUAL 4 AND CMAKE_SYSTEM_PROCESSOR MATCHES "i.86")
      target_compile_options(${target} PRIVATE -msse2 -mfpmath=sse)  # x87 keeps extra bits
    endif()
  endif()

  if(EMSCRIPTEN)
    target_compile_options(${target} PRIVATE
      -fwasm-exceptions          # the engine's own exceptions: cheap, and they keep their message
      -pthread                   # one set of objects for the modules with threads and without: atomics work on any memory
      -mbulk-memory              # one instruction clears or copies; Emscripten's functions for it are, at -Oz, loops over bytes
      -msimd128)                 # every engine with wasm exceptions has it; loops over independent elements gain
  endif()

  if(REGAUGE_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${REGAUGE_SANITIZE}
      -fno-sanitize-recover=all  # a finding fails the test
      -fno-omit-frame-pointer)   # readable stacks
    target_link_options(${target} PUBLIC -fsanitize=${REGAUGE_SANITIZE})
  endif()

  if(REGAUGE_WARNINGS AND NOT MSVC)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # GCC 12 reports these falsely where it inlines its own string, vector and span code (GCC bugs 105329, 105651).
      target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
    endif()
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      target_compile_options(${target} PRIVATE -Wno-sign-conversion)  # GCC's -Wconversion leaves it out in C++
    endif()
    if(REGAUGE_WERROR)
      target_compile_options(${target} PRIVATE -Werror)
    endif()
  endif()
endfunction()

# What shared libraries may link: Python's module does, and users' own.
function(regauge_position_independent target)
  if(NOT EMSCRIPTEN)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # Clang does so without being asked
      target_compile_options(${target} PRIVATE
        -fno-semantic-interposition)  # nobody replaces our functions at load time, so they may still be inlined
    endif()
  endif()
endfunction()
