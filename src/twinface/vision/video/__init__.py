"""Moving pictures: files, cameras, streams and pictures in a row, decoded in a process of its own."""
