# Kernels: every core/src/kernels/<name>.simd.cpp is compiled once per instruction set, with REGAUGE_ISA
# naming it, and dispatch.cpp chooses at run time. Nothing else is compiled for more than the baseline, so
# that one binary runs on every machine.
#
# A trap: an inline function from a header that two sets of objects share (std::vector, say) is merged by the
# linker, which may keep the AVX-512 copy. So .simd.cpp files use raw pointers, xsimd and REGAUGE_ISA-named
# namespaces only; tools/check-simd looks for leaks.

if(EMSCRIPTEN)
  set(REGAUGE_ISAS wasm)
  set(REGAUGE_ISA_FAMILY WASM)
elseif(CMAKE_OSX_ARCHITECTURES MATCHES "arm64" OR CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(REGAUGE_ISAS neon)
  set(REGAUGE_ISA_FAMILY NEON)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(REGAUGE_ISAS sse2 sse42 avx2 avxvnni avx512vnni)
  set(REGAUGE_ISA_FAMILY X86)
else()
  set(REGAUGE_ISAS "")  # the scalar references serve
  set(REGAUGE_ISA_FAMILY NONE)
endif()

set(REGAUGE_ISA_FLAGS_sse2)        # x86-64's baseline
set(REGAUGE_ISA_FLAGS_sse42 -msse4.2)
set(REGAUGE_ISA_FLAGS_avx2 -mavx2 -mf16c) # without -mfma: nothing may contract
set(REGAUGE_ISA_FLAGS_avxvnni -mavx2 -mf16c -mavxvnni)
set(REGAUGE_ISA_FLAGS_avx512vnni -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
set(REGAUGE_ISA_FLAGS_neon)        # aarch64's baseline
set(REGAUGE_ISA_FLAGS_wasm -msimd128)

# regauge_add_simd_objects(<objects> <isa> <flags> <file>...): an object library for one instruction set.
function(regauge_add_simd_objects objects isa flags)
  add_library(${objects} OBJECT ${ARGN})
  target_compile_definitions(${objects} PRIVATE REGAUGE_ISA=${isa} REGAUGE_ISAS_${REGAUGE_ISA_FAMILY}=1)
  target_compile_options(${objects} PRIVATE ${flags})
  target_include_directories(${objects} PRIVATE
    "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_SOURCE_DIR}/core/src")
  target_link_libraries(${objects} PRIVATE xsimd)
  regauge_compile_options(${objects})
  regauge_position_independent(${objects})
endfunction()

# regauge_add_simd_sources(<target> <file>...): compile the files for each instruction set into <target>.
function(regauge_add_simd_sources target)
  target_compile_definitions(${target} PRIVATE REGAUGE_ISAS_${REGAUGE_ISA_FAMILY}=1)
  if(NOT ARGN)
    return()
  endif()
  foreach(isa IN LISTS REGAUGE_ISAS)
    set(objects ${target}_${isa})
    regauge_add_simd_objects(${objects} ${isa} "${REGAUGE_ISA_FLAGS_${isa}}" ${ARGN})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
