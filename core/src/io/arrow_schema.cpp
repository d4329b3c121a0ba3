#include "io/arrow_schema.hpp"

namespace regauge {
namespace {

// Fields of the tables of Message.fbs and Schema.fbs.
constexpr unsigned messageVersion = 0, messageHeader = 2;
constexpr unsigned schemaEndianness = 0, schemaFields = 1;
constexpr unsigned fieldName = 0, fieldTypeKind = 2, fieldType = 3, fieldDictionary = 4, fieldChildren = 5,
                   fieldMetadata = 6;
constexpr unsigned entryKey = 0, entryValue = 1;  // of custom_metadata
constexpr std::int16_t version4 = 3, version5 = 4;

constexpr std::string_view typeNames[] = {"nulls",       "integers",
                                          "floats",      "bytes",
                                          "texts",       "booleans",
                                          "decimals",    "dates",
                                          "times",       "timestamps",
                                          "intervals",   "lists",
                                          "structures",  "unions",
                                          "fixed bytes", "lists of a fixed size",
                                          "maps",        "durations",
                                          "large bytes", "large texts",
                                          "large lists", "run-end encoded values",
                                          "byte views",  "text views",
                                          "list views",  "large list views"};

[[noreturn]] void malformed(const FlatBuffer& buffer, const std::string& sentence) {
    throw Error(ErrorCode::malformed, *buffer.where, "the schema of this Arrow file " + sentence);
}

Dtype integerOf(const FlatTable& type) {
    const auto bits = type.number<std::uint32_t>(0, 0);
    const bool isSigned = type.number<std::uint8_t>(1, 0) != 0;
    switch (bits) {
        case 8: return isSigned ? Dtype::I8 : Dtype::U8;
        case 16: return isSigned ? Dtype::I16 : Dtype::U16;
        case 32: return isSigned ? Dtype::I32 : Dtype::U32;
        case 64: return isSigned ? Dtype::I64 : Dtype::U64;
        default: malformed(type.buffer(), "has integers of " + std::to_string(bits) + " bits");
    }
}

Dtype floatOf(const FlatTable& type) {
    const auto precision = type.number<std::uint16_t>(0, 0);
    switch (precision) {
        case 0: return Dtype::F16;
        case 1: return Dtype::F32;
        case 2: return Dtype::F64;
        default: malformed(type.buffer(), "has floats of precision " + std::to_string(precision));
    }
}

class SchemaReader {
public:
    explicit SchemaReader(const FlatBuffer& buffer) : buffer_(buffer) {}

    ArrowField field(const FlatTable& table, std::size_t depth) {
        if (++seen_ > mostArrowFields || depth > deepestArrowField)
            throw Error(ErrorCode::tooLarge, *buffer_.where,
                        "this Arrow file has more than " + std::to_string(mostArrowFields) + " fields, or more than " +
                            std::to_string(deepestArrowField) + " levels of them");
        ArrowField result;
        const std::string_view name = table.text(fieldName);
        claim(name.size());
        result.name = std::string(name);
        const auto kind = table.number<std::uint8_t>(fieldTypeKind, 0);
        const std::optional<FlatTable> type = table.table(fieldType);
        if (kind == 0 || !type) malformed(buffer_, "has a column '" + result.name + "' without a type");
        if (kind > std::size(typeNames))
            throw Error(ErrorCode::unsupported, *buffer_.where,
                        "column '" + result.name + "' of this Arrow file has a type that regauge does not know (" +
                            std::to_string(kind) + ")");
        result.type = static_cast<ArrowType>(kind);
        result.dictionary = table.has(fieldDictionary);
        setType(result, *type);
        result.shapedTensors = extensionOf(table) == "arrow.fixed_shape_tensor";
        const FlatVector children = table.vector(fieldChildren, 4);
        for (std::uint64_t i = 0; i < children.count; ++i)
            result.children.push_back(field(table.tableIn(children, i), depth + 1));
        if (result.isList() && result.children.size() != 1)
            malformed(buffer_, "has a list '" + result.name + "' of " + std::to_string(result.children.size()) +
                                   " kinds of elements");
        return result;
    }

private:
    // Fields may share one text or list, and so a small file name many gigabytes: writers give each field its own.
    void claim(std::uint64_t bytes) {
        claimed_ += bytes;
        if (claimed_ > buffer_.bytes.size()) malformed(buffer_, "has names longer than itself");
    }

    // The extension type that the field's metadata names, "" where it names none.
    std::string_view extensionOf(const FlatTable& table) {
        const FlatVector entries = table.vector(fieldMetadata, 4);
        claim(4 * entries.count);
        for (std::uint64_t i = 0; i < entries.count; ++i) {
            const FlatTable entry = table.tableIn(entries, i);
            if (entry.text(entryKey) == "ARROW:extension:name") return entry.text(entryValue);
        }
        return "";
    }

    void setType(ArrowField& field, const FlatTable& type) const {
        switch (field.type) {
            case ArrowType::integer: field.dtype = integerOf(type); break;
            case ArrowType::floatingPoint: field.dtype = floatOf(type); break;
            case ArrowType::boolean: field.dtype = Dtype::BOOL; break;
            case ArrowType::unions: field.dense = type.number<std::uint16_t>(0, 0) == 1; break;
            case ArrowType::fixedSizeList: {
                const auto size = static_cast<std::int32_t>(type.number<std::uint32_t>(0, 0));
                if (size < 0) malformed(buffer_, "has lists '" + field.name + "' of a negative length");
                field.listSize = static_cast<std::uint64_t>(size);
                break;
            }
            default: break;
        }
    }

    FlatBuffer buffer_;
    std::size_t seen_ = 0;
    std::uint64_t claimed_ = 0;  // bytes of names and lists of metadata
};

}  // namespace

std::string_view name(ArrowType type) { return typeNames[static_cast<std::size_t>(type) - 1]; }

ArrowSchema readArrowSchema(const FlatTable& message) {
    const std::string& where = *message.buffer().where;
    const auto version = static_cast<std::int16_t>(message.number<std::uint16_t>(messageVersion, 0));
    if (version != version4 && version != version5)
        throw Error(ErrorCode::unsupported, where,
                    "was written by a version of Arrow that regauge does not read (metadata version " +
                        std::to_string(version + 1) + ", expected 4 or 5)");
    const std::optional<FlatTable> schema = message.table(messageHeader);
    if (!schema) malformed(message.buffer(), "is not there");
    if (schema->number<std::uint16_t>(schemaEndianness, 0) != 0)
        throw Error(ErrorCode::unsupported, where, "holds big-endian numbers, which regauge reads in .npy only");
    ArrowSchema result;
    result.validityOfUnions = version == version4;
    SchemaReader reader(message.buffer());
    const FlatVector fields = schema->vector(schemaFields, 4);
    for (std::uint64_t i = 0; i < fields.count; ++i)
        result.columns.push_back(reader.field(schema->tableIn(fields, i), 1));
    return result;
}

std::size_t buffersOf(const ArrowField& field, const ArrowSchema& schema) {
    if (field.dictionary) return 2;  // validity, indices
    switch (field.type) {
        case ArrowType::null:
        case ArrowType::runEndEncoded: return 0;
        case ArrowType::structure:
        case ArrowType::fixedSizeList: return 1;  // validity
        case ArrowType::unions: return (field.dense ? 2u : 1u) + (schema.validityOfUnions ? 1u : 0u);
        case ArrowType::binary:
        case ArrowType::utf8:
        case ArrowType::largeBinary:
        case ArrowType::largeUtf8:  // validity, offsets, data
        case ArrowType::listView:
        case ArrowType::largeListView: return 3;  // validity, offsets, sizes
        default: return 2;                        // validity, and data or offsets; views have more (the batch says)
    }
}

}  // namespace regauge
