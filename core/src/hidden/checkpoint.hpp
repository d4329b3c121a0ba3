// A checkpoint by what its tensors are to hidden units.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hidden/roles.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/model.hpp"

namespace regauge {

// A module's weight in the stream's direction: one row of width d (+ 1 where there is a bias that shares the hidden
// axis: its last entry) for each entry of the hidden axis, whichever way the weight is stored.
struct HiddenRows {
    std::size_t rows = 0, width = 0;
    std::vector<float> value;
    const float* row(std::size_t i) const { return &value[i * width]; }
};

class HiddenCheckpoint {
public:
    // Reads config.json and headers. path: a folder, a file or an index with config.json beside it. Throws Error:
    // unsupported (the family, or files that are no safetensors), missingFile, malformed.
    HiddenCheckpoint(const Files& files, const std::string& path);

    const std::string& path() const { return path_; }
    const ModelConfig& config() const { return config_; }
    const HiddenShape& shape() const { return shape_; }
    const HiddenLayout& layout() const { return *layout_; }

    // Its rows, each moved by the gauge where there is one (the bias's entry stays). Throws Error: malformed (the
    // tensor is not there), shapeMismatch, wrongDtype, notFinite.
    HiddenRows rows(HiddenRole role, std::size_t layer, const Gauge* gauge) const;

private:
    struct Place {
        std::size_t file, tensor;
    };
    std::vector<float> read(const std::string& name, const Shape& shape) const;

    std::string path_;
    ModelConfig config_;
    HiddenShape shape_;
    const HiddenLayout* layout_ = nullptr;
    CheckpointFiles files_;
    std::map<std::string, Place, std::less<>> places_;
};

}  // namespace regauge
