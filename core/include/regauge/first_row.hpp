// One row of a tensor as numbers: for looking at what a file holds, before and after it was moved.
#pragma once

#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

struct FirstRow {
    std::string tensor;
    Shape shape;                // of the tensor
    std::vector<float> values;  // shape.back() of them
};

// The first vector along the last axis of a tensor in a file of any format. tensor: its name; in a file that holds one
// alone, any. Throws Error: usage (no such tensor), wrongDtype (no float), shapeMismatch (empty), and those of
// openTensorFile.
FirstRow firstRow(const Files& files, const std::string& path, const std::string& tensor);

}  // namespace regauge
