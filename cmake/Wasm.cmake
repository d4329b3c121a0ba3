# The Emscripten modules: <name>.mjs, <name>.wasm and generated types <name>.d.mts: the calls of the package with threads and without, and the
# command line, for Node alone, with threads.
file(GLOB REGAUGE_WASM_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/*.cpp")

# A page downloads the module, so -O3 is for the loops that rows and tensors' bytes pass through. What strings them together is compiled for
# size with vector instructions (-Os), and what reads headers, recipes and words for size alone (-Oz): a quarter less to download.
# By room: hot ones keep -O3, warm ones get -Os, all others -Oz.
set(REGAUGE_HOT "/core/src/(assignment|correlation|numeric|scores)/")
set(REGAUGE_WARM "/core/src/(base|codec|gauge|match)/")
foreach(source IN LISTS REGAUGE_CORE_SOURCES REGAUGE_COMMAND_SOURCES REGAUGE_WASM_SOURCES)
  if(source MATCHES "${REGAUGE_HOT}")
    continue()
  endif()
  set(size -Oz)
  if(source MATCHES "${REGAUGE_WARM}")
    set(size -Os)
  endif()
  set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:${size}>")
endforeach()
set_property(SOURCE ${REGAUGE_ZLIB_FILES} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:Release>:-Os>")  # as codec/, which calls it

# tsc (npm's typescript) checks and writes the types that Embind declares.
find_program(REGAUGE_TSC tsc HINTS "${PROJECT_SOURCE_DIR}/node_modules/.bin" NO_CMAKE_FIND_ROOT_PATH)

# Emscripten's settings that both the module and the tests are linked with.
function(regauge_wasm_link_options target)
  target_link_options(${target} PRIVATE
    -fwasm-exceptions            # as compiled
    -mbulk-memory
    -sINITIAL_MEMORY=16MB        # as node/src/engine.ts gives to the modules with threads
    -sALLOW_MEMORY_GROWTH        # start small,
    -sMAXIMUM_MEMORY=4GB         # grow to all that 32-bit addresses reach (threads: to what node/src/engine.ts was granted)
    -sABORTING_MALLOC=0          # out of memory is std::bad_alloc, hence an error the caller sees
    -sSTACK_SIZE=1MB             # 64 KB is too little for nested JSON and Eigen's temporaries
    -sSTRICT                     # no deprecated settings, nothing linked in by guess
    "$<$<CONFIG:Debug>:-sASSERTIONS=2>"        # explain misuse of the runtime
    "$<$<CONFIG:Debug>:-sSTACK_OVERFLOW_CHECK=2>"
    "$<$<CONFIG:Debug>:-g>"
    "$<$<CONFIG:Release>:-Oz>"   # wasm-opt and the small JavaScript; the loops were optimised when they were compiled
    "$<$<CONFIG:Release>:-sASSERTIONS=0>")
endfunction()

# regauge_add_wasm(<name> [COMMAND] [THREADS] [RELAXED])
#
# RELAXED: a second <name>-relaxed.wasm for the same <name>.mjs, its kernels compiled with relaxed SIMD, whose products of bytes of seven bits
# are the same everywhere. Engines without those instructions refuse the whole module, so the caller asks which one it can have.
function(regauge_add_wasm name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "COMMAND;THREADS;RELAXED" "" "")
  set(target wasm-${name})
  set(output "${REGAUGE_WASM_OUTPUT_DIR}")
  if(arg_RELAXED)
    string(APPEND target -relaxed)
    set(output "${CMAKE_BINARY_DIR}/relaxed")
  endif()
  set(sources ${REGAUGE_WASM_SOURCES})
  if(arg_COMMAND)
    list(FILTER sources INCLUDE REGEX "/(command|host)\\.cpp$")
  else()
    list(FILTER sources EXCLUDE REGEX "/command\\.cpp$")
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE regauge_command nlohmann_json::nlohmann_json)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/core/src")  # io/json_text.hpp
  target_compile_definitions(${target} PRIVATE REGAUGE_VERSION="${PROJECT_VERSION}")
  regauge_compile_options(${target})
  regauge_wasm_link_options(${target})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${name}" SUFFIX ".mjs"
    RUNTIME_OUTPUT_DIRECTORY "${output}")
  target_link_options(${target} PRIVATE
    -lembind                     # the bindings; -sSTRICT links no library by itself
    -sMODULARIZE                 # a factory: as many instances as wanted, no globals
    -sEXPORT_ES6                 # `import createRegauge from`
    -sEXPORT_NAME=createRegauge
    -sENVIRONMENT=web,worker     # in Node too: node/ reads the file itself, and bundlers then meet no import of Node's modules
    -sDYNAMIC_EXECUTION=0        # no eval or new Function: the page's policy allows neither
    -sFILESYSTEM=0               # bytes come through the caller, never through a file system
    -sINCOMING_MODULE_JS_API=instantiateWasm,wasmMemory
    --no-entry)                  # a library: no main()
  if(arg_THREADS)
    target_link_options(${target} PRIVATE
      -pthread                   # shared memory; a page must be cross-origin isolated
      --js-library "${PROJECT_SOURCE_DIR}/wasm/threads.js"  # who starts the threads' workers
      -Wno-pthreads-mem-growth)  # growth makes JavaScript's views slower, and our calls are coarse
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/threads.js")
  else()
    target_compile_options(${target} PRIVATE
      -no-pthread)  # Embind's headers have thread-local variables, which nobody sets up without threads
  endif()
  if(arg_RELAXED)
    # The kernels of bytes. Objects come before libraries: what they define is not taken from regauge_core.
    set(kernels ${REGAUGE_SIMD_SOURCES})
    list(FILTER kernels INCLUDE REGEX "/(integer_dot|quantize)\\.simd\\.cpp$")
    regauge_add_simd_objects(${target}-kernels wasm "${REGAUGE_ISA_FLAGS_wasm};-mrelaxed-simd" ${kernels})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}-kernels>)
    add_dependencies(${target} wasm-${name})
    add_custom_command(TARGET ${target} POST_BUILD
      BYPRODUCTS "${REGAUGE_WASM_OUTPUT_DIR}/${name}-relaxed.wasm"
      COMMAND "${CMAKE_COMMAND}" -E compare_files "${output}/${name}.mjs" "${REGAUGE_WASM_OUTPUT_DIR}/${name}.mjs"
      COMMAND "${CMAKE_COMMAND}" -E copy "${output}/${name}.wasm" "${REGAUGE_WASM_OUTPUT_DIR}/${name}-relaxed.wasm")
    return()
  endif()
  if(REGAUGE_TSC)
    cmake_path(GET REGAUGE_TSC PARENT_PATH tsc_dir)
    target_link_options(${target} PRIVATE --emit-tsd "${REGAUGE_WASM_OUTPUT_DIR}/${name}.d.mts")
    set_property(TARGET ${target} PROPERTY RULE_LAUNCH_LINK  # --emit-tsd looks for tsc on PATH
      "\"${CMAKE_COMMAND}\" -E env --modify PATH=path_list_prepend:${tsc_dir} --")
  else()
    message(STATUS "no tsc (npm ci brings it): ${name}.d.mts will not be written")
  endif()
endfunction()
