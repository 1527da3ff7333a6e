"""On a board: tops with a host link, place and route, utilisation and timing."""
