# One libFuzzer program for each row of tests/fuzz/targets.inc: build/fuzz/fuzz_<name>; and fuzz_seeds, which writes what
# each of them begins with. tests/fuzz/README.md says how they are run.
set(REGAUGE_FUZZ_ENGINE "-fsanitize=fuzzer" CACHE STRING "what a fuzzing program is linked with; OSS-Fuzz has its own")

function(regauge_fuzz_options target)
  target_link_libraries(${target} PRIVATE regauge_command regauge_core nlohmann_json::nlohmann_json)
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}/core/src" "${PROJECT_SOURCE_DIR}/tests/cpp" "${PROJECT_SOURCE_DIR}/tests/fuzz")
  target_compile_definitions(${target} PRIVATE REGAUGE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  regauge_compile_options(${target})
endfunction()

add_library(fuzz_targets STATIC "${PROJECT_SOURCE_DIR}/tests/fuzz/targets.cpp")
regauge_fuzz_options(fuzz_targets)
add_executable(fuzz_seeds "${PROJECT_SOURCE_DIR}/tests/fuzz/write_seeds.cpp")
regauge_fuzz_options(fuzz_seeds)
target_link_libraries(fuzz_seeds PRIVATE fuzz_targets Catch2::Catch2)

add_custom_target(fuzz DEPENDS fuzz_seeds)
file(STRINGS "${PROJECT_SOURCE_DIR}/tests/fuzz/targets.inc" _rows REGEX "^REGAUGE_FUZZ_TARGET")
foreach(_row IN LISTS _rows)
  string(REGEX REPLACE "^REGAUGE_FUZZ_TARGET\\(([a-zA-Z]+).*" "\\1" _name "${_row}")
  add_executable(fuzz_${_name} "${PROJECT_SOURCE_DIR}/tests/fuzz/program.cpp")
  regauge_fuzz_options(fuzz_${_name})
  target_compile_definitions(fuzz_${_name} PRIVATE REGAUGE_FUZZ_NAME=${_name})
  target_link_libraries(fuzz_${_name} PRIVATE fuzz_targets)
  separate_arguments(_engine UNIX_COMMAND "${REGAUGE_FUZZ_ENGINE}")
  target_link_options(fuzz_${_name} PRIVATE ${_engine})
  add_dependencies(fuzz fuzz_${_name})
endforeach()
