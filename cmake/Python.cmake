# The Python module regauge._native (python/src) beside the package's sources (python/regauge). Asked for by
# pyproject.toml; or -DREGAUGE_BUILD_PYTHON=ON where nanobind is installed, which leaves an importable package in
# build/<preset>/python. REGAUGE_NATIVE_BUILD names a build that has the libraries and the command already.
set(REGAUGE_NATIVE_BUILD "" CACHE PATH "a native build to take the libraries and the command from, rather than compile them again")
if(REGAUGE_NATIVE_BUILD)
  include(NativeBuild)
else()
  set(REGAUGE_COMMAND_FILE "$<TARGET_FILE:regauge>")
endif()
find_package(Python 3.9 REQUIRED COMPONENTS Interpreter Development.Module OPTIONAL_COMPONENTS Development.SABIModule)
if(NOT nanobind_DIR)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
    OUTPUT_VARIABLE nanobind_DIR OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
find_package(nanobind CONFIG REQUIRED)  # pyproject.toml says which

nanobind_add_module(regauge_python
  STABLE_ABI  # one wheel for 3.12 and later; ignored on older ones, which have no stable ABI that nanobind can use
  NB_STATIC   # nanobind's own code is inside: nothing to find at run time
  "${PROJECT_SOURCE_DIR}/python/src/module.cpp"
  "${PROJECT_SOURCE_DIR}/python/src/mounted_files.cpp"
  "${PROJECT_SOURCE_DIR}/native/large_pages.cpp")
set_target_properties(regauge_python PROPERTIES
  OUTPUT_NAME _native
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/python/regauge")
target_link_libraries(regauge_python PRIVATE regauge_command regauge_files)
target_compile_options(regauge_python PRIVATE -ffp-contract=off)  # as everything else: the same bits everywhere
file(GLOB _python_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/python/regauge/*.py*" "${PROJECT_SOURCE_DIR}/python/regauge/py.typed")
add_custom_command(TARGET regauge_python POST_BUILD  # importable where it was built
  COMMAND "${CMAKE_COMMAND}" -E copy ${_python_sources} "${CMAKE_BINARY_DIR}/python/regauge")

if(SKBUILD)
  install(TARGETS regauge_python LIBRARY DESTINATION regauge COMPONENT python)
  # `pipx install regauge` brings the command.
  install(PROGRAMS "${REGAUGE_COMMAND_FILE}" DESTINATION "${SKBUILD_SCRIPTS_DIR}" COMPONENT python)
endif()
