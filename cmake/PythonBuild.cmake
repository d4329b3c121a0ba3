# What the presets and `make` do before CMake runs, done for `pip install .`: on Debian the headers come from the
# machine's own mirror, elsewhere Dependencies.cmake finds or fetches them.
set(_headers "${PROJECT_SOURCE_DIR}/.toolchain/headers/usr")
if(NOT EXISTS "${_headers}")
  execute_process(COMMAND "${PROJECT_SOURCE_DIR}/tools/bootstrap" headers RESULT_VARIABLE _ignored)  # then they are fetched
endif()
if(EXISTS "${_headers}")
  list(APPEND CMAKE_PREFIX_PATH "${_headers}")
endif()
