"""Files of every kind: photographs and masks in, files that appear whole or not at all out."""
