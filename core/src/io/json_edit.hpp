// Single entries put into and taken out of somebody else's JSON text, every other byte kept: parsing and printing anew
// would change their escapes, number forms and order, and lossless headers are what users ask for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace regauge {

// A member of a JSON object, as positions in the text: "key" : value
//                                                      ^begin     ^value end^
struct JsonMember {
    std::string key;
    std::size_t begin = 0;
    std::size_t value = 0;
    std::size_t end = 0;
};

// The members of the object whose brace is at `open`. The text must be valid JSON.
std::vector<JsonMember> jsonMembers(std::string_view text, std::size_t open);

// The text with object[key] = value (a string), where `object` names a member of the outermost object, or "" that
// object itself.
// A new entry goes last in its object; an object that is not there is made. An empty value takes the entry out, and
// with it an object that was made for it, so that setting and clearing gives the same bytes back. With an entry, the
// text's length is a multiple of `alignment`: spaces before the value make it so.
// `json` must be a valid JSON object.
std::string withJsonEntry(std::string_view json, std::string_view object, std::string_view key, std::string_view value,
                          std::size_t alignment = 1);

// The string at object[key]; "" where there is none.
std::string jsonEntry(std::string_view json, std::string_view object, std::string_view key);

// Whether the outermost object has a member `object` that is itself an object.
bool hasJsonObject(std::string_view json, std::string_view object);

}  // namespace regauge
