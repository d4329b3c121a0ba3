/** The release; a test proves that package.json and C++ say the same. */
export const version = "0.1.0";
