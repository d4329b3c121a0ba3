# One set of C++ tests, run natively and, as wasm, in Node.
file(GLOB REGAUGE_TEST_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cpp/*.cpp")
if(NOT REGAUGE_TEST_SOURCES)
  return()
endif()
add_executable(regauge_tests ${REGAUGE_TEST_SOURCES}
  "${PROJECT_SOURCE_DIR}/tests/fuzz/targets.cpp"  # what fuzzers found is a test
  "${PROJECT_SOURCE_DIR}/native/inputs_read.cpp"
  "${PROJECT_SOURCE_DIR}/native/hub_cache.cpp"
  "${PROJECT_SOURCE_DIR}/native/native_files.cpp"
  "${PROJECT_SOURCE_DIR}/native/os_${REGAUGE_OS}.cpp"
  "${PROJECT_SOURCE_DIR}/native/out_of_memory.cpp"
  "${PROJECT_SOURCE_DIR}/native/write_behind.cpp")  # the tests work on real files; Node lends them to the wasm build
target_link_libraries(regauge_tests PRIVATE regauge_core
  Catch2::Catch2WithMain Eigen3::Eigen nlohmann_json::nlohmann_json)
if(REGAUGE_BUILD_COMMAND)
  target_link_libraries(regauge_tests PRIVATE regauge_command)
endif()
target_include_directories(regauge_tests PRIVATE
  "${PROJECT_SOURCE_DIR}/core/src" "${PROJECT_SOURCE_DIR}/native" "${PROJECT_SOURCE_DIR}/tests/cpp")  # kernels are tested beside their references
target_compile_definitions(regauge_tests PRIVATE
  REGAUGE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests"
  REGAUGE_ISAS_${REGAUGE_ISA_FAMILY}=1)
regauge_compile_options(regauge_tests)
target_compile_options(regauge_tests PRIVATE -O1)  # what is tested is optimised; the tests themselves compile twice as fast so

# Ten thousand mutated files per format: `cmake --build --preset asan --target regauge_fuzz && build/asan/regauge_fuzz [mutations [format]]`. Not part of the tests, nor of `all`.
if(NOT EMSCRIPTEN)
  add_executable(regauge_fuzz EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/fuzz/mutate.cpp")
  target_link_libraries(regauge_fuzz PRIVATE regauge_core Catch2::Catch2 nlohmann_json::nlohmann_json)
  target_include_directories(regauge_fuzz PRIVATE "${PROJECT_SOURCE_DIR}/core/src" "${PROJECT_SOURCE_DIR}/tests/cpp")
  target_compile_definitions(regauge_fuzz PRIVATE REGAUGE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  regauge_compile_options(regauge_fuzz)
endif()
if(EMSCRIPTEN)
  target_compile_options(regauge_tests PRIVATE -Wno-shorten-64-to-32)  # fixtures fit 32-bit addresses; the core's lengths are checked
  regauge_wasm_link_options(regauge_tests)
  set_target_properties(regauge_tests PROPERTIES SUFFIX ".js")
  target_link_options(regauge_tests PRIVATE
    -O1                          # linked in seconds: nobody downloads it, and its objects were optimised when they were compiled
    -lnodefs.js -lnoderawfs.js
    -sNODERAWFS                  # the tests read tests/fixtures
    -sENVIRONMENT=node
    -sEXIT_RUNTIME               # flush, and return main's status
    -sINCOMING_MODULE_JS_API=[]
    -sSTACK_SIZE=4MB)            # Catch2's reporters recurse
endif()
