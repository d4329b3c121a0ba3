// Files whose tensors' shapes or names are others than before.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

// One tensor to be written.
struct Written {
    std::string name;
    Dtype dtype;
    Shape shape;
    std::vector<std::byte> bytes;
    bool fortranOrder = false, bigEndian = false;  // as of a StoredTensor; of arrays of NumPy that are copied
};

// The file with these tensors and an entry in its metadata, where its format has some; what else is in an .npz comes
// along behind them as it is. Throws Error(unsupported) for formats that are only ever written as they were, and for an
// .npz of two members of one name.
void writeAnew(const TensorFile& file, const std::vector<Written>& tensors,
               const std::pair<std::string, std::string>& record, const std::string& where, ByteSink& out);

}  // namespace regauge
