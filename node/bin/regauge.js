#!/usr/bin/env node
// Here before anything is built, so that `npm ci` links the command in the repository too.
import "../dist/cli.js";
