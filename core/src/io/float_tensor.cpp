#include "io/float_tensor.hpp"

#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {

std::vector<float> readFloats(const TensorFile& file, std::size_t index, const Shape& shape) {
    const StoredTensor& stored = file.tensors[index];
    const TensorInfo& info = stored.info;
    const std::string where = placeOf(file.source->name(), info.name);
    if (info.shape != shape)
        throw Error(ErrorCode::shapeMismatch, where,
                    "has shape " + toString(info.shape) + "; the configuration says " + toString(shape));
    if (!isFloat(info.dtype) || !stored.quantized.empty())
        throw Error(ErrorCode::wrongDtype, where,
                    "is " + (stored.quantized.empty() ? std::string(name(info.dtype)) : stored.quantized) +
                        ", and a float is needed, or a quantised type that regauge computes");
    const std::vector<std::byte> bytes = readBytes(*tensorBytes(file, index), 0, info.bytes);
    std::vector<float> values(static_cast<std::size_t>(*elementCount(shape)));
    convertToFloat(bytes, info.dtype, values);
    return values;
}

}  // namespace regauge
