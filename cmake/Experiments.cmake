# The paper's tables at small scale, on models trained here (experiments/README.md). Needs libtorch.
find_package(Torch REQUIRED)
file(GLOB REGAUGE_EXPERIMENTS_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/experiments/*.cpp")
add_executable(regauge_experiments ${REGAUGE_EXPERIMENTS_SOURCES}
  "${PROJECT_SOURCE_DIR}/native/inputs_read.cpp"
  "${PROJECT_SOURCE_DIR}/native/hub_cache.cpp"
  "${PROJECT_SOURCE_DIR}/native/native_files.cpp"
  "${PROJECT_SOURCE_DIR}/native/os_${REGAUGE_OS}.cpp"
  "${PROJECT_SOURCE_DIR}/native/write_behind.cpp")
target_precompile_headers(regauge_experiments PRIVATE <torch/torch.h>)  # 20 seconds once instead of in every file
target_include_directories(regauge_experiments PRIVATE "${PROJECT_SOURCE_DIR}/native")
target_link_libraries(regauge_experiments PRIVATE regauge_core nlohmann_json::nlohmann_json ${TORCH_LIBRARIES})
regauge_compile_options(regauge_experiments)
