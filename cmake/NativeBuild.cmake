# The libraries and the command of another build (REGAUGE_NATIVE_BUILD), as targets of the names that they have there.
# tools/test-python brings it up to date first; `ninja -C` would not see that its sources changed.
find_package(Threads REQUIRED)
foreach(_library core command files)
  add_library(regauge_${_library} STATIC IMPORTED)
  set_target_properties(regauge_${_library} PROPERTIES
    IMPORTED_LOCATION "${REGAUGE_NATIVE_BUILD}/libregauge_${_library}.a")
endforeach()
target_include_directories(regauge_core INTERFACE "${PROJECT_SOURCE_DIR}/core/include")
target_include_directories(regauge_command INTERFACE "${PROJECT_SOURCE_DIR}/command/include")
target_include_directories(regauge_files INTERFACE "${PROJECT_SOURCE_DIR}/native")
target_compile_features(regauge_core INTERFACE cxx_std_20)
target_link_libraries(regauge_core INTERFACE Threads::Threads)
target_link_libraries(regauge_command INTERFACE regauge_core)
target_link_libraries(regauge_files INTERFACE regauge_core)
add_custom_target(regauge)  # pyproject.toml asks for it
set(REGAUGE_COMMAND_FILE "${REGAUGE_NATIVE_BUILD}/regauge")
