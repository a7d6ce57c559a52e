"""Monte-Carlo samples and the maps that are made of them: keys in, maps out."""
