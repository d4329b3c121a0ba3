/* global LibraryManager, PThread, Module */
// Emscripten's threads, their workers made by who loads the module: Emscripten's own way names the module's file in it, which Vite refuses as a
// circle, and imports Node's modules, which bundlers stumble over. A linker's file (--js-library), not a module.
LibraryManager.library.$PThread.allocateUnusedWorker = () => {
    PThread.unusedWorkers.push(Module["newThread"]());
};
