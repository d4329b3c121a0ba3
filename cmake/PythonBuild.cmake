# What the presets and `make` do before CMake runs, done for `pip install .`: on Debian the headers come from the
# machine's own mirror, elsewhere Dependencies.cmake finds or fetches them.
execute_process(COMMAND "${PROJECT_SOURCE_DIR}/tools/bootstrap" headers RESULT_VARIABLE _bootstrapped)
if(EXISTS "${PROJECT_SOURCE_DIR}/.toolchain/headers/usr")
  list(APPEND CMAKE_PREFIX_PATH "${PROJECT_SOURCE_DIR}/.toolchain/headers/usr")
endif()
