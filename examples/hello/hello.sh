#!/bin/sh
# Says where it runs, and what the build found out.
echo "$GREETING."
echo "Running as user $(id -u) on @KERNEL@."
echo "The three commonest words of the poem:"
cat /usr/local/share/hello/words
